// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"strings"
	"testing"
)

func leastNATS(more ...string) []string {
	return append([]string{"SPOUT_SOURCE=nats", "SPOUT_NATS_SERVERS=nats:4222", "SPOUT_NATS_STREAM=ORDERS"}, more...)
}

func TestNATSIsTaken(t *testing.T) {
	t.Parallel()
	for _, more := range [][]string{
		nil,
		{"SPOUT_NATS_SUBJECTS=orders.eu.>,orders.us.*"},
		{"SPOUT_NATS_START=latest", "SPOUT_NATS_DOMAIN=leaf", "SPOUT_NATS_INBOX_PREFIX=_INBOX.orders"},
		{"SPOUT_NATS_RETENTION=workqueue", "SPOUT_NATS_CONSUMER=orders"},
		{"SPOUT_NATS_RETENTION=interest", "SPOUT_NATS_CONSUMER=orders", "SPOUT_NATS_START=2026-01-31T00:00:00Z"},
		{"SPOUT_NATS_TLS=true", "SPOUT_NATS_HANDSHAKE_FIRST=true", "SPOUT_NATS_USER_CREDENTIALS_FILE=/etc/nats/user.creds"},
	} {
		s, err := Parse(leastNATS(more...))
		if err != nil {
			t.Errorf("%v: %v", more, err)
		}
		if got := s.FilePath().String(); got != "{stream}/{first_sequence}-{last_sequence}.{ext}" {
			t.Error(got)
		}
	}
}

func TestNATSProblems(t *testing.T) {
	t.Parallel()
	for environment, want := range map[string]string{
		"SPOUT_NATS_SERVERS=nats://a:4222":                            `SPOUT_NATS_SERVERS="nats://a:4222" must be host:port, such as nats.example.com:4222, without nats://`,
		"SPOUT_NATS_STREAM=a.b":                                       `SPOUT_NATS_STREAM="a.b" must be the name of a stream`,
		"SPOUT_NATS_SUBJECTS=a..b":                                    `SPOUT_NATS_SUBJECTS="a..b" is not a subject`,
		"SPOUT_NATS_SUBJECTS=a.>.b":                                   `SPOUT_NATS_SUBJECTS="a.>.b" is not a subject`,
		"SPOUT_NATS_SUBJECTS=a.*,a.b":                                 `has a.* and a.b, which match the same messages`,
		"SPOUT_NATS_SUBJECTS=a.b.c,a.>":                               `has a.b.c and a.>, which match the same messages`,
		"SPOUT_NATS_RETENTION=queue":                                  `SPOUT_NATS_RETENTION="queue" must be one of limits, workqueue, interest`,
		"SPOUT_NATS_CONSUMER=x":                                       `SPOUT_NATS_CONSUMER="x" is for streams whose messages are acknowledged; set SPOUT_NATS_RETENTION to workqueue or interest`,
		"SPOUT_NATS_RETENTION=interest":                               `SPOUT_NATS_CONSUMER must name the consumer, since SPOUT_NATS_RETENTION is interest`,
		"SPOUT_NATS_RETENTION=interest SPOUT_NATS_CONSUMER=a.b":       `SPOUT_NATS_CONSUMER="a.b" must be a name without blanks`,
		"SPOUT_NATS_RETENTION=workqueue SPOUT_NATS_START=latest":      `SPOUT_NATS_START="latest" must be earliest, since SPOUT_NATS_RETENTION is workqueue`,
		"SPOUT_NATS_RETENTION=workqueue SPOUT_NATS_ACK_WAIT=5ms":      `SPOUT_NATS_ACK_WAIT="5ms" must be from 1s to 1h`,
		"SPOUT_NATS_RETENTION=workqueue SPOUT_NATS_MAX_ACK_PENDING=0": `SPOUT_NATS_MAX_ACK_PENDING="0" must be from 1 to 100000`,
		"SPOUT_NATS_START=yesterday":                                  `SPOUT_NATS_START="yesterday" must be earliest, latest or a time`,
		"SPOUT_NATS_INBOX_PREFIX=a.>":                                 `SPOUT_NATS_INBOX_PREFIX="a.>" must be a subject without * and >`,
		"SPOUT_NATS_DOMAIN=a.b":                                       `SPOUT_NATS_DOMAIN="a.b" must be the name of a JetStream domain`,
		"SPOUT_NATS_FETCH_MAX_BYTES=1GiB":                             `SPOUT_NATS_FETCH_MAX_BYTES="1GiB" must be from 64KiB to 32MiB, an eighth of SPOUT_MEMORY_BUDGET`,
		"SPOUT_NATS_HANDSHAKE_FIRST=true":                             `SPOUT_NATS_HANDSHAKE_FIRST="true" goes with TLS`,
		"SPOUT_NATS_TLS_SERVER_NAME=x":                                `SPOUT_NATS_TLS="false" must be true`,
		"SPOUT_FILE_PATH={stream}/{partition}/{first_sequence}.{ext}": `SPOUT_FILE_PATH`,
		"SPOUT_KAFKA_TOPICS=x":                                        `SPOUT_KAFKA_TOPICS="x" is a setting of the source kafka`,
		"SPOUT_NATS_SERVERS=user:pw@a:4222":                           `SPOUT_NATS_SERVERS=`,
	} {
		_, err := Parse(leastNATS(strings.Fields(environment)...))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pw@") {
			t.Errorf("%s:\n got %v\nwant %s", environment, err, want)
		}
	}
}

// There is one way to log in, and no password goes over a network in the clear.
func TestNATSLogins(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"SPOUT_NATS_TOKEN=t":                                                         "SPOUT_NATS_TOKEN is a password or token that everybody on the way to nats:4222 can read",
		"SPOUT_NATS_TOKEN=t SPOUT_NATS_TLS=true":                                     "",
		"SPOUT_NATS_TOKEN=t SPOUT_NATS_ALLOW_CLEARTEXT_CREDENTIALS=true":             "",
		"SPOUT_NATS_TOKEN=t SPOUT_NATS_SERVERS=127.0.0.1:4222":                       "",
		"SPOUT_NATS_NKEY_SEED=SUx":                                                   "",
		"SPOUT_NATS_USERNAME=u SPOUT_NATS_TLS=true":                                  "SPOUT_NATS_USERNAME, SPOUT_NATS_PASSWORD go together",
		"SPOUT_NATS_TOKEN=t SPOUT_NATS_USER_CREDENTIALS=c SPOUT_NATS_TLS=true":       "SPOUT_NATS_USER_CREDENTIALS cannot be set together with SPOUT_NATS_TOKEN",
		"SPOUT_NATS_NKEY_SEED=t SPOUT_NATS_USER_CREDENTIALS_FILE=c":                  "SPOUT_NATS_USER_CREDENTIALS_FILE cannot be set together with SPOUT_NATS_NKEY_SEED",
		"SPOUT_NATS_USERNAME=u SPOUT_NATS_PASSWORD=p SPOUT_NATS_SERVERS=[::1]:4222":  "",
		"SPOUT_NATS_USERNAME=u SPOUT_NATS_PASSWORD=p SPOUT_NATS_SERVERS=a:1,[::1]:1": "everybody on the way to a:1 can read",
	} {
		s, err := Parse(leastNATS(strings.Fields(given)...))
		if err != nil {
			t.Fatal(given, err)
		}
		if err = s.ValidateSecrets(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", given, err, want)
		}
	}
	s, err := Parse(leastNATS("SPOUT_NATS_NKEY_SEED=SUx"))
	if err != nil || len(s.Warnings()) != 1 || !strings.Contains(s.Warnings().Error(), "can read the records") {
		t.Error(err, s.Warnings())
	}
}
