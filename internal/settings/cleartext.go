// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"slices"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// exposure is a connection over which credentials go so that whoever is on the
// way can take them.
type exposure struct {
	variable string
	value    string
	what     string // what everybody on the way can do, and why
	fix      string
	allow    string // the variable that allows it, "" where it is only warned of
	allowed  bool
	with     []string
}

// exposures lists what is not encrypted and leads out of this machine.
func (s Settings) exposures() []exposure {
	var list []exposure
	k, r := s.Kafka, s.SchemaRegistry
	if broker := k.exposedBroker(); broker != "" && k.SASLMechanism != "" {
		e := exposure{variable: "SPOUT_KAFKA_SASL_MECHANISM", value: k.SASLMechanism, fix: "use TLS (SPOUT_KAFKA_TLS)",
			allow: "SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS", allowed: k.SASLAllowCleartext, with: []string{"SPOUT_KAFKA_TLS", "SPOUT_KAFKA_BROKERS"}}
		switch {
		case k.sendsSecret():
			e.what = "sends a password or token that everybody on the way to " + address.Redacted(broker) + " can read, since there is no TLS"
		case strings.HasPrefix(k.SASLMechanism, "scram"):
			e.what, e.allow = "sends no password, but without TLS everybody on the way to "+address.Redacted(broker)+" can read the records, and guess at a weak password from what is sent", ""
		}
		if e.what != "" {
			list = append(list, e)
		}
	}
	if k.SASLMechanism == "oauthbearer" && address.IsClearHTTP(k.SASLTokenURL) {
		list = append(list, exposure{variable: "SPOUT_KAFKA_SASL_TOKEN_URL", value: address.Redacted(k.SASLTokenURL), fix: "use https://",
			what:  "gets the client secret so that everybody on the way can read it, since there is no TLS",
			allow: "SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS", allowed: k.SASLAllowCleartext, with: []string{"SPOUT_KAFKA_SASL_MECHANISM"}})
	}
	if address.IsClearHTTP(r.URL) && r.Username+r.Token != "" {
		list = append(list, exposure{variable: "SPOUT_SCHEMA_REGISTRY_URL", value: address.Redacted(r.URL), fix: "use https://",
			what:  "gets the credentials so that everybody on the way can read them, since there is no TLS",
			allow: "SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS", allowed: r.AllowCleartext, with: []string{"SPOUT_SCHEMA_REGISTRY_USERNAME", "SPOUT_SCHEMA_REGISTRY_TOKEN"}})
	}
	return list
}

// validateCleartext refuses to send credentials that others can read, unless
// that is allowed.
func (s Settings) validateCleartext() (p Problems) {
	for _, e := range s.exposures() {
		if e.allow != "" && !e.allowed {
			p.add(e.variable, e.value, e.what+"; "+e.fix+", or set "+e.allow+" to true where the network is trusted", append(e.with, e.allow)...)
		}
	}
	return p
}

// Warnings are what is allowed, but worth a warning. As in
// [Settings.ValidateSecrets], the secrets must be there.
func (s Settings) Warnings() (p Problems) {
	for _, e := range s.exposures() {
		if e.allow == "" || e.allowed {
			p.add(e.variable, e.value, e.what+"; "+e.fix, append(e.with, e.allow)...)
		}
	}
	return p
}

// sendsSecret says whether the mechanism sends what lets others log in.
func (k Kafka) sendsSecret() bool {
	return k.SASLMechanism == "plain" || k.SASLMechanism == "oauthbearer"
}

// MayLogin says whether the credentials may be sent to a broker: its address
// may be one that other brokers have told.
func (k Kafka) MayLogin(broker string) bool {
	return k.TLS || k.SASLAllowCleartext || !k.sendsSecret() || address.IsLoopback(broker)
}

// exposedBroker is a broker that is reached over the network without TLS.
func (k Kafka) exposedBroker() string {
	at := slices.IndexFunc(k.Brokers, func(broker string) bool { return !address.IsLoopback(broker) })
	if k.TLS || at < 0 {
		return ""
	}
	return k.Brokers[at]
}
