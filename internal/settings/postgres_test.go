// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"slices"
	"strings"
	"testing"
)

// Each problem with the settings names the variable, the value and what to write.
func TestPostgresProblems(t *testing.T) {
	t.Parallel()
	least := []string{"SPOUT_SOURCE=postgres", "SPOUT_POSTGRES_HOST=db.example.com", "SPOUT_POSTGRES_DATABASE=shop", "SPOUT_POSTGRES_SLOT=orders", "SPOUT_POSTGRES_TABLES=orders,sales.lines"}
	s, err := Parse(least)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.FilePath().String(); got != "{table}/{first_ordinal}-{last_ordinal}.{ext}" {
		t.Error(got)
	}
	if got := s.streams().names; !slices.Equal(got, []string{"public.orders", "sales.lines"}) {
		t.Error(got)
	}
	if w := s.Warnings().Error(); !strings.Contains(w, "without TLS") {
		t.Errorf("it does not warn of rows that others can read: %s", w)
	}
	for setting, want := range map[string]string{
		"SPOUT_POSTGRES_HOST=":                                "must be one host name",
		"SPOUT_POSTGRES_HOST=db:5432":                         `SPOUT_POSTGRES_HOST="db:5432" must be one host name`,
		"SPOUT_POSTGRES_HOST=a,b":                             "must be one host name",
		"SPOUT_POSTGRES_PORT=0":                               "must be a port",
		"SPOUT_POSTGRES_DATABASE=":                            "must name the database",
		"SPOUT_POSTGRES_SLOT=My-Slot":                         `SPOUT_POSTGRES_SLOT="My-Slot" must be 1 to 63 lower-case`,
		"SPOUT_POSTGRES_TABLES=":                              "at least one table",
		"SPOUT_POSTGRES_TABLES=a,public.a":                    "is there twice",
		"SPOUT_POSTGRES_TABLES=.a":                            "must be schema.table",
		"SPOUT_POSTGRES_PUBLICATION=p":                        "cannot be set together",
		"SPOUT_POSTGRES_SNAPSHOT=always":                      "must be one of initial, never",
		"SPOUT_POSTGRES_SHAPE=nested":                         "must be one of flat, debezium",
		"SPOUT_POSTGRES_SHAPE=flat":                           "does not say what has become of a row",
		"SPOUT_POSTGRES_ON_RESET=go":                          "must be one of stop, restart",
		"SPOUT_POSTGRES_IDLE_INTERVAL=10ms":                   "must be at least 1s",
		"SPOUT_POSTGRES_TLS_SERVER_NAME=x":                    "must be true, since other TLS settings",
		"SPOUT_SCHEMA_REGISTRY_URL=http://x":                  "the database has its own schemas",
		"SPOUT_FILE_FORMAT=avro SPOUT_RECORD_MASK=a=hide":     "must be FIELD=hash or FIELD=redact",
		"SPOUT_FILE_FORMAT=parquet SPOUT_POSTGRES_SHAPE=flat": "leave it out",
		"SPOUT_KAFKA_BROKERS=a:1":                             "is a setting of the source kafka",
	} {
		_, err := Parse(append(slices.Clone(least), strings.Fields(setting)...))
		if setting == "SPOUT_POSTGRES_HOST=" || setting == "SPOUT_POSTGRES_DATABASE=" || setting == "SPOUT_POSTGRES_TABLES=" { // empty is as unset
			name, _, _ := strings.Cut(setting, "=")
			_, err = Parse(slices.DeleteFunc(slices.Clone(least), func(s string) bool { return strings.HasPrefix(s, name) }))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", setting, err)
		}
	}
	if err := s.ValidateSecrets(); err == nil || !strings.Contains(err.Error(), "SPOUT_POSTGRES_USER must be set") {
		t.Error(err)
	}
	s.Postgres.User, s.Postgres.Username = "a", "b"
	if err := s.ValidateSecrets(); err == nil || !strings.Contains(err.Error(), "cannot be set together") {
		t.Error(err)
	}
}

// Streams have names that are fit for paths, and no two tables the same one.
func TestPostgresStreams(t *testing.T) {
	t.Parallel()
	if a, b := PostgresStream("a", "b.c"), PostgresStream("a.b", "c"); a == b || a != "a.b%2Ec" {
		t.Error(a, b)
	}
	if got := PostgresStream("..", "/é"); got != "%2E%2E./é" {
		t.Error(got)
	}
}
