// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// registryCases are schema registries, with each way to authenticate.
var registryCases = []object{
	{"url": "https://registry.example.com", "credentials_secret": object{"name": "registry", "username_key": "user", "password_key": "pass"}, "tls": object{"ca_certificate": testPEM, "server_name": "registry"}},
	{"url": "https://registry.example.com:8081/path", "token_secret": object{"name": "registry", "key": "key"}, "folder": "schemas"},
	{"url": "https://registry.example.com", "tls": object{"client_certificate_secret": object{"name": "registry-tls", "certificate_key": "cert", "private_key_key": "key"}}},
	{"url": "https://registry.example.com", "tls": object{"ca_file": "/etc/registry/ca.crt", "certificate_file": "/etc/registry/tls.crt", "private_key_file": "/etc/registry/tls.key"}},
	{"url": "https://registry.example.com", "tls": object{"client_certificate_secret": object{"name": "registry-tls"}}},
	{"url": "http://registry.example.com"},
	{"url": "https://registry.example.com", "keys": "decode", "logical_types": "nanos"},
	{"url": "http://registry.example.com", "allow_cleartext_credentials": true, "credentials_secret": object{"name": "registry", "username_key": "user", "password_key": "pass"}},
}

// A schema registry, with each way to authenticate, comes back from the server.
func TestSchemaRegistryAttributes(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	s.AddKubernetesSecret("registry", map[string]string{"user": "u", "pass": "p", "key": "k"})
	s.AddKubernetesSecret("registry-tls", map[string]string{"tls.crt": "c", "tls.key": "k", "cert": "c", "key": "k"})
	i := newInstance(t, s)
	for _, registry := range registryCases {
		config := kafkaSpout(object{"file": object{"format": "avro"}, "schema_registry": registry})
		i.must(i.apply(config))
		i.must(i.refresh())
		if i.changes(config) {
			t.Errorf("%v: a plan after refresh changes something: %v", registry, plain(t, i.state))
		}
		imported := newInstance(t, s)
		imported.must(imported.importID("default/orders", nil))
		if imported.changes(config) {
			t.Errorf("%v: a plan after import changes something: %v", registry, plain(t, imported.state))
		}
	}
}
