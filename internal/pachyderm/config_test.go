// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A token is sent to the address that it belongs to, and to no other.
func TestSources(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cas := base64.StdEncoding.EncodeToString([]byte("PEM of the file"))
	write(".pachyderm/config.json", `{"user_id":"x","v2":{"active_context":"prod","metrics":true,"contexts":{
		"prod":{"source":"IMPORTED","pachd_address":"grpcs://prod:443","session_token":"prod-token","server_cas":"`+cas+`","cluster_deployment_id":"prod-id"},
		"test":{"source":2,"pachd_address":"grpc://test:30650","session_token":"test-token"},
		"forward":{"session_token":"forward-token"}}}}`)
	other := write("other.json", `{"v2":{"active_context":"only","contexts":{"only":{"pachd_address":"grpc://only"}}}}`)
	broken := write("broken.json", `{`)
	none := write("none.json", `{"v2":{"contexts":{}}}`)
	certificates := write("ca.pem", "PEM of the environment")

	for _, c := range []struct {
		name    string
		s       Sources
		env     map[string]string
		address string
		token   string
		ca      string
		id      string
		warning string
		err     string
	}{
		{name: "nothing", env: map[string]string{"HOME": "/nowhere"}, err: "PACHD_ADDRESS"},
		{name: "explicit", s: Sources{Address: "grpc://a:1", Token: "t"}, address: "grpc://a:1", token: "t"},
		{name: "explicit address, no token", s: Sources{Address: "grpcs://prod:443"}, address: "grpcs://prod:443"},
		{name: "explicit address, token of the environment", s: Sources{Address: "grpc://a:1"}, env: map[string]string{EnvToken: "e"}, address: "grpc://a:1", token: "e"},
		{name: "explicit token goes first", s: Sources{Address: "grpc://a:1", Token: "t"}, env: map[string]string{EnvToken: "e"}, address: "grpc://a:1", token: "t"},
		{name: "environment", env: map[string]string{EnvAddress: "grpcs://e", EnvToken: "e", EnvCACerts: certificates}, address: "grpcs://e:30650", token: "e", ca: "PEM of the environment"},
		{name: "environment's address, no token of the file", env: map[string]string{EnvAddress: "grpc://e"}, address: "grpc://e:30650"},
		{name: "environment's address, explicit token", s: Sources{Token: "t"}, env: map[string]string{EnvAddress: "grpc://e"}, address: "grpc://e:30650", token: "t"},
		{name: "file", address: "grpcs://prod:443", token: "prod-token", ca: "PEM of the file", id: "prod-id"},
		{name: "context of the environment", env: map[string]string{EnvContext: "test"}, address: "grpc://test:30650", token: "test-token"},
		{name: "context", s: Sources{Context: "test"}, env: map[string]string{EnvContext: "prod"}, address: "grpc://test:30650", token: "test-token"},
		{name: "context against the environment's address", s: Sources{Context: "test"}, env: map[string]string{EnvAddress: "grpc://e", EnvToken: "e"}, address: "grpc://test:30650", token: "test-token"},
		{name: "other file", s: Sources{ConfigPath: other}, address: "grpc://only:30650"},
		{name: "other file of the environment", env: map[string]string{EnvConfig: other}, address: "grpc://only:30650"},
		{name: "explicit token and the file's address", s: Sources{Token: "t"}, err: "auth_token is set"},
		{name: "environment's token and the file's address", env: map[string]string{EnvToken: "e"}, address: "grpcs://prod:443", token: "prod-token", ca: "PEM of the file", id: "prod-id", warning: EnvToken},
		{name: "explicit authorities", s: Sources{CACertificate: "PEM"}, address: "grpcs://prod:443", token: "prod-token", ca: "PEM", id: "prod-id"},
		{name: "environment's authorities without TLS", s: Sources{Address: "grpc://a:1"}, env: map[string]string{EnvCACerts: certificates}, address: "grpc://a:1"},
		{name: "no such authorities", s: Sources{Address: "grpcs://a:1"}, env: map[string]string{EnvCACerts: "/nowhere"}, err: EnvCACerts},
		{name: "no such context", s: Sources{Context: "x"}, err: "it has forward, prod, test"},
		{name: "context without address", s: Sources{Context: "forward"}, err: "port forward"},
		{name: "no such file", s: Sources{ConfigPath: "/nowhere"}, err: "/nowhere"},
		{name: "broken file", s: Sources{ConfigPath: broken}, err: "not valid JSON"},
		{name: "no active context", s: Sources{ConfigPath: none}, err: "no active context"},
		{name: "bad address", s: Sources{Address: "ftp://a"}, err: "grpcs://"},
		{name: "bad address of the environment", env: map[string]string{EnvAddress: "grpc://a/b"}, err: EnvAddress},
	} {
		c.s.AllowCleartext = true // the provider's tests are about it
		c.s.Getenv = func(name string) string {
			if v, ok := c.env[name]; ok || name != "HOME" {
				return v
			}
			return home
		}
		got, err := c.s.Resolve()
		if c.err != "" || err != nil {
			if err == nil || c.err == "" || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, not %q", c.name, err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "-token") {
				t.Errorf("%s: a token is in the error: %v", c.name, err)
			}
			continue
		}
		if got.Address.String() != c.address || got.Token != c.token || string(got.CACertificate) != c.ca || got.DeploymentID != c.id {
			t.Errorf("%s: %+v", c.name, got)
		}
		if warning := strings.Join(got.Warnings, "\n"); !strings.Contains(warning, c.warning) || c.warning == "" && warning != "" {
			t.Errorf("%s: warning %q", c.name, warning)
		}
	}
	_, err := Sources{Getenv: func(string) string { return "" }, ConfigPath: ""}.Resolve()
	if err != nil && !errors.Is(err, ErrNoAddress) {
		t.Logf("without HOME: %v", err) // the machine's own home may have a config file
	}
}
