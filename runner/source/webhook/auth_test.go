// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

const slackCommand = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"

// vectors are signatures that the senders' own pages and libraries show.
var vectors = []struct {
	name, auth, secret, body string
	at                       int64
	headers                  map[string]string // one of which is the signature
	signature                string            // its name
}{
	{"Standard Webhooks", "standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`, 1614265330,
		map[string]string{"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330", "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}, "webhook-signature"},
	{"Svix", "standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`, 1614265330,
		map[string]string{"svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "svix-timestamp": "1614265330", "svix-signature": "v2,xxxx v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}, "svix-signature"},
	{"Standard Webhooks, asymmetric", "standard", "whpk_ZlN4eg7dSSqi0moX9hQUk3orrOouK3QVQSlJa248c/g=", `{"test": 2432232314}`, 1614265330,
		map[string]string{"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330", "webhook-signature": "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="}, "webhook-signature"},
	{"GitHub", "github", "It's a Secret to Everybody", "Hello, World!", 0,
		map[string]string{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}, "X-Hub-Signature-256"},
	{"Stripe", "stripe", "whsec_test_secret", `{"id":"evt_1","object":"event"}`, 1492774577,
		map[string]string{"Stripe-Signature": "t=1492774577,v1=00,v1=654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"}, "Stripe-Signature"},
	{"Slack", "slack", "8f742231b10e8888abcd99yyyzzz85a5", slackCommand, 1531420618,
		map[string]string{"X-Slack-Request-Timestamp": "1531420618", "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}, "X-Slack-Signature"},
	{"Shopify", "shopify", "hush", `{"id":1}`, 0, map[string]string{"X-Shopify-Hmac-Sha256": "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY="}, "X-Shopify-Hmac-Sha256"},
	{"GitLab", "gitlab", "a token", `{}`, 0, map[string]string{"X-Gitlab-Token": "a token"}, "X-Gitlab-Token"},
}

func endpointOf(t *testing.T, auth string) settings.WebhookEndpoint {
	return endpoints(t, fmt.Sprintf(`{"e":{"auth":%q,"secret_files":["/x"]}}`, auth)).Webhook.Endpoints["e"]
}

// verify checks a request as the source does.
func verify(t *testing.T, e settings.WebhookEndpoint, secrets []secret, headers map[string]string, body string, at time.Time) error {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "/e", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	proof, err := schemeOf(e).before(r, secrets, at)
	if err == nil && proof != nil {
		err = proof.check(secrets, []byte(body))
	}
	return err
}

func secretOf(t *testing.T, auth, text string) secret {
	t.Helper()
	one, _, err := readSecret(secretFile(t, text), auth)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// Signatures of the senders' own examples are good, with any of several secrets,
// and nothing that is like them.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			e, right := endpointOf(t, v.auth), secretOf(t, v.auth, v.secret)
			other := secretOf(t, v.auth, "whsec_"+base64.StdEncoding.EncodeToString([]byte("another secret, just as long")))
			at := time.Unix(v.at, 0)
			if v.at == 0 {
				at = time.Now()
			}
			for _, list := range [][]secret{{right}, {other, right}, {right, other}} {
				if err := verify(t, e, list, v.headers, v.body, at); err != nil {
					t.Errorf("with %d secrets: %v", len(list), err)
				}
			}
			refused := func(what string, secrets []secret, headers map[string]string, body string, at time.Time) {
				t.Helper()
				if verify(t, e, secrets, headers, body, at) == nil {
					t.Error(what + " is good enough")
				}
			}
			refused("another secret", []secret{other}, v.headers, v.body, at)
			refused("no secret at all", nil, v.headers, v.body, at)
			if v.auth != "gitlab" {
				refused("another body", []secret{right}, v.headers, v.body+" ", at)
				refused("an empty body", []secret{right}, v.headers, "", at)
			}
			for name := range v.headers {
				refused("a request without "+name, []secret{right}, with(v.headers, name, ""), v.body, at)
			}
			signature := v.headers[v.signature]
			for what, text := range map[string]string{"nothing behind the prefix": signature[:3], "a prefix of the signature": signature[:len(signature)-4],
				"another first letter": "!" + signature[1:], "blanks": "   ", "zeros": strings.Repeat("0", 64), "the word null": "null", "in capitals and cut": strings.ToUpper(signature[:len(signature)-1])} {
				if v.name == "Stripe" && what == "a prefix of the signature" || v.name == "Svix" && what == "another first letter" {
					continue // it takes from one that nobody looks at
				}
				refused(what, []secret{right}, with(v.headers, v.signature, text), v.body, at)
			}
			if v.at == 0 {
				return
			}
			refused("an old request", []secret{right}, v.headers, v.body, at.Add(5*time.Minute+time.Second))
			refused("one of the future", []secret{right}, v.headers, v.body, at.Add(-5*time.Minute-time.Second))
			if err := verify(t, e, []secret{right}, v.headers, v.body, at.Add(5*time.Minute)); err != nil {
				t.Errorf("within the tolerance: %v", err)
			}
		})
	}
}

// with is headers with one more, or without it.
func with(headers map[string]string, name, value string) map[string]string {
	out := map[string]string{name: value}
	for n, v := range headers {
		if n != name {
			out[n] = v
		}
	}
	if value == "" {
		delete(out, name)
	}
	return out
}

// A timestamp that is moved invalidates the signature, which it is part of.
func TestTimestampsAreSigned(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, v := range vectors {
		if v.at == 0 {
			continue
		}
		headers := map[string]string{}
		for name, value := range v.headers {
			headers[name] = strings.ReplaceAll(value, strconv.FormatInt(v.at, 10), seconds(now))
		}
		if err := verify(t, endpointOf(t, v.auth), []secret{secretOf(t, v.auth, v.secret)}, headers, v.body, now); err == nil {
			t.Errorf("%s: an old signature with a new time is good enough", v.name)
		}
	}
}

// A header that comes twice is refused: a server on the way may have looked at
// the other one.
func TestTwoHeaders(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		if v.auth == "gitlab" {
			continue
		}
		r, err := http.NewRequest(http.MethodPost, "/e", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range v.headers {
			r.Header.Add(name, value)
			r.Header.Add(name, value)
		}
		if _, err := schemeOf(endpointOf(t, v.auth)).before(r, []secret{secretOf(t, v.auth, v.secret)}, time.Unix(v.at, 0)); err == nil {
			t.Errorf("%s takes headers that are there twice", v.name)
		}
	}
}

// Signatures of other forms, as the settings say.
func TestGenericSignatures(t *testing.T) {
	t.Parallel()
	key, body, now := "a secret", `{"a":1}`, time.Now()
	sum := func(text string) string {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(text))
		return hex.EncodeToString(mac.Sum(nil))
	}
	sum512 := func(text string) string {
		mac := hmac.New(sha512.New, []byte(key))
		mac.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	for name, c := range map[string]struct {
		settings string
		headers  map[string]string
		good     bool
	}{
		"plain":               {`"signature_header":"X-S"`, map[string]string{"X-S": sum(body)}, true},
		"prefix":              {`"signature_header":"X-S","signature_prefix":"v1="`, map[string]string{"X-S": "v1=" + sum(body)}, true},
		"without the prefix":  {`"signature_header":"X-S","signature_prefix":"v1="`, map[string]string{"X-S": sum(body)}, false},
		"id and time":         {`"signature_header":"X-S","timestamp_header":"X-T","id":"header:X-I","signature_text":"{id}|{timestamp}|{body}|end"`, map[string]string{"X-S": sum("i1|" + seconds(now) + "|" + body + "|end"), "X-T": seconds(now), "X-I": "i1"}, true},
		"another id":          {`"signature_header":"X-S","id":"header:X-I","signature_text":"{id}{body}"`, map[string]string{"X-S": sum("i1" + body), "X-I": "i2"}, false},
		"an id that expands":  {`"signature_header":"X-S","timestamp_header":"X-T","id":"header:X-I","signature_text":"{id}.{timestamp}.{body}"`, map[string]string{"X-S": sum("{timestamp}." + seconds(now) + "." + body), "X-T": seconds(now), "X-I": "{timestamp}"}, true},
		"an old time":         {`"signature_header":"X-S","timestamp_header":"X-T","tolerance":"1s","signature_text":"{timestamp}.{body}"`, map[string]string{"X-S": sum(seconds(now.Add(-time.Minute)) + "." + body), "X-T": seconds(now.Add(-time.Minute))}, false},
		"sha512 in base64":    {`"signature_header":"X-S","signature_hash":"sha512","signature_encoding":"base64"`, map[string]string{"X-S": sum512(body)}, true},
		"another hash":        {`"signature_header":"X-S","signature_hash":"sha1"`, map[string]string{"X-S": sum(body)}, false},
		"an empty signature":  {`"signature_header":"X-S"`, map[string]string{"X-S": ""}, false},
		"a time that is text": {`"signature_header":"X-S","timestamp_header":"X-T","signature_text":"{timestamp}.{body}"`, map[string]string{"X-S": sum("now." + body), "X-T": "now"}, false},
	} {
		e := endpoints(t, `{"e":{"auth":"hmac","secret_files":["/x"],`+c.settings+`}}`).Webhook.Endpoints["e"]
		if err := verify(t, newEndpoint("e", e, nil).WebhookEndpoint, []secret{secretOf(t, "hmac", key)}, c.headers, body, now); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Tokens and passwords.
func TestTokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		auth, secret, header string
		good                 bool
	}{
		{"bearer", "a token\n", "Bearer a token", true}, {"bearer", "a token", "bearer a token", true}, {"bearer", "a token", "Bearer a toke", false},
		{"bearer", "a token", "Bearer ", false}, {"bearer", "a token", "", false}, {"bearer", "a token", "Basic a token", false}, {"bearer", "a token", "Bearer A token", false},
		{"basic", "user:pass:word", "Basic " + base64.StdEncoding.EncodeToString([]byte("user:pass:word")), true},
		{"basic", "user:pass", "Basic " + base64.StdEncoding.EncodeToString([]byte("user:")), false},
		{"basic", "user:pass", "Basic " + base64.StdEncoding.EncodeToString([]byte(":")), false},
		{"basic", "user:pass", "Basic dXNlcjpwYXNz!", false}, {"basic", "user:pass", "Bearer user:pass", false},
	} {
		if err := verify(t, endpointOf(t, c.auth), []secret{secretOf(t, c.auth, c.secret)}, map[string]string{"Authorization": c.header}, "", time.Now()); (err == nil) != c.good {
			t.Errorf("%s %q: %v", c.auth, c.header, err)
		}
	}
}

// Secrets that let anybody in, or nobody, are told of.
func TestSecretsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{{"github", "", "empty"}, {"github", "\n", "empty"}, {"basic", "password", "user:password"}, {"basic", ":password", "user:password"}, {"standard", "whsec_", "16 bytes"},
		{"standard", "whsec_c2hvcnQ=", "16 bytes"}, {"standard", "whsec_!!!", "16 bytes"}, {"standard", "whpk_AAAA", "public key"}, {"bearer", strings.Repeat("x", 65<<10), "64 KiB"}} {
		if _, _, err := readSecret(secretFile(t, c[1]), c[0]); err == nil || !strings.Contains(err.Error(), c[2]) || strings.Contains(err.Error(), "c2hvcnQ=") {
			t.Errorf("%s %.20q: %v", c[0], c[1], err)
		}
	}
	if _, _, err := readSecret(t.TempDir()+"/none", "github"); err == nil || !strings.Contains(err.Error(), "Mount the Kubernetes secret") {
		t.Error(err)
	}
}

// A secret is replaced while senders use the old one and the new one, without a
// request refused; one that is taken away is no longer good; and a file that is
// broken for a moment changes nothing.
func TestRotation(t *testing.T) {
	t.Parallel()
	files := []string{secretFile(t, "old"), secretFile(t, "old")}
	s := newSecrets(files, "bearer", open(t, endpoints(t, `{"e":{"auth":"none","allow_unauthenticated":true}}`), nil).log)
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	good := func(token string) bool {
		s.mu.Lock()
		s.looked = time.Time{}
		s.mu.Unlock()
		for _, one := range s.current() {
			if one.matches(token) {
				return true
			}
		}
		return false
	}
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(files[1], "newer")
	if !good("old") || !good("newer") {
		t.Error("while both are there, one is refused")
	}
	write(files[0], "")
	if !good("old") || !good("newer") || s.trouble() == nil {
		t.Error("an empty file has changed what is good, or is not told of")
	}
	write(files[0], "newer")
	if good("old") || !good("newer") || s.trouble() != nil {
		t.Error("a secret that is gone is still good, or trouble is told of that is over")
	}
}

// Signatures of our own key are verified, so that the test of the asymmetric
// vector can fail for the right reason.
func TestAsymmetric(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	one := secretOf(t, "standard", "whpk_"+base64.StdEncoding.EncodeToString(public))
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte("i."+seconds(now)+".body")))
	for text, good := range map[string]bool{"v1a," + signature: true, "v1," + signature: false, signature: false} {
		err := verify(t, endpointOf(t, "standard"), []secret{one}, map[string]string{"webhook-id": "i", "webhook-timestamp": seconds(now), "webhook-signature": text}, "body", now)
		if (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
	// A public key is no key of an HMAC: who knows it could sign with it.
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte("i." + seconds(now) + ".body"))
	if verify(t, endpointOf(t, "standard"), []secret{one}, map[string]string{"webhook-id": "i", "webhook-timestamp": seconds(now), "webhook-signature": "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}, "body", now) == nil {
		t.Error("the public key signs")
	}
}
