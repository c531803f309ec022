// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"
	"maps"
	"slices"
	"testing"
)

// samples are values of the variables that rules compare with each other; ""
// stands for a variable that is not set.
var samples = map[string][]string{
	"SPOUT_KAFKA_TOPICS":              {"orders", "orders,refunds", "own"},
	"SPOUT_KAFKA_TOPICS_PATTERN":      {"orders.*", "refunds"},
	"SPOUT_KAFKA_START_OFFSETS":       {"orders:0=1", "refunds:0=1"},
	"SPOUT_KAFKA_FETCH_MAX_BYTES":     {"64KiB", "1GiB"},
	"SPOUT_KAFKA_MAX_BATCH_BYTES":     {"2MiB"},
	"SPOUT_MEMORY_BUDGET":             {"1MiB", "8GiB"},
	"SPOUT_KAFKA_TLS":                 {"true"},
	"SPOUT_KAFKA_TLS_SERVER_NAME":     {"kafka"},
	"SPOUT_KAFKA_TLS_CA":              {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
	"SPOUT_KAFKA_TLS_CA_FILE":         {"/ca"},
	"SPOUT_KAFKA_TLS_CERT_FILE":       {"/cert"},
	"SPOUT_KAFKA_TLS_KEY_FILE":        {"/key"},
	"SPOUT_KAFKA_SASL_MECHANISM":      {"plain", "oauthbearer"},
	"SPOUT_KAFKA_SASL_TOKEN_URL":      {"https://login.example.com/token", "http://login.example.com/token"},
	"SPOUT_KAFKA_SASL_SCOPE":          {"kafka"},
	"SPOUT_KAFKA_SASL_EXTENSIONS":     {"a=b"},
	"SPOUT_FILE_FORMAT":               {"jsonl", "avro"},
	"SPOUT_FILE_COMPRESSION":          {"zstd", "snappy"},
	"SPOUT_FILE_PATH":                 {"_schemas/{partition}/{first_offset}", "_dead_letters/{partition}/{first_offset}", "own/{topic}/{partition}/{first_offset}/{value:id}", "{key}/{partition}/{first_offset}"},
	"SPOUT_RECORD_FILTER":             {"key exists", "value:id exists"},
	"SPOUT_RECORD_FIELDS":             {"id"},
	"SPOUT_RECORD_MASK":               {"id=hash"},
	"SPOUT_RECORD_ON_NULL":            {"drop"},
	"SPOUT_RECORD_ON_REFUSED":         {"dead_letter"},
	"SPOUT_RECORD_DEAD_LETTER_FOLDER": {"own", "_schemas"},
	"SPOUT_SCHEMA_REGISTRY_URL":       {"http://registry", "https://registry"},

	"SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS":      {"true"},
	"SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS": {"true"},

	"SPOUT_SCHEMA_REGISTRY_TLS_SERVER_NAME": {"registry"},
	"SPOUT_SCHEMA_REGISTRY_TLS_CA_FILE":     {"/ca"},
	"SPOUT_SCHEMA_REGISTRY_TLS_CERT_FILE":   {"/cert"},
	"SPOUT_SCHEMA_REGISTRY_TLS_KEY_FILE":    {"/key"},
	"SPOUT_SCHEMA_REGISTRY_TLS_CERT":        {"c"},
	"SPOUT_SCHEMA_REGISTRY_TLS_KEY":         {"k"},
	"SPOUT_SCHEMA_REGISTRY_TLS_CA":          {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
	"SPOUT_SCHEMA_REGISTRY_FOLDER":          {"own", "_dead_letters"},
	"SPOUT_KAFKA_TLS_CERT":                  {"c"},
	"SPOUT_KAFKA_TLS_KEY":                   {"k"},
	"SPOUT_KAFKA_SASL_USERNAME":             {"u"},
	"SPOUT_KAFKA_SASL_PASSWORD":             {"p"},
	"SPOUT_SCHEMA_REGISTRY_USERNAME":        {"u"},
	"SPOUT_SCHEMA_REGISTRY_PASSWORD":        {"p"},
	"SPOUT_SCHEMA_REGISTRY_TOKEN":           {"t"},
}

// TestProblemsSayWhatTheyComeFrom: a plan passes over what may be right once a
// value is known. So where one variable more makes settings right, each of
// their problems has to name it. It tries all settings of one or two of the
// samples, and of one more than some that call for others.
func TestProblemsSayWhatTheyComeFrom(t *testing.T) {
	t.Parallel()
	var names []string
	for name := range samples {
		if !slices.ContainsFunc(variables, func(v Variable) bool { return v.Name == name }) {
			t.Fatalf("there is no %s", name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	found := 0
	for n, base := range []map[string]string{
		{"SPOUT_KAFKA_TOPICS": "orders"},
		{},
		{"SPOUT_KAFKA_TOPICS_PATTERN": "orders"},
		{"SPOUT_KAFKA_TOPICS": "orders", "SPOUT_SCHEMA_REGISTRY_URL": "https://registry", "SPOUT_FILE_FORMAT": "avro"},
		{"SPOUT_KAFKA_TOPICS": "orders", "SPOUT_RECORD_ON_REFUSED": "dead_letter"},
		{"SPOUT_KAFKA_TOPICS": "orders", "SPOUT_KAFKA_SASL_USERNAME": "u", "SPOUT_KAFKA_SASL_PASSWORD": "p"},
	} {
		for i, first := range names {
			for _, a := range samples[first] {
				known := maps.Clone(base)
				known[first] = a
				found += problemsWithout(t, known, names)
				if n > 0 {
					continue
				}
				for _, second := range names[i+1:] {
					for _, b := range samples[second] {
						known := maps.Clone(known)
						known[second] = b
						found += problemsWithout(t, known, names)
					}
				}
			}
		}
	}
	if found == 0 {
		t.Error("nothing was wrong anywhere")
	}
}

// problemsWithout tries all variables that are not known.
func problemsWithout(t *testing.T, known map[string]string, names []string) (found int) {
	t.Helper()
	problems := problemsIn(known)
	if len(problems) == 0 {
		return 0
	}
	for _, name := range names {
		if _, ok := known[name]; ok {
			continue
		}
		for _, value := range samples[name] {
			known[name] = value
			right := len(problemsIn(known)) == 0
			delete(known, name)
			if !right {
				continue
			}
			for _, p := range problems {
				if p.Variable != name && !slices.Contains(p.With, name) {
					t.Errorf("%v is right with %s=%s, which this problem does not name: %+v", known, name, value, p)
				}
				found++
			}
			break
		}
	}
	return found
}

// problemsIn are those of settings and of secrets.
func problemsIn(values map[string]string) (all Problems) {
	environ := []string{"SPOUT_KAFKA_BROKERS=kafka:9092"}
	for name, value := range values {
		environ = append(environ, name+"="+value)
	}
	s, err := Parse(environ)
	for _, err := range []error{err, s.ValidateSecrets()} {
		var problems Problems
		errors.As(err, &problems)
		all = append(all, problems...)
	}
	return all
}
