// SPDX-License-Identifier: Apache-2.0

package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// newPair is a certificate with who vouches for it, and its key, in PEM.
func newPair(t *testing.T) settings.Certificate {
	t.Helper()
	own := authority.ForTest(t, "authority").IssueForTest(t, "registry", "registry")
	return settings.Certificate{Cert: own.Chain, Key: own.Key}
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A server that wants a certificate is reached with one of variables and with
// one of files, which may be renewed meanwhile.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	own, me, other := newPair(t), newPair(t), newPair(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	var err error
	if server.TLS, err = Server(own, "SPOUT_HTTP_TLS"); err != nil {
		t.Fatal(err)
	}
	server.TLS.ClientCAs = x509.NewCertPool()
	server.TLS.ClientCAs.AppendCertsFromPEM([]byte(me.Cert))
	server.TLS.ClientAuth = tls.RequireAndVerifyClientCert
	server.StartTLS()
	t.Cleanup(server.Close)

	dir := t.TempDir()
	authority, cert, key := write(t, filepath.Join(dir, "ca.crt"), own.Cert), write(t, filepath.Join(dir, "tls.crt"), other.Cert), write(t, filepath.Join(dir, "tls.key"), other.Key)
	reaches := func(config *tls.Config) bool {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		defer client.CloseIdleConnections()
		answer, err := client.Get(server.URL)
		if err == nil {
			err = answer.Body.Close()
		}
		return err == nil
	}
	for name, c := range map[string]struct {
		settings settings.TLS
		want     bool
	}{
		"variables":         {settings.TLS{ServerName: "registry", CA: own.Cert, Certificate: me}, true},
		"no certificate":    {settings.TLS{ServerName: "registry", CA: own.Cert}, false},
		"another name":      {settings.TLS{ServerName: "other", CA: own.Cert, Certificate: me}, false},
		"another authority": {settings.TLS{ServerName: "registry", CA: me.Cert, Certificate: me}, false},
		"the system's":      {settings.TLS{ServerName: "registry", Certificate: me}, false},
	} {
		config, err := Client(c.settings, "SPOUT_X_TLS")
		if err != nil || reaches(config) != c.want {
			t.Errorf("%s: reached: %v, %v", name, !c.want, err)
		}
	}
	config, err := Client(settings.TLS{ServerName: "registry", CAFile: authority, CertFile: cert, KeyFile: key}, "SPOUT_X_TLS")
	if err != nil || reaches(config) {
		t.Fatalf("another's certificate is good, or %v", err)
	}
	write(t, cert, me.Cert)
	write(t, key, me.Key)
	if !reaches(config) {
		t.Error("the certificate was not read again")
	}
}

// What cannot be read is said with the name of its variable.
func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nonsense := write(t, filepath.Join(dir, "x"), "nonsense")
	for want, s := range map[string]settings.TLS{
		"SPOUT_X_TLS_CA holds no certificate":                             {CA: "nonsense"},
		"SPOUT_X_TLS_CA_FILE cannot be read":                              {CAFile: filepath.Join(dir, "none")},
		"SPOUT_X_TLS_CA_FILE holds no certificate":                        {CAFile: nonsense},
		"SPOUT_X_TLS_CERT_FILE and SPOUT_X_TLS_KEY_FILE cannot be used: ": {CertFile: nonsense, KeyFile: nonsense},
		"SPOUT_X_TLS_CERT and SPOUT_X_TLS_KEY do not go together":         {Certificate: settings.Certificate{Cert: "nonsense", Key: "nonsense"}},
	} {
		if _, err := Client(s, "SPOUT_X_TLS"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
