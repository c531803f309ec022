// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const anybody = `"auth":"none","allow_unauthenticated":true`

func anyEndpoint(t testing.TB, more string) settings.Settings {
	return endpoints(t, `{"e":{`+anybody+more+`}}`)
}

// A request is answered once its record is durable, and not before.
func TestAnswersAfterTheCommit(t *testing.T) {
	t.Parallel()
	o := open(t, anyEndpoint(t, ""), nil)
	release := o.holdBack()
	answers := make(chan answer, 1)
	go func() { answers <- o.post("/e", "Content-Type: text/plain", "hello") }()
	await(t, "the record", func() bool { return len(o.values()) == 1 })
	select {
	case a := <-answers:
		t.Fatalf("answered with %d before the commit", a.status)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	o.want(<-answers, http.StatusOK, `{"records":1,"known":0}`)
	if r := o.records[0]; string(r.Value) != "hello" || header(r, "content-type") != "text/plain" || r.Offset != 0 {
		t.Errorf("%+v", r)
	}
}

func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A request that comes again is written once: while the first is on its way, it
// waits with it, and afterwards it is answered at once, in another life too.
// Ids belong to their endpoint.
func TestKnownRequests(t *testing.T) {
	t.Parallel()
	s := endpoints(t, `{"e":{`+anybody+`,"id":"header:X-Id"},"f":{`+anybody+`,"id":"header:X-Id"}}`)
	o := open(t, s, nil)
	release := o.holdBack()
	var senders sync.WaitGroup
	for range 5 {
		senders.Go(func() { o.want(o.post("/e", "X-Id: 1", "one"), http.StatusOK, "") })
	}
	await(t, "the other requests", func() bool {
		o.Source.mu.Lock()
		defer o.Source.mu.Unlock()
		return o.requests == 5
	})
	release()
	senders.Wait()
	o.want(o.post("/e", "X-Id: 1", "one again"), http.StatusOK, `{"records":0,"known":1}`)
	o.want(o.post("/f", "X-Id: 1", "another endpoint's"), http.StatusOK, `{"records":1,"known":0}`)
	o.want(o.post("/e", "", "no id"), http.StatusBadRequest, "header:X-Id is missing")
	if got := o.values(); !slices.Equal(got, []string{"one", "another endpoint's"}) {
		t.Errorf("%q", got)
	}
	await(t, "what came again", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.known == 5 })
	o.end()

	o = open(t, s, o.at())
	o.want(o.post("/e", "X-Id: 1", "one again"), http.StatusOK, `{"records":0,"known":1}`)
	o.want(o.post("/e", "X-Id: 2", "two"), http.StatusOK, `{"records":1,"known":0}`)
	if o.records[0].Offset != 1 {
		t.Errorf("the second record has the number %d", o.records[0].Offset)
	}
}

// Those who do not want ids remembered have what comes again written again.
func TestNoIDs(t *testing.T) {
	t.Parallel()
	s := anyEndpoint(t, `,"id":"header:X-Id"`)
	s.Webhook.IDs = 0
	o := open(t, s, nil)
	for range 2 {
		o.want(o.post("/e", "X-Id: 1", "one"), http.StatusOK, `{"records":1,"known":0}`)
	}
}

// A request that is not committed in time is told to come again, and what was
// not given to the loop yet is not written then.
func TestTimeout(t *testing.T) {
	t.Parallel()
	s := anyEndpoint(t, "")
	s.Webhook.AckTimeout = settings.Duration(200 * time.Millisecond)
	o := open(t, s, nil)
	release := o.holdBack()
	var senders sync.WaitGroup
	senders.Go(func() {
		a := o.post("/e", "", "first")
		o.want(a, http.StatusServiceUnavailable, "send it again")
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
	})
	await(t, "the first", func() bool { return len(o.values()) == 1 })
	o.want(o.post("/e", "", "never given"), http.StatusServiceUnavailable, "")
	senders.Wait()
	release()
	o.want(o.post("/e", "", "third"), http.StatusOK, "")
	if got := o.values(); !slices.Equal(got, []string{"first", "third"}) {
		t.Errorf("%q", got)
	}
	if used := o.memory.used(); used != 0 {
		t.Errorf("%d bytes are held", used)
	}
}

// Senders wait for a commit long after their records are in a file: what waits is
// the request, without what was in it.
func TestRecordsAreLetGoBeforeTheCommit(t *testing.T) {
	t.Parallel()
	o := open(t, anyEndpoint(t, `,"body":"ndjson"`), nil)
	release := o.holdBack()
	answers := make(chan answer, 1)
	go func() { answers <- o.post("/e", "", strings.Repeat("{}\n", 1000)) }()
	await(t, "the records", func() bool { return len(o.values()) == 1000 && o.memory.used() == 0 })
	o.Source.mu.Lock()
	if given := o.endpoints[0].given; len(given) != 1 || given[0].records != nil {
		t.Errorf("%d requests wait for the commit, and the first has its records still", len(given))
	}
	o.Source.mu.Unlock()
	if lag := o.Observe().Lags[0].Records; lag != 1000 {
		t.Errorf("%d records are said to wait", lag)
	}
	release()
	o.want(<-answers, http.StatusOK, `{"records":1000,"known":0}`)
}

// Closing tells those who wait to come again.
func TestClose(t *testing.T) {
	t.Parallel()
	o := open(t, anyEndpoint(t, ""), nil)
	o.holdBack()
	answers := make(chan answer, 1)
	go func() { answers <- o.post("/e", "", "x") }()
	await(t, "the record", func() bool { return len(o.values()) == 1 })
	o.end()
	if a := <-answers; a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("answered with %d", a.status)
	}
	if used := o.memory.used(); used != 0 {
		t.Errorf("%d bytes are held", used)
	}
}

// At most once, for those who want it.
func TestReceived(t *testing.T) {
	t.Parallel()
	o := open(t, anyEndpoint(t, `,"ack":"received"`), nil)
	defer o.holdBack()()
	o.want(o.post("/e", "", "x"), http.StatusAccepted, `{"records":1`)
	await(t, "the record", func() bool { return len(o.values()) == 1 })
}

// Bodies of each kind, and what is wrong with them: all records are taken or none.
func TestBodies(t *testing.T) {
	t.Parallel()
	parts := "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"x.csv\"\r\nContent-Type: text/csv\r\n\r\n1,2\r\n--B\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n\r\n--B--\r\n"
	for _, c := range []struct {
		kind, headers, body string
		status              int
		want                []string // values, or what the answer says
	}{
		{"whole", "", "", 200, []string{""}},
		{"whole", "", "\x00\xff", 200, []string{"\x00\xff"}},
		{"ndjson", "", "{\"a\":1}\r\n\n 2 \n\"x\"", 200, []string{`{"a":1}`, "2", `"x"`}},
		{"ndjson", "", "{}\n{]\n", 400, []string{"line 2 is not JSON"}},
		{"ndjson", "", "\n \n", 400, []string{"no record"}},
		{"json_array", "", ` [ {"a":[1,"]"]} , "x\"," ,null,-1.5e3, [ ] ] `, 200, []string{`{"a":[1,"]"]}`, `"x\","`, "null", "-1.5e3", "[ ]"}},
		{"json_array", "", `[]`, 400, []string{"no record"}},
		{"json_array", "", `[1,]`, 400, []string{"not an array"}},
		{"json_array", "", `{}`, 400, []string{"not an array"}},
		{"json_array", "", ``, 400, []string{"not an array"}},
		{"multipart", "Content-Type: multipart/form-data; boundary=B", parts, 200, []string{"1,2", ""}},
		{"multipart", "Content-Type: multipart/form-data; boundary=B", parts[:60], 400, []string{"part 1"}},
		{"multipart", "Content-Type: multipart/form-data; boundary=B", parts[:len(parts)-8], 400, []string{"part 2 is cut off"}},
		{"multipart", "Content-Type: multipart/form-data", parts, 415, []string{"boundary"}},
		{"multipart", "Content-Type: text/plain", parts, 415, []string{"multipart"}},
		{"multipart", "Content-Type: multipart/form-data; boundary=B", "--B--\r\n", 400, []string{"no part"}},
		{"form_payload", "Content-Type: application/x-www-form-urlencoded; charset=utf-8", "payload=%7B%22a%22%3A+%22%C3%A9+%26%22%7D&token=x", 200, []string{`{"a": "é &"}`}},
		{"form_payload", "Content-Type: application/json", `{"a":1}`, 200, []string{`{"a":1}`}},
		{"form_payload", "Content-Type: application/x-www-form-urlencoded", "other=1", 400, []string{"one field payload"}},
		{"form_payload", "Content-Type: application/x-www-form-urlencoded", "payload=1&payload=2", 400, []string{"one field payload"}},
		{"form_payload", "Content-Type: application/x-www-form-urlencoded", "payload=%zz", 400, []string{"one field payload"}},
		{"form_payload", "Content-Type: text/plain", "payload=1", 415, []string{"must be a form"}},
	} {
		o := open(t, anyEndpoint(t, `,"body":"`+c.kind+`","id":"header:X-Id"`), nil)
		a := o.post("/e", "X-Id: i\n"+c.headers, c.body)
		if c.status != 200 {
			o.want(a, c.status, c.want[0])
			if got := o.values(); len(got) > 0 {
				t.Errorf("%s %q was refused, and %q is written", c.kind, c.body, got)
			}
			o.want(o.post("/e", "X-Id: i\n"+c.headers, c.body), c.status, c.want[0]) // its id is not known
			continue
		}
		o.want(a, 200, "")
		if got := o.values(); !slices.Equal(got, c.want) {
			t.Errorf("%s %q has become %q", c.kind, c.body, got)
		}
		o.want(o.post("/e", "X-Id: i\n"+c.headers, c.body), 200, fmt.Sprintf(`{"records":0,"known":%d}`, len(c.want)))
		if c.kind == "multipart" && (header(o.records[0], "filename") != "x.csv" || header(o.records[0], "name") != "a" || header(o.records[0], "content-type") != "text/csv" || header(o.records[1], "name") != "b") {
			t.Errorf("the parts' headers are %q %q", o.records[0].Headers.Raw, o.records[1].Headers.Raw)
		}
		if used := o.memory.used(); used != 0 {
			t.Errorf("%s: %d bytes are held", c.kind, used)
		}
	}
}

// Records of a request that have ids of their own are known one by one.
func TestIDsOfRecords(t *testing.T) {
	t.Parallel()
	o := open(t, endpoints(t, `{"array":{`+anybody+`,"body":"json_array","id":"value:sg_event_id"},"lines":{`+anybody+`,"body":"ndjson","id":"value:meta.id"}}`), nil)
	o.want(o.post("/array", "", `[{"sg_event_id":"a","n":1},{"sg_event_id":"b","n":2}]`), 200, `{"records":2,"known":0}`)
	o.want(o.post("/array", "", `[{"sg_event_id":"c","n":3},{"n":4}]`), 400, "record 2 has no id")
	o.want(o.post("/array", "", `[{"sg_event_id":"b","n":2},{"sg_event_id":"c","n":3},{"sg_event_id":"c","n":3}]`), 200, `{"records":1,"known":2}`)
	o.want(o.post("/lines", "", "{\"meta\":{\"id\":1}}\n{\"meta\":{\"id\":2}}\n"), 200, `{"records":2,"known":0}`)
	o.want(o.post("/lines", "", "{\"meta\":{\"id\":2}}\n"), 200, `{"records":0,"known":1}`)
	want := []string{`{"sg_event_id":"a","n":1}`, `{"sg_event_id":"b","n":2}`, `{"sg_event_id":"c","n":3}`, `{"meta":{"id":1}}`, `{"meta":{"id":2}}`}
	if got := o.values(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if used := o.memory.used(); used != 0 {
		t.Errorf("%d bytes are held", used)
	}
}

// Compressed bodies: what was signed is what was sent, and the limit is that of
// what becomes of it.
func TestCompressedBodies(t *testing.T) {
	t.Parallel()
	s := endpoints(t, fmt.Sprintf(`{"e":{"auth":"github","secret_files":[%q]}}`, secretFile(t, "key")))
	s.Webhook.MaxBody = 1 << 20
	o := open(t, s, nil)
	e := o.byPath["/e"]
	sign := func(body string) string {
		return "X-Hub-Signature-256: sha256=" + hmacHex(string(e.secrets.current()[0].key), body)
	}
	var zipped, frame, member bytes.Buffer
	z := gzip.NewWriter(&zipped)
	f, err := zstd.NewWriter(&frame)
	if err != nil {
		t.Fatal(err)
	}
	m := gzip.NewWriter(&member)
	for text, w := range map[string]interface {
		Write([]byte) (int, error)
		Close() error
	}{"hello": z, "hello ": f, strings.Repeat("\x00", 2<<20): m} {
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	o.want(o.post("/e", "Content-Encoding: gzip\n"+sign(zipped.String()), zipped.String()), 200, "")
	o.want(o.post("/e", "Content-Encoding: zstd\n"+sign(frame.String()), frame.String()), 200, "")
	o.want(o.post("/e", "Content-Encoding: gzip\n"+sign("hello"), zipped.String()), 401, "")
	o.want(o.post("/e", "Content-Encoding: gzip\n"+sign(member.String()), member.String()), 413, "more than 1048576 bytes")
	o.want(o.post("/e", "Content-Encoding: gzip\n"+sign("hello"), "hello"), 400, "gzip")
	o.want(o.post("/e", "Content-Encoding: zstd\n"+sign("hello"), "hello"), 400, "decompressed")
	o.want(o.post("/e", "Content-Encoding: gzip\n"+sign(zipped.String()[:zipped.Len()-4]), zipped.String()[:zipped.Len()-4]), 400, "decompressed")
	o.want(o.post("/e", "Content-Encoding: br\n"+sign("hello"), "hello"), 415, "gzip, zstd")
	o.want(o.post("/e", "Content-Encoding: gzip\nContent-Encoding: gzip\n"+sign("hello"), "hello"), 400, "more than one")
	if got := o.values(); !slices.Equal(got, []string{"hello", "hello "}) {
		t.Errorf("%q", got)
	}
}

// Who is told what, in front of a body and behind it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := endpoints(t, fmt.Sprintf(`{"e":{`+anybody+`},"slow":{`+anybody+`,"max_rate":2},"busy":{`+anybody+`,"max_concurrency":1},"b":{"auth":"basic","secret_files":[%q]}}`, secretFile(t, "user:word")))
	s.Webhook.MaxBody = 1000
	o := open(t, s, nil)
	o.want(o.post("/nothing", "", "x"), 404, "no such endpoint")
	o.want(o.post("/e/", "", "x"), 404, "")
	a := o.request(http.MethodGet, "/e", "", "")
	if o.want(a, 405, ""); a.header.Get("Allow") != http.MethodPost {
		t.Error("405 does not say what is allowed")
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch} {
		o.want(o.request(method, "/e", "", ""), 405, "")
	}
	if a := o.post("/b", "", "x"); a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%+v", a)
	}
	o.want(o.post("/e", "", strings.Repeat("x", 1001)), 413, "more than 1000 bytes")
	o.want(o.post("/e", "", strings.Repeat("x", 1000)), 200, "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.base+"/e", struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", 1001))})
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1
	o.want(o.do(http.DefaultClient, req), 413, "more than 1000 bytes")
	o.want(o.request(http.MethodGet, "/healthz", "", ""), 200, "ok")
	for i, status := range []int{200, 200, 429} {
		if a := o.post("/slow", "", "x"); a.status != status || status == 429 && a.header.Get("Retry-After") == "" {
			t.Errorf("request %d was answered with %d", i, a.status)
		}
	}
	release := o.holdBack()
	done := make(chan answer, 1)
	n := len(o.values())
	go func() { done <- o.post("/busy", "", "x") }()
	await(t, "the first", func() bool { return len(o.values()) > n })
	o.want(o.post("/busy", "", "x"), 429, "too many requests at once")
	release()
	o.want(<-done, 200, "")
	seen := o.Observe()
	for reason, n := range map[string]int64{"not found": 2, "method": 5, "unauthorized": 1, "too large": 2, "rate": 1, "concurrency": 1} {
		if got := seen.Totals.Refused[reason]; got != n {
			t.Errorf("%s was counted %d times, not %d", reason, got, n)
		}
	}
}

// Handshakes are answered where they are switched on, and nowhere else.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	key := secretFile(t, "key")
	o := open(t, endpoints(t, fmt.Sprintf(`{"on":{"auth":"slack","secret_files":[%[1]q],"handshakes":["slack","cloudevents","challenge"],"verify_token_files":[%[1]q],"max_rate":2},"off":{"auth":"slack","secret_files":[%[1]q]}}`, key)), nil)
	signed := func(body string) string {
		now := seconds(time.Now())
		return "X-Slack-Request-Timestamp: " + now + "\nX-Slack-Signature: v0=" + hmacHex("key", "v0:"+now+":"+body)
	}
	question := `{"type":"url_verification","challenge":"abc-1","token":"x"}`
	a := o.post("/on", signed(question), question)
	if o.want(a, 200, "abc-1"); a.text != "abc-1" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("%+v", a)
	}
	o.want(o.post("/on", "", question), 401, "")
	o.want(o.post("/on", signed(`{"type":"url_verification","challenge":"<script>"}`), `{"type":"url_verification","challenge":"<script>"}`), 400, "")
	o.want(o.post("/off", signed(question), question), 200, `{"records":1`)
	a = o.request(http.MethodOptions, "/on", "WebHook-Request-Origin: events.example.com", "")
	if a.status != 204 || a.header.Get("WebHook-Allowed-Origin") != "events.example.com" || a.header.Get("WebHook-Allowed-Rate") != "120" {
		t.Errorf("%+v", a)
	}
	o.want(o.request(http.MethodOptions, "/on", "", ""), 400, "")
	o.want(o.request(http.MethodOptions, "/off", "WebHook-Request-Origin: events.example.com", ""), 405, "")
	for path, want := range map[string]answer{
		"/on?hub.mode=subscribe&hub.verify_token=key&hub.challenge=42":   {status: 200, text: "42"},
		"/on?hub.mode=subscribe&hub.verify_token=other&hub.challenge=42": {status: 403},
		"/on?hub.mode=subscribe&hub.challenge=42":                        {status: 403},
		"/on?hub.mode=subscribe&hub.verify_token=key&hub.challenge=%3Cb": {status: 400},
		"/on?hub.mode=unsubscribe&hub.verify_token=key&hub.challenge=42": {status: 400},
		"/off?hub.mode=subscribe&hub.verify_token=key&hub.challenge=42":  {status: 405},
	} {
		o.want(o.request(http.MethodGet, path, "", ""), want.status, want.text)
	}
	if got := o.values(); !slices.Equal(got, []string{question}) {
		t.Errorf("handshakes were written: %q", got)
	}
}

// Ids where presets have them.
func TestIDs(t *testing.T) {
	t.Parallel()
	key := secretFile(t, "key")
	o := open(t, endpoints(t, fmt.Sprintf(`{"github":{"auth":"github","secret_files":[%[1]q]},"stripe":{"auth":"stripe","secret_files":[%[1]q]},"slack":{"auth":"slack","secret_files":[%[1]q]},
		"shopify":{"auth":"shopify","secret_files":[%[1]q]},"gitlab":{"auth":"gitlab","secret_files":[%[1]q]},"own":{"auth":"gitlab","secret_files":[%[1]q],"id":"value:meta.id","headers":["X-More",":path",":query"]},"none":{"auth":"gitlab","secret_files":[%[1]q],"id":"none"}}`, key)), nil)
	now := seconds(time.Now())
	for _, c := range []struct{ path, headers, body, id string }{
		{"/github", "X-GitHub-Delivery: d1\nX-GitHub-Event: push\nX-Hub-Signature-256: sha256=" + hmacHex("key", "{}"), "{}", "d1"},
		{"/stripe", "Stripe-Signature: t=" + now + ",v1=" + hmacHex("key", now+`.{"data":{"id":"no"},"id":"evt_1"}`), `{"data":{"id":"no"},"id":"evt_1"}`, "evt_1"},
		{"/slack", "X-Slack-Request-Timestamp: " + now + "\nX-Slack-Signature: v0=" + hmacHex("key", "v0:"+now+`:{"event_id":"Ev1"}`), `{"event_id":"Ev1"}`, "Ev1"},
		{"/slack", "X-Slack-Request-Timestamp: " + now + "\nX-Slack-Signature: v0=" + hmacHex("key", "v0:"+now+":a=b"), "a=b", ""},
		{"/shopify", "X-Shopify-Webhook-Id: w1\nX-Shopify-Event-Id: e1\nX-Shopify-Hmac-Sha256: " + hmacBase64("key", "{}"), "{}", "e1"},
		{"/gitlab", "X-Gitlab-Token: key\nX-Gitlab-Event-UUID: u1\nIdempotency-Key: k1", "{}", "k1"},
		{"/own?a=b", "X-Gitlab-Token: key\nX-Gitlab-Event-UUID: u1\nX-More: 1", `{"meta":{"id":17}}`, "17"},
		{"/none", "X-Gitlab-Token: key\nX-Gitlab-Event-UUID: u1", "{}", ""},
	} {
		n := len(o.values())
		o.want(o.post(c.path, c.headers, c.body), 200, `{"records":1,"known":0}`)
		r := o.records[n]
		if r.Detail == nil && c.id != "" || r.Detail != nil && string(r.Detail.ID) != c.id || string(r.Key) != c.id {
			t.Errorf("%s: %+v, should have the id %q", c.path, r, c.id)
		}
		for name, value := range r.Headers.All() {
			if strings.Contains(string(name), "signature") || strings.Contains(string(name), "token") || strings.Contains(string(name), "hmac") || string(value) == "key" {
				t.Errorf("%s has the header %s", c.path, name)
			}
		}
		if c.id != "" {
			o.want(o.post(c.path, c.headers, c.body), 200, `{"records":0,"known":1}`)
		} else {
			o.want(o.post(c.path, c.headers, c.body), 200, `{"records":1,"known":0}`)
		}
		if strings.HasPrefix(c.path, "/own") && (header(r, "x-more") != "1" || header(r, ":query") != "a=b" || header(r, ":path") != "/own") {
			t.Errorf("%s", r.Headers.Raw)
		}
	}
	if header(o.records[0], "x-github-event") != "push" {
		t.Error("the event's name is not kept")
	}
}

// An endpoint is never open by accident, whatever gets past the settings' rules.
func TestNothingIsOpen(t *testing.T) {
	t.Parallel()
	empty := secretFile(t, "")
	for name, text := range map[string]string{
		"no secret":     `{"e":{"auth":"github"}}`,
		"no auth":       `{"e":{}}`,
		"none by hand":  `{"e":{"auth":"none"}}`,
		"unknown":       `{"e":{"auth":"hmca","secret_files":["/x"]}}`,
		"empty secret":  fmt.Sprintf(`{"e":{"auth":"github","secret_files":[%q]}}`, empty),
		"missing":       `{"e":{"auth":"github","secret_files":["/nowhere/at/all"]}}`,
		"one of two":    fmt.Sprintf(`{"e":{"auth":"github","secret_files":[%q,%q]}}`, secretFile(t, "x"), empty),
		"a missing ask": `{"e":{` + anybody + `,"handshakes":["challenge"],"verify_token_files":["/nowhere"]}}`,
	} {
		s := settings.Default()
		s.Source, s.Webhook.Address, s.Webhook.Port = "webhook", "127.0.0.1", 0
		if err := s.Webhook.Endpoints.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		made, err := Make(s, source.Options{Memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := made.Open(t.Context(), nil); !source.IsStop(err) {
			t.Errorf("%s: opened, or %v", name, err)
		}
		made.Close() //nolint:errcheck // it was not opened
	}
}

// Positions of others are not guessed at.
func TestPositions(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"v":2}`, `{"topics":{}}`, `[`} {
		made, err := Make(anyEndpoint(t, ""), source.Options{Memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := made.Open(t.Context(), json.RawMessage(text)); !source.IsStop(err) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A chunk has whole requests, so that a commit can end behind each; what more
// than some connections wait for ends the batch.
func TestChunks(t *testing.T) {
	t.Parallel()
	s := anyEndpoint(t, `,"body":"ndjson"`)
	s.Webhook.Connections = 8
	made, err := Make(s, source.Options{Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := made.(*Source)
	if err := w.restore(nil); err != nil {
		t.Fatal(err)
	}
	var all []*delivery
	for range 6 {
		d := &delivery{endpoint: w.endpoints[0], arrived: time.Now(), done: make(chan struct{})}
		w.count(1)
		w.offer(d, []event{{records: make([]source.Record, 1000)}})
		all = append(all, d)
	}
	for _, want := range []int{4000, 2000} {
		chunk, err := w.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if len(chunk.Records) != want || !chunk.Boundary || !chunk.Full || chunk.Deadline.IsZero() {
			t.Errorf("%d records, boundary %v, full %v, deadline %v", len(chunk.Records), chunk.Boundary, chunk.Full, chunk.Deadline)
		}
		w.Consume(chunk, len(chunk.Records))
	}
	w.Acknowledge(t.Context(), w.Position())
	for _, d := range all {
		if <-d.done; !d.durable {
			t.Error("a delivery is not durable")
		}
	}
}
