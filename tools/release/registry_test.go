// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
)

// registry serves a release as registry.terraform.io would: see
// https://developer.hashicorp.com/terraform/internals/provider-registry-protocol.
type registry struct{ host, certificate string }

// serveRegistry starts one that may change what it serves.
func serveRegistry(t *testing.T, m made, tamper func(path string, content []byte) []byte) registry {
	t.Helper()
	public := string(m.read(t, "throw-away-key.asc"))
	keys, err := openpgp.ReadArmoredKeyRing(strings.NewReader(public))
	if err != nil {
		t.Fatal(err)
	}
	local, name := mirror.Local(), mirror.Local().Zip(testVersion)
	digest := sum(m.read(t, name), name)[:64]
	answers := map[string]any{
		"/.well-known/terraform.json": map[string]string{"providers.v1": "/v1/providers/"},
		"/v1/providers/spoutworks/pachyderm/versions": map[string]any{"versions": []any{map[string]any{
			"version": testVersion, "protocols": []string{"6.0"}, "platforms": []any{map[string]string{"os": local.OS, "arch": local.Arch}},
		}}},
		fmt.Sprintf("/v1/providers/spoutworks/pachyderm/%s/download/%s/%s", testVersion, local.OS, local.Arch): map[string]any{
			"protocols": []string{"6.0"}, "os": local.OS, "arch": local.Arch, "filename": name, "download_url": "/files/" + name, "shasum": digest,
			"shasums_url": "/files/" + sumsName, "shasums_signature_url": "/files/" + sumsName + ".sig",
			"signing_keys": map[string]any{"gpg_public_keys": []any{map[string]string{
				"key_id": strings.ToUpper(hex.EncodeToString(keys[0].PrimaryKey.Fingerprint[12:])), "ascii_armor": public,
			}}},
		},
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer, ok := answers[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer)
			return
		}
		content, err := os.ReadFile(filepath.Join(m.out, path.Base(r.URL.Path)))
		if err != nil || path.Dir(r.URL.Path) != "/files" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(tamper(r.URL.Path, content))
	}))
	certificate, encoded := selfSigned(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	trusted := filepath.Join(t.TempDir(), "trusted.pem")
	if err := os.WriteFile(trusted, encoded, 0o644); err != nil {
		t.Fatal(err)
	}
	return registry{"localhost:" + at.Port(), trusted}
}

// selfSigned is a certificate of localhost.
func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}
