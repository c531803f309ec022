// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// identity is a certificate, with who vouches for it, and its key, in PEM.
type identity struct {
	certificate tls.Certificate
	cert, key   []byte
}

func newIdentity(t testing.TB) identity {
	t.Helper()
	c := authority.ForTest(t, "authority").IssueForTest(t, "test", "localhost", "127.0.0.1")
	certificate, err := c.Pair()
	if err != nil {
		t.Fatal(err)
	}
	return identity{certificate, []byte(c.Chain), []byte(c.Key)}
}

func withCA(k settings.Kafka, authorities []byte) settings.Kafka {
	k.TLS.Enabled, k.TLS.CA = true, string(authorities)
	return k
}

func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMutualTLS connects to brokers that want the certificate of a client.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	broker, me, other := newIdentity(t), newIdentity(t), newIdentity(t)
	clients, brokers := x509.NewCertPool(), x509.NewCertPool()
	clients.AppendCertsFromPEM(me.cert)
	brokers.AppendCertsFromPEM(broker.cert)
	c := startCluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{broker.certificate}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}))
	createTopic(t, c, "t", 1)
	produce(t, client(t, c, kgo.DialTLSConfig(&tls.Config{RootCAs: brokers, Certificates: []tls.Certificate{me.certificate}})), numbered("t", 0, 0, 5)...)
	k := withCA(config(c, "t"), broker.cert)

	t.Run("of variables", func(t *testing.T) {
		k := k
		k.TLS.Cert, k.TLS.Key = string(me.cert), string(me.key)
		s, _ := open(t, k, nil)
		wantValues(t, read(t, s, 5), 0, 5)
	})
	t.Run("of files", func(t *testing.T) {
		k, dir := k, t.TempDir()
		k.TLS.CA, k.TLS.CAFile = "", write(t, filepath.Join(dir, "ca.crt"), broker.cert)
		k.TLS.CertFile, k.TLS.KeyFile = write(t, filepath.Join(dir, "tls.crt"), me.cert), write(t, filepath.Join(dir, "tls.key"), me.key)
		s, _ := open(t, k, nil)
		wantValues(t, read(t, s, 5), 0, 5)
	})
	t.Run("of files that are renewed", func(t *testing.T) {
		k, dir := k, t.TempDir()
		k.TLS.CertFile, k.TLS.KeyFile = write(t, filepath.Join(dir, "tls.crt"), other.cert), write(t, filepath.Join(dir, "tls.key"), other.key)
		s, l := newTestSource(t, k)
		ctx, _ := testCancel(t)
		opened := goOpen(ctx, s)
		l.Await(t, "cannot reach Kafka")
		write(t, k.TLS.CertFile, me.cert)
		write(t, k.TLS.KeyFile, me.key)
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
		wantValues(t, read(t, s, 5), 0, 5)
	})
	t.Run("none", func(t *testing.T) {
		s, l := newTestSource(t, k)
		ctx, cancel := testCancel(t)
		opened := goOpen(ctx, s)
		l.Await(t, "cannot reach Kafka")
		cancel()
		if err := <-opened; err == nil {
			t.Error("it was opened")
		}
	})
}

func TestTLSFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	dir := t.TempDir()
	nonsense := write(t, filepath.Join(dir, "x"), []byte("nonsense"))
	for want, tls := range map[string]settings.TLS{
		"SPOUT_KAFKA_TLS_CA_FILE cannot be read":             {CAFile: filepath.Join(dir, "none")},
		"SPOUT_KAFKA_TLS_CA_FILE holds no certificate":       {CAFile: nonsense},
		"SPOUT_KAFKA_TLS_CERT_FILE and SPOUT_KAFKA_TLS_KEY_": {CertFile: nonsense, KeyFile: nonsense},
		"do not go together":                                 {Certificate: settings.Certificate{Cert: "nonsense", Key: "nonsense"}},
	} {
		k := settings.Kafka{TLS: settings.OptionalTLS{TLS: tls}}
		k.TLS.Enabled, k.Brokers, k.Topics = true, c.ListenAddrs(), []string{"t"}
		_, _, err := tryOpen(t, k, nil)
		checkStop(t, err, want)
	}
}
