// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// TestCleartextCredentialsOfSpouts: a plan refuses what everybody on the way
// could read, and warns where it is allowed.
func TestCleartextCredentialsOfSpouts(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	sasl := func(mechanism string, more object) object {
		return merged(object{"mechanism": mechanism, "credentials_secret": object{"name": "a"}}, more)
	}
	registry := func(more object) object {
		return object{"file": object{"format": "avro"}, "schema_registry": merged(object{"url": "http://registry:8081"}, more)}
	}
	allowed := object{"allow_cleartext_credentials": true}
	oauth := object{"token_url": "http://login/token"}
	credentials := object{"credentials_secret": object{"name": "a"}}
	for name, c := range map[string]struct {
		config       object
		fails, warns string
	}{
		"plain":                  {object{"kafka.sasl": sasl("plain", nil)}, "kafka.sasl.allow_cleartext_credentials", ""},
		"plain, false":           {object{"kafka.sasl": sasl("plain", object{"allow_cleartext_credentials": false})}, "everybody on the way to kafka:9092", ""},
		"plain, TLS":             {object{"kafka.sasl": sasl("plain", nil), "kafka.tls": object{}}, "", ""},
		"plain, this machine":    {object{"kafka.sasl": sasl("plain", nil), "kafka.brokers": []any{"localhost:9092"}}, "", ""},
		"plain, allowed":         {object{"kafka.sasl": sasl("plain", allowed)}, "", "kafka.sasl.mechanism"},
		"scram":                  {object{"kafka.sasl": sasl("scram-sha-512", nil)}, "", "sends no password"},
		"oauthbearer":            {object{"kafka.sasl": sasl("oauthbearer", oauth), "kafka.tls": object{}}, "kafka.sasl.token_url", ""},
		"oauthbearer, allowed":   {object{"kafka.sasl": sasl("oauthbearer", merged(oauth, allowed)), "kafka.tls": object{}}, "", "kafka.sasl.token_url"},
		"registry":               {registry(nil), "", ""},
		"registry, credentials":  {registry(credentials), "schema_registry.allow_cleartext_credentials", ""},
		"registry, allowed":      {registry(merged(credentials, allowed)), "", "schema_registry.url"},
		"registry, unknown name": {registry(object{"token_secret": unknown{}}), "", ""},
	} {
		_, diagnostics := i.plan(kafkaSpout(c.config))
		fails, warns := errorsIn(diagnostics), warningsIn(diagnostics)
		if !strings.Contains(fails, c.fails) || (c.fails == "") != (fails == "") || !strings.Contains(warns, c.warns) || (c.warns == "") != (warns == "") {
			t.Errorf("%s: refused with %q, warned %q", name, fails, warns)
		}
	}
}

// TestCleartextToken: no token goes over a connection that others can read,
// wherever the address comes from, unless that is allowed.
func TestCleartextToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"v2":{"active_context":"a","contexts":{
		"a":{"pachd_address":"grpc://pachd:30650","session_token":"planted-token"},"b":{"pachd_address":"grpc://pachd:30650"},"c":{"pachd_address":"grpcs://pachd:30650","session_token":"planted-token"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config object
		env    map[string]string
		fails  bool
	}{
		"token":                     {object{"address": "grpc://pachd:30650", "auth_token": "planted-token"}, nil, true},
		"id token":                  {object{"address": "http://pachd:30650", "id_token": "planted-token"}, nil, true},
		"token of the environment":  {object{"address": "grpc://pachd:30650"}, map[string]string{"PACHYDERM_AUTH_TOKEN": "planted-token"}, true},
		"no scheme":                 {object{}, map[string]string{"PACHD_ADDRESS": "pachd:443", "PACHYDERM_AUTH_TOKEN": "planted-token"}, true},
		"context":                   {object{"config_path": file}, nil, true},
		"context without a token":   {object{"config_path": file, "context": "b"}, nil, false},
		"context with TLS":          {object{"config_path": file, "context": "c"}, nil, false},
		"no token":                  {object{"address": "grpc://pachd:30650"}, nil, false},
		"TLS":                       {object{"address": "grpcs://pachd:30650", "auth_token": "planted-token"}, nil, false},
		"this machine":              {object{"address": "grpc://localhost:30650", "auth_token": "planted-token"}, nil, false},
		"this machine, by default":  {object{}, map[string]string{"PACHD_ADDRESS": "127.0.0.1", "PACHYDERM_AUTH_TOKEN": "planted-token"}, false},
		"looks like this machine":   {object{"address": "grpc://localhost.example.com", "auth_token": "planted-token"}, nil, true},
		"this machine, for Go only": {object{"address": "grpc://[::ffff:127.0.0.1]:1", "auth_token": "planted-token"}, nil, false},
	} {
		_, diagnostics := tryInstanceOf(t, c.config, environment(c.env))
		said := errorsIn(diagnostics)
		if (said != "") != c.fails || strings.Contains(said, "planted-token") || c.fails && contains(said, "allow_cleartext_credentials", "grpcs://") != nil {
			t.Errorf("%s: %q", name, said)
		}
		if warned := warningsIn(diagnostics); warned != "" {
			t.Errorf("%s warns: %s", name, warned)
		}
		if !c.fails {
			continue
		}
		_, diagnostics = tryInstanceOf(t, merged(c.config, object{"allow_cleartext_credentials": true}), environment(c.env))
		if errorsIn(diagnostics) != "" || contains(warningsIn(diagnostics), "Everybody on the way to grpc://", "can read the token") != nil {
			t.Errorf("%s, allowed: %s %s", name, errorsIn(diagnostics), warningsIn(diagnostics))
		}
	}
}

// TestCleartextSecret: the data of a pachyderm_secret need no token to be
// worth keeping.
func TestCleartextSecret(t *testing.T) {
	t.Parallel()
	secret := object{"name": "a", "data_wo": object{"k": "planted"}, "data_wo_version": 1}
	_, diagnostics := newInstanceOf(t, object{"address": "grpc://pachd:30650"}).as("pachyderm_secret").plan(secret)
	if said := errorsIn(diagnostics); contains(said, "allow_cleartext_credentials", "the data of a secret") != nil || strings.Contains(said, "planted") {
		t.Errorf("%q", said)
	}
	for _, config := range []object{{"address": "grpc://pachd:30650", "allow_cleartext_credentials": true}, {"address": "grpcs://pachd:30650"}, {"address": "grpc://localhost"}} {
		if _, diagnostics := newInstanceOf(t, config).as("pachyderm_secret").plan(secret); errorsIn(diagnostics) != "" {
			t.Errorf("%v: %s", config, errorsIn(diagnostics))
		}
	}
}

// TestTokensAreNotRepeated is about a server that repeats what it was sent.
func TestTokensAreNotRepeated(t *testing.T) {
	t.Parallel()
	c := &connection{options: pachyderm.Options{Token: "planted-token"}, idToken: "planted-id"}
	for _, code := range []codes.Code{codes.Unauthenticated, codes.Unknown, codes.Unavailable} {
		if said := c.explain(status.Error(code, "no such token: planted-token, planted-id")); strings.Contains(said, "planted") || !strings.Contains(said, "o such token: (secret), (secret)") {
			t.Errorf("%v: %s", code, said)
		}
	}
}

// TestAddressesAreRedacted: whatever is wrong with an address, no message
// repeats the password in it, nor leads Terraform to show the line it is in.
func TestAddressesAreRedacted(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.json")
	i := newInstance(t, pachtest.New(t))
	for _, address := range []string{"grpc://me:hunter2@pachd", "me:hunter2@pachd:443", "ftp://me:hunter2@pachd", "grpcs://me:hunter2%zz@pachd:1", "grpcs://me:hunter2#@pachd", "grpc://me:hunter2/@pachd", "grpc://me:hunter2@"} {
		if err := os.WriteFile(file, []byte(`{"v2":{"active_context":"a","contexts":{"a":{"pachd_address":"`+address+`"}}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		check := func(from string, config object, env map[string]string) {
			t.Helper()
			_, diagnostics := tryInstanceOf(t, config, environment(env))
			for _, d := range diagnostics {
				if text := d.Summary + d.Detail; d.Attribute != nil || strings.Contains(text, "hunter2") || !strings.Contains(text, "(hidden)@") {
					t.Errorf("%s of %s: %s: %s at %v", address, from, d.Summary, d.Detail, d.Attribute)
				}
			}
			if len(diagnostics) == 0 {
				t.Errorf("%s of %s is taken", address, from)
			}
		}
		check("the provider", object{"address": address}, nil)
		check("the environment", object{}, map[string]string{"PACHD_ADDRESS": address})
		check("the file", object{"config_path": file}, nil)
		for _, config := range []object{
			{"kafka.brokers": []any{"kafka:9092", address}},
			{"kafka.tls": object{}, "kafka.sasl": object{"mechanism": "oauthbearer", "token_url": address, "credentials_secret": object{"name": "a"}}},
			{"file": object{"format": "avro"}, "schema_registry": object{"url": address}},
		} {
			_, diagnostics := i.plan(kafkaSpout(config))
			for _, d := range diagnostics {
				if text := d.Summary + d.Detail; d.Attribute != nil || strings.Contains(text, "hunter2") {
					t.Errorf("%v: %s: %s at %v", config, d.Summary, d.Detail, d.Attribute)
				}
			}
			if len(diagnostics) == 0 {
				t.Errorf("%v is taken", config)
			}
		}
	}
}
