// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func webhookEnvironment(endpoint string, more ...string) []string {
	return append([]string{"SPOUT_SOURCE=webhook", `SPOUT_WEBHOOK_ENDPOINTS={"e":` + endpoint + `}`}, more...)
}

// Named objects come back as they were written, defaults left out, whatever the
// order and the notation.
func TestNamedObjects(t *testing.T) {
	t.Parallel()
	s, err := Parse(webhookEnvironment(`{"tolerance":"60s","auth":"github","secret_files":["/b","/a"],"max_rate":5,"body":"whole","id":""}`))
	if err != nil {
		t.Fatal(err)
	}
	rendered := s.Environment()["SPOUT_WEBHOOK_ENDPOINTS"]
	if want := `{"e":{"auth":"github","max_rate":5,"secret_files":["/b","/a"],"tolerance":"1m"}}`; rendered != want {
		t.Errorf("%s, should be %s", rendered, want)
	}
	again, err := Parse([]string{"SPOUT_SOURCE=webhook", "SPOUT_WEBHOOK_ENDPOINTS=" + rendered})
	if err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("%v\n%+v\n%+v", err, again, s)
	}
	for text, want := range map[string]string{
		`{"e":{"auth":"github"`: "JSON object of JSON objects", `[]`: "JSON object of JSON objects", `{"e":1}`: "JSON object of JSON objects", `{} {}`: "nothing after it",
		`{"e":{"boddy":"whole"}}`: "did you mean body?", `{"e":{"max_rate":"many"}}`: "whole number", `{"e":{"secret_files":"/a"}}`: "list of texts", `{"e":{"auth":1}}`: "in double quotes",
		`{"e":{"tolerance":"long"}}`: "length of time", `{"e":{"allow_unauthenticated":"true"}}`: "true or false",
	} {
		if _, err := Parse([]string{"SPOUT_SOURCE=webhook", "SPOUT_WEBHOOK_ENDPOINTS=" + text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, should have %q", text, err, want)
		}
	}
}

// What does not go together is refused, with the endpoint, the field and the fix.
func TestWebhookProblems(t *testing.T) {
	t.Parallel()
	secret := `"secret_files":["/x"]`
	for endpoint, want := range map[string]string{
		`{}`:              `endpoint "e", which has no auth; set it to one of standard, github`,
		`{"auth":"none"}`: "set its allow_unauthenticated to true",
		`{"auth":"github","allow_unauthenticated":true,` + secret + `}`:                        "has allow_unauthenticated, although its auth is github",
		`{"auth":"hub",` + secret + `}`:                                                        `has the auth "hub"; it must be one of`,
		`{"auth":"github"}`:                                                                    "has no secret_files",
		`{"auth":"github","secret_files":["x"]}`:                                               "absolute path",
		`{"auth":"github","secret_files":["/a/../x"]}`:                                         "absolute path",
		`{"auth":"none","allow_unauthenticated":true,` + secret + `}`:                          "does not look at",
		`{"auth":"certificate"}`:                                                               "SPOUT_WEBHOOK_CLIENT_CA",
		`{"auth":"github","client_names":["a"],` + secret + `}`:                                "client_names",
		`{"auth":"hmac",` + secret + `}`:                                                       "signature_header",
		`{"auth":"github","signature_header":"X",` + secret + `}`:                              "goes with the auth hmac only",
		`{"auth":"hmac","signature_header":"X","signature_text":"x",` + secret + `}`:           "must have {body} once",
		`{"auth":"hmac","signature_header":"X","signature_text":"{bdy}{body}",` + secret + `}`: "has {bdy} in signature_text",
		`{"auth":"hmac","signature_header":"X","signature_text":"{id}{body}",` + secret + `}`:  "{id} with an id header:NAME",
		`{"auth":"hmac","signature_header":"X","timestamp_header":"Y",` + secret + `}`:         "that is not signed",
		`{"auth":"github","id":"X",` + secret + `}`:                                            "header:NAME, value:FIELD or none",
		`{"auth":"github","id":"value:a","body":"multipart",` + secret + `}`:                   "for which body must be whole",
		`{"auth":"github","id":"header:a","body":"cloudevents",` + secret + `}`:                "ids of their own",
		`{"auth":"github","body":"json",` + secret + `}`:                                       `has the body "json"`,
		`{"auth":"github","ack":"later",` + secret + `}`:                                       `has the ack "later"`,
		`{"auth":"github","path":"x",` + secret + `}`:                                          "must be a path",
		`{"auth":"github","path":"/x/",` + secret + `}`:                                        "must be a path",
		`{"auth":"github","path":"/x/../y",` + secret + `}`:                                    "must be a path",
		`{"auth":"github","path":"/healthz",` + secret + `}`:                                   "/healthz",
		`{"auth":"github","handshakes":["other"],` + secret + `}`:                              "has the handshake",
		`{"auth":"github","handshakes":["sns"],` + secret + `}`:                                "goes with the auth basic",
		`{"auth":"github","handshakes":["slack"],` + secret + `}`:                              "goes with the auth slack",
		`{"auth":"github","handshakes":["challenge"],` + secret + `}`:                          "no verify_token_files",
		`{"auth":"github","verify_token_files":["/y"],` + secret + `}`:                         "for the handshake challenge",
		`{"auth":"github","headers":["Authorization"],` + secret + `}`:                         "holds a secret",
		`{"auth":"github","headers":["a b"],` + secret + `}`:                                   "not a name of a header",
		`{"auth":"github","max_rate":-1,` + secret + `}`:                                       "negative",
		`{"auth":"github",` + secret + `},"f":{"auth":"github","path":"/e",` + secret + `}`:    `has the path /e of the endpoint "e"`,
		`{"auth":"github",` + secret + `},"Big":{"auth":"github",` + secret + `}`:              "lower-case letters",
	} {
		_, err := Parse(webhookEnvironment(endpoint))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, should have %q", endpoint, err, want)
		}
	}
	good := `{"auth":"github",` + secret + `}`
	for variable, want := range map[string]string{
		"SPOUT_WEBHOOK_PORT=0": "a port from 1 to 65535", "SPOUT_WEBHOOK_PORT=1600": "Pachyderm does not use", "SPOUT_WEBHOOK_PORT=9464": "the port of the status page",
		"SPOUT_WEBHOOK_ADDRESS=here": "must be an IP address", "SPOUT_WEBHOOK_ACK_TIMEOUT=1ms": "100ms", "SPOUT_WEBHOOK_BODY_TIMEOUT=0s": "1s", "SPOUT_WEBHOOK_MAX_CONNECTIONS=0": "from 1 to",
		"SPOUT_WEBHOOK_MAX_IDS=50001": "50000", "SPOUT_WEBHOOK_MAX_ID_AGE=1s": "1m", "SPOUT_WEBHOOK_MAX_BODY_BYTES=17MiB": "16MiB, a sixteenth of SPOUT_MEMORY_BUDGET",
		"SPOUT_WEBHOOK_TLS_CERT_FILE=/x": "SPOUT_WEBHOOK_TLS_KEY_FILE", "SPOUT_WEBHOOK_CLIENT_CA=x": "SPOUT_WEBHOOK_CLIENT_CA must hold certificates", "SPOUT_KAFKA_TOPICS=x": "is a setting of the source kafka",
	} {
		if _, err := Parse(webhookEnvironment(good, variable)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, should have %q", variable, err, want)
		}
	}
	if _, err := Parse(webhookEnvironment(good)); err != nil {
		t.Error(err)
	}
}

// Credentials that come over plain HTTP are refused unless that is allowed; what
// is signed is not.
func TestWebhookCleartext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		auth, more      string
		refused, warned bool
	}{
		{"bearer", "", true, false}, {"basic", "", true, false}, {"gitlab", "", true, false}, {"github", "", false, false}, {"bearer", "SPOUT_WEBHOOK_ADDRESS=127.0.0.1", false, false},
		{"bearer", "SPOUT_WEBHOOK_TLS_CERT_FILE=/a", false, false}, {"bearer", "SPOUT_WEBHOOK_ALLOW_CLEARTEXT_CREDENTIALS=true", false, true},
	} {
		environ := webhookEnvironment(`{"auth":"`+c.auth+`","secret_files":["/x"]}`, c.more)
		if strings.Contains(c.more, "CERT_FILE") {
			environ = append(environ, "SPOUT_WEBHOOK_TLS_KEY_FILE=/b")
		}
		s, err := Parse(environ)
		if err != nil {
			t.Fatal(err)
		}
		var problems Problems
		if err := s.ValidateSecrets(); errors.As(err, &problems) != c.refused {
			t.Errorf("%s %s: %v", c.auth, c.more, err)
		}
		if warned := len(s.Warnings()) > 0; warned != c.warned {
			t.Errorf("%s %s: %v", c.auth, c.more, s.Warnings())
		}
	}
	s, err := Parse(webhookEnvironment(`{"auth":"certificate"}`, "SPOUT_WEBHOOK_CLIENT_CA_FILE=/ca"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ValidateSecrets(); err == nil || !strings.Contains(err.Error(), "SPOUT_WEBHOOK_TLS_CERT") {
		t.Errorf("certificates without TLS: %v", err)
	}
}

// FuzzNamedObjects: what was read is written so that it is read again as the same.
func FuzzNamedObjects(f *testing.F) {
	f.Add(`{"e":{"auth":"github","secret_files":["/x"],"tolerance":"1m"}}`)
	f.Add(`{"a":{},"":{"max_rate":-1,"allow_unauthenticated":true}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var o, again Objects[WebhookEndpoint]
		if o.UnmarshalText([]byte(text)) != nil {
			return
		}
		rendered, err := o.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if len(o) == 0 {
			return
		}
		if !json.Valid(rendered) {
			t.Fatalf("%s", rendered)
		}
		if err := again.UnmarshalText(rendered); err != nil {
			t.Fatalf("%s became %s: %v", text, rendered, err)
		}
		back, err := again.MarshalText()
		if err != nil || string(back) != string(rendered) {
			t.Fatalf("%s became %s", rendered, back)
		}
	})
}
