// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"strings"
	"testing"
)

func rabbitmq(environ ...string) []string {
	return append([]string{"SPOUT_SOURCE=rabbitmq", "SPOUT_RABBITMQ_ADDRESSES=127.0.0.1:5672"}, environ...)
}

// TestRabbitMQ: each problem names the variable and the fix.
func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	for environment, want := range map[string]string{
		"SPOUT_RABBITMQ_QUEUES=orders": "",
		"SPOUT_RABBITMQ_STREAMS=clicks SPOUT_RABBITMQ_START=next SPOUT_RABBITMQ_ON_GAP=skip": "",
		"SPOUT_RABBITMQ_SUPER_STREAMS=clicks SPOUT_RABBITMQ_START=2026-01-31T00:00:00Z":      "",
		"SPOUT_RABBITMQ_QUEUES=a SPOUT_RABBITMQ_CONSUMER_TIMEOUT=30s":                        "",
		"": "SPOUT_RABBITMQ_QUEUES must name at least one queue",
		"SPOUT_RABBITMQ_QUEUES=a SPOUT_RABBITMQ_STREAMS=b":                                        "read queues and streams with a spout each",
		"SPOUT_RABBITMQ_QUEUES=a,b,a":                                                             `SPOUT_RABBITMQ_QUEUES="a" is there twice`,
		"SPOUT_RABBITMQ_QUEUES=shop\x01orders":                                                    "no control characters",
		"SPOUT_RABBITMQ_QUEUES=a SPOUT_RABBITMQ_START=next":                                       `SPOUT_RABBITMQ_START="next" is for streams`,
		"SPOUT_RABBITMQ_QUEUES=a SPOUT_RABBITMQ_ON_RESET=restart":                                 "is for streams",
		"SPOUT_RABBITMQ_QUEUES=a SPOUT_RABBITMQ_PREFETCH=1":                                       "must be from 2 to 25000",
		"SPOUT_RABBITMQ_QUEUES=a,b,c SPOUT_RABBITMQ_PREFETCH=20000":                               "must be at most 16666 with 3 queues",
		"SPOUT_RABBITMQ_QUEUES=a SPOUT_RABBITMQ_CONSUMER_TIMEOUT=29s":                             "must be at least 30s, three times `SPOUT_BATCH_MAX_AGE`",
		"SPOUT_RABBITMQ_STREAMS=a SPOUT_RABBITMQ_START=latest":                                    "must be first, next or a time",
		"SPOUT_RABBITMQ_STREAMS=a SPOUT_RABBITMQ_ADDRESSES=rabbitmq":                              "must be host:port",
		"SPOUT_RABBITMQ_STREAMS=a SPOUT_RABBITMQ_MECHANISM=scram":                                 "must be one of plain, external",
		"SPOUT_RABBITMQ_SUPER_STREAMS=a SPOUT_FILE_PATH={first_offset}":                           "must have {stream}, since several streams are read",
		"SPOUT_RABBITMQ_QUEUES=a SPOUT_FILE_PATH={queue}/{first_offset}":                          "known are {queue} {first_ordinal} {last_ordinal}",
		"SPOUT_RABBITMQ_QUEUES=a SPOUT_RABBITMQ_TLS_SERVER_NAME=x":                                "SPOUT_RABBITMQ_TLS",
		"SPOUT_RABBITMQ_QUEUES=a SPOUT_KAFKA_TOPICS=x":                                            "is a setting of the source kafka",
		"SPOUT_RABBITMQ_STREAMS=a SPOUT_RABBITMQ_ADDRESSES=amqp://u:geheim@rabbitmq.example:5672": "without a user or password",
	} {
		_, err := Parse(rabbitmq(strings.Fields(environment)...))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if want == "" && err != nil || !strings.Contains(text, strings.ReplaceAll(want, "`", "")) || strings.Contains(text, "geheim") {
			t.Errorf("%s: %v, should be %q", environment, err, want)
		}
	}
}

// TestRabbitMQSecrets: what goes with each way to log in, and where the password
// would be read by others.
func TestRabbitMQSecrets(t *testing.T) {
	t.Parallel()
	const login = " SPOUT_RABBITMQ_USERNAME=u SPOUT_RABBITMQ_PASSWORD=p"
	for environment, want := range map[string]string{
		login: "",
		"":    "must both be set from a Kubernetes secret",
		"SPOUT_RABBITMQ_MECHANISM=external SPOUT_RABBITMQ_TLS=true":                                                            "needs a client certificate",
		"SPOUT_RABBITMQ_MECHANISM=external SPOUT_RABBITMQ_TLS=true SPOUT_RABBITMQ_TLS_CERT=c SPOUT_RABBITMQ_TLS_KEY=k":         "",
		"SPOUT_RABBITMQ_MECHANISM=external SPOUT_RABBITMQ_TLS=true SPOUT_RABBITMQ_TLS_CERT=c SPOUT_RABBITMQ_TLS_KEY=k" + login: "takes the user from the client certificate",
		"SPOUT_RABBITMQ_ADDRESSES=rabbitmq.example.com:5672" + login:                                                           "gets a password that everybody on the way can read",
		"SPOUT_RABBITMQ_ADDRESSES=rabbitmq.example.com:5671 SPOUT_RABBITMQ_TLS=true" + login:                                   "",
		"SPOUT_RABBITMQ_ADDRESSES=rabbitmq.example.com:5672 SPOUT_RABBITMQ_ALLOW_CLEARTEXT_CREDENTIALS=true" + login:           "",
	} {
		s, err := Parse(rabbitmq(append([]string{"SPOUT_RABBITMQ_QUEUES=a"}, strings.Fields(environment)...)...))
		if err != nil {
			t.Errorf("%s: %v", environment, err)
			continue
		}
		text := ""
		if err := s.ValidateSecrets(); err != nil {
			text = err.Error()
		}
		if (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("%s: %q, should be %q", environment, text, want)
		}
	}
	s, err := Parse(rabbitmq("SPOUT_RABBITMQ_STREAMS=a"))
	if err != nil || s.Layout().Offset != "offset" || s.Layout().Stream != "stream" {
		t.Errorf("%+v %v", s.Layout(), err)
	}
}
