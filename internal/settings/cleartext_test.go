// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"strings"
	"testing"
)

// TestCleartextCredentials: what others on the network can read is refused,
// unless that is allowed, and then warned of.
func TestCleartextCredentials(t *testing.T) {
	t.Parallel()
	const (
		sasl     = "SPOUT_KAFKA_SASL_USERNAME=u SPOUT_KAFKA_SASL_PASSWORD=p SPOUT_KAFKA_SASL_MECHANISM="
		oauth    = sasl + "oauthbearer SPOUT_KAFKA_SASL_TOKEN_URL="
		registry = "SPOUT_FILE_FORMAT=avro SPOUT_SCHEMA_REGISTRY_URL="
		basic    = " SPOUT_SCHEMA_REGISTRY_USERNAME=u SPOUT_SCHEMA_REGISTRY_PASSWORD=p"
		token    = " SPOUT_SCHEMA_REGISTRY_TOKEN=t"
		local    = " SPOUT_KAFKA_BROKERS=127.0.0.1:9092,[::1]:9092,localhost:1"
		tls      = " SPOUT_KAFKA_TLS=true"

		allowSASL     = " SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS=true"
		allowRegistry = " SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS=true"
	)
	for _, c := range []struct{ environment, refused, warned string }{
		{sasl + "plain", "SPOUT_KAFKA_SASL_MECHANISM", ""},
		{sasl + "plain" + tls, "", ""},
		{sasl + "plain" + local, "", ""},
		{sasl + "plain" + local + ",kafka:9092", "kafka:9092", ""},
		{sasl + "plain" + allowSASL, "", "SPOUT_KAFKA_SASL_MECHANISM"},
		{sasl + "plain" + allowRegistry, "SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS", ""},
		{sasl + "scram-sha-256", "", "sends no password"},
		{sasl + "scram-sha-512" + tls, "", ""},
		{sasl + "scram-sha-512" + local, "", ""},
		{oauth + "https://login/token", "SPOUT_KAFKA_SASL_MECHANISM", ""},
		{oauth + "https://login/token" + tls, "", ""},
		{oauth + "http://login/token" + tls, "SPOUT_KAFKA_SASL_TOKEN_URL", ""},
		{oauth + "HTTP://login/token" + local, "SPOUT_KAFKA_SASL_TOKEN_URL", ""},
		{oauth + "http://127.0.0.1:8080/token" + tls, "", ""},
		{oauth + "http://login/token" + tls + allowSASL, "", "SPOUT_KAFKA_SASL_TOKEN_URL"},
		{registry + "http://registry", "", ""},
		{registry + "http://registry" + basic, "SPOUT_SCHEMA_REGISTRY_URL", ""},
		{registry + "http://registry" + token, "SPOUT_SCHEMA_REGISTRY_URL", ""},
		{registry + "https://registry" + token, "", ""},
		{registry + "http://localhost:8081" + token, "", ""},
		{registry + "http://registry" + token + allowRegistry, "", "SPOUT_SCHEMA_REGISTRY_URL"},
		{registry + "http://registry" + token + allowSASL, "SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS", ""},
	} {
		s, err := Parse(least(strings.Fields(c.environment)...))
		if err != nil {
			t.Errorf("%s: %v", c.environment, err)
			continue
		}
		var refused string
		if err := s.ValidateSecrets(); err != nil {
			refused = err.Error()
		}
		warned := s.Warnings().Error()
		if !strings.Contains(refused, c.refused) || (c.refused == "") != (refused == "") || !strings.Contains(warned, c.warned) || (c.warned == "") != (warned == "") {
			t.Errorf("%s: refused %q, warned %q", c.environment, refused, warned)
		}
	}
}

// TestMayLogin is about brokers that other brokers have told of.
func TestMayLogin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k      Kafka
		broker string
		want   bool
	}{
		{Kafka{SASL: SASL{Mechanism: "plain"}}, "127.0.0.1:9092", true},
		{Kafka{SASL: SASL{Mechanism: "plain"}}, "kafka:9092", false},
		{Kafka{SASL: SASL{Mechanism: "oauthbearer"}}, "kafka:9092", false},
		{Kafka{SASL: SASL{Mechanism: "plain"}, TLS: OptionalTLS{Enabled: true}}, "kafka:9092", true},
		{Kafka{SASL: SASL{Mechanism: "plain", AllowCleartext: true}}, "kafka:9092", true},
		{Kafka{SASL: SASL{Mechanism: "scram-sha-256"}}, "kafka:9092", true},
		{Kafka{}, "kafka:9092", true},
	} {
		if c.k.MayLogin(c.broker) != c.want {
			t.Errorf("%+v at %s: %v", c.k, c.broker, !c.want)
		}
	}
}

// TestAddressesAreRedacted: whatever is wrong with an address, nobody sees the
// password that got into it.
func TestAddressesAreRedacted(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, v := range Variables() {
		if !v.Address {
			if strings.HasSuffix(v.Name, "_URL") || strings.Contains(v.Name, "BROKERS") {
				t.Errorf("%s is not marked as an address", v.Name)
			}
			continue
		}
		for _, value := range []string{"https://me:hunter2@a.example.com", "https://me:hunter2@a.example.com:9092", "https://hunter2@a/", "me:hunter2@a:9092", "x://me:hunter2@a",
			"https://me:hunter2%zz@a", "https://me:hunter2 @a", "https://me:hunter2#@a", "https://me:hunter2/@a", "https://me:,hunter2,@a:9092", "https://me:hunter2@[a", "http://a:b/?key=hunter2", "//me:hunter2@a"} {
			for _, mechanism := range []string{"", "oauthbearer"} {
				environ := []string{"SPOUT_KAFKA_TOPICS=t", "SPOUT_KAFKA_BROKERS=a:1", "SPOUT_KAFKA_SASL_MECHANISM=" + mechanism, v.Name + "=" + value}
				s, err := Parse(environ)
				if err == nil {
					err = s.ValidateSecrets()
				}
				if err == nil || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s=%s: %v", v.Name, value, err)
				}
				tried++
			}
		}
	}
	if tried < 3*13*2 {
		t.Errorf("only %d tried", tried)
	}
}
