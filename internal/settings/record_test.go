// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"
	"strings"
	"testing"
)

// TestRecordProblems: as [TestProblems], for what is done to records and files.
func TestRecordProblems(t *testing.T) {
	t.Parallel()
	for environment, want := range map[string]string{
		"SPOUT_BATCH_MAX_FILES=0":           "must be at least 1",
		"SPOUT_RECORD_FILTER=key is 1":      `SPOUT_RECORD_FILTER="key is 1" has the operator "is"`,
		"SPOUT_RECORD_FIELDS=a,b.":          `SPOUT_RECORD_FIELDS="b." has the field "b."`,
		"SPOUT_RECORD_FIELDS=a.b,a":         "is part of a, which is kept whole",
		"SPOUT_RECORD_MASK=a":               `SPOUT_RECORD_MASK="a" must be FIELD=hash or FIELD=redact`,
		"SPOUT_RECORD_MASK=a=hash,a=redact": "is there twice",
		"SPOUT_RECORD_MASK=a=hash,a.b=hash": "is part of a, which is masked whole",
		"SPOUT_RECORD_MAX_BYTES=-1":         "must be a number of bytes",
		"SPOUT_RECORD_ON_NULL=stop":         "must be one of keep, drop",
		"SPOUT_RECORD_ON_REFUSED=drop":      "must be one of stop, dead_letter",
		"SPOUT_RECORD_DEAD_LETTER_FOLDER=/": "must be one folder's name",
		"SPOUT_FILE_COMPRESSION=snappy":     "is for avro and parquet only",
		"SPOUT_FILE_PATH_TIME=now":          "must be one of event, ingestion",
	} {
		_, err := Parse(least(environment))
		var problems Problems
		if !errors.As(err, &problems) || len(problems) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", environment, err, want)
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	f, err := ParseFilter(`value:a.b == "x y" and header:h != '' and key in (one, "two, three",4) and value:d missing and key exists`)
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, c := range f.Conditions {
		shown = append(shown, c.Of.String()+" "+c.Operator+" "+strings.Join(c.Texts, "|"))
	}
	if got := strings.Join(shown, "; "); got != "value:a.b == x y; header:h != ; key in one|two, three|4; value:d missing ; key exists " {
		t.Error(got)
	}
	for text, want := range map[string]string{
		"value:a":                      "ends within a condition",
		"":                             "ends within a condition",
		"a == b":                       `has "a", which is none of key, header:NAME and value:FIELD`,
		"key = b":                      `has the operator "="`,
		"key == b or key == c":         `has "or" where it should end`,
		"key == b and":                 "ends within a condition",
		"key == 'b":                    "quote that does not end",
		"key in (a b)":                 "not like (order, refund)",
		"key in ()":                    "no list after key in",
		"key in (a,)":                  "not like (order, refund)",
		"key == (":                     "no text after key ==",
		"value: == x":                  "none of key",
		"value:a..b == x":              `the field "a..b"`,
		"key exists \"and\" key == b1": "where it should end",
	} {
		if _, err := ParseFilter(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestSchemaRegistryProblems(t *testing.T) {
	t.Parallel()
	const registry = "SPOUT_SCHEMA_REGISTRY_URL=https://registry"
	for _, test := range []struct {
		want    string
		environ []string
	}{
		{"must be like https://registry.example.com", []string{"SPOUT_SCHEMA_REGISTRY_URL=registry:8081", "SPOUT_FILE_FORMAT=avro"}},
		{"must not hold a user name or password", []string{"SPOUT_SCHEMA_REGISTRY_URL=https://u:planted@registry", "SPOUT_FILE_FORMAT=avro"}},
		{"is for avro, parquet and jsonl files", []string{registry}},
		{"must be one of auto, confluent, azure, glue", []string{registry, "SPOUT_FILE_FORMAT=avro", "SPOUT_SCHEMA_REGISTRY_API=aws"}},
		{"must be one of micros, nanos, none", []string{registry, "SPOUT_FILE_FORMAT=avro", "SPOUT_SCHEMA_REGISTRY_LOGICAL_TYPES=millis"}},
		{"is for SPOUT_SCHEMA_REGISTRY_TOKEN_URL", []string{registry, "SPOUT_FILE_FORMAT=avro", "SPOUT_SCHEMA_REGISTRY_SCOPE=x"}},
		{"must be the URL of the token endpoint", []string{registry, "SPOUT_FILE_FORMAT=avro", "SPOUT_SCHEMA_REGISTRY_TOKEN_URL=login"}},
		{"is not for Glue", []string{"SPOUT_SCHEMA_REGISTRY_URL=https://glue.eu-west-1.amazonaws.com", "SPOUT_FILE_FORMAT=avro", "SPOUT_SCHEMA_REGISTRY_TOKEN_URL=https://login.example.com"}},
		{"must begin with https://", []string{"SPOUT_SCHEMA_REGISTRY_URL=http://r", "SPOUT_FILE_FORMAT=avro", "SPOUT_SCHEMA_REGISTRY_TLS_SERVER_NAME=x"}},
		{"can begin with the folder of the schemas", []string{registry, "SPOUT_FILE_FORMAT=avro", "SPOUT_FILE_PATH=_schemas/{partition}-{first_offset}"}},
		{"must be one folder's name", []string{"SPOUT_SCHEMA_REGISTRY_FOLDER=a/b"}},
	} {
		_, err := Parse(least(test.environ...))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%v: got %v, want %s", test.environ, err, test.want)
		}
	}
	for environ, want := range map[string]string{
		"SPOUT_SCHEMA_REGISTRY_USERNAME=u": "go together",
		"SPOUT_SCHEMA_REGISTRY_TOKEN=t":    "SPOUT_SCHEMA_REGISTRY_URL must be set",
		"SPOUT_SCHEMA_REGISTRY_TLS_KEY=k":  "go together",
	} {
		s, err := Parse(least(environ))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ValidateSecrets(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", environ, err)
		}
	}
}
