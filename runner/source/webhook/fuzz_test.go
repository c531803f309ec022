// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
)

// FuzzScan takes JSON apart as encoding/json does.
func FuzzScan(f *testing.F) {
	for _, text := range []string{`[]`, `{}`, `[1,"a,]",{"b":[2]},null , -1.5e3]`, `{"a\u0062":{"c":1}, "d" : [ ] ,"":"\\\""}`, `[[[]]]`, `{"a":1,"a":2}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var checker strictjson.Checker
		if errors.Is(checker.CheckSyntax(text), strictjson.ErrDepth) {
			return // it is refused, and encoding/json takes it
		}
		var list []json.RawMessage
		all, ok := elements(text)
		if isList := json.Unmarshal(text, &list) == nil && list != nil; ok != isList {
			t.Fatalf("%q is an array: %v", text, ok)
		}
		if ok {
			n := 0
			for element := range all {
				if !bytes.Equal(bytes.TrimSpace(list[n]), element) {
					t.Fatalf("element %d of %q is %q", n, text, element)
				}
				n++
			}
			if n != len(list) {
				t.Fatalf("%q has %d elements, not %d", text, n, len(list))
			}
		}
		var object map[string]json.RawMessage
		fields, ok := members(text)
		if isObject := json.Unmarshal(text, &object) == nil && object != nil; ok != isObject {
			t.Fatalf("%q is an object: %v", text, ok)
		}
		if !ok {
			return
		}
		last := map[string][]byte{}
		for name, value := range fields {
			last[name] = value
		}
		if len(last) != len(object) {
			t.Fatalf("%q has %d members, not %d", text, len(last), len(object))
		}
		for name, value := range last {
			if !bytes.Equal(bytes.TrimSpace(object[name]), value) {
				t.Fatalf("%q of %q is %q", name, text, value)
			}
		}
	})
}

// FuzzBodies takes bodies of each kind apart: whatever comes, the answer is
// records or a refusal, within the memory that was taken for it.
func FuzzBodies(f *testing.F) {
	kinds := []string{"whole", "ndjson", "json_array", "multipart", "cloudevents"}
	for i, body := range []string{"x", "{}\n[1]\n", `[1,{"a":"b"}]`, "--B\r\nContent-Type: text/plain\r\n\r\nx\r\n--B--\r\n", `{"specversion":"1.0","id":"1","source":"s","type":"t","data":{}}`} {
		for _, contentType := range []string{"", "application/json", "multipart/mixed; boundary=B", "application/cloudevents+json", "application/cloudevents-batch+json"} {
			f.Add(uint8(i), contentType, "", "1.0", []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, contentType, encoding, version string, body []byte) {
		rsstest.Bounded(t, 64<<20, 20*time.Second, func() { takeApart(t, kinds[int(kind)%len(kinds)], contentType, encoding, version, body) })
	})
}

// takeApart takes a body apart as the source does.
func takeApart(t *testing.T, kind, contentType, encoding, version string, body []byte) {
	e := newEndpoint("e", settings.WebhookEndpoint{Auth: "none", Open: true, Body: kind, ID: "header:X-Id"}, nil)
	const limit = 1 << 20
	taken := 0
	room := func(n int) bool {
		if taken+n > limit {
			return false
		}
		taken += n
		return true
	}
	var refused *refusal
	body, err := newUnpacker(limit).unpack(encoding, body, room)
	if err != nil {
		if !errors.As(err, &refused) {
			t.Fatalf("%T %v", err, err)
		}
		return
	}
	header := http.Header{"Content-Type": {contentType}, "X-Id": {"1"}, "Ce-Specversion": {version}, "Ce-Id": {version}, "Ce-Source": {contentType}, "Ce-Type": {"t"}}
	events, err := (&received{endpoint: e, header: header, request: &http.Request{}, body: body, at: time.Now(), room: room, most: limit}).events()
	if err != nil {
		if !errors.As(err, &refused) || refused.status/100 != 4 {
			t.Fatalf("%T %v", err, err)
		}
		return
	}
	if len(events) == 0 {
		t.Fatal("no records, and no refusal")
	}
	for _, event := range events {
		if len(event.records) == 0 {
			t.Fatal("an event without a record")
		}
	}
	if kind == "whole" && !slices.Equal(events[0].records[0].Value, body) {
		t.Fatal("the body is another one")
	}
}

// FuzzSignatures: nothing but the right signature is good.
func FuzzSignatures(f *testing.F) {
	auths := []string{"standard", "github", "stripe", "slack", "shopify"}
	for i := range auths {
		f.Add(uint8(i), "1614265330", "v1,AAAA", "id", []byte("body"))
		f.Add(uint8(i), "1614265330", "t=1614265330,v1=00", "id", []byte("body"))
		f.Add(uint8(i), "1614265330", "sha256=00", "id", []byte(""))
		f.Add(uint8(i), "1614265330", "v0=00", "id", []byte(""))
	}
	f.Fuzz(func(t *testing.T, n uint8, at, signature, id string, body []byte) {
		e := settings.WebhookEndpoint{Auth: auths[int(n)%len(auths)], Tolerance: settings.Duration(5 * time.Minute)}
		r := &http.Request{Header: http.Header{}}
		for _, name := range []string{"Webhook-Id", "X-Id"} {
			r.Header.Set(name, id)
		}
		for _, name := range []string{"Webhook-Timestamp", "X-Slack-Request-Timestamp"} {
			r.Header.Set(name, at)
		}
		for _, name := range []string{"Webhook-Signature", "X-Hub-Signature-256", "Stripe-Signature", "X-Slack-Signature", "X-Shopify-Hmac-Sha256"} {
			r.Header.Set(name, signature)
		}
		secrets := []secret{{key: []byte("a key that nobody of these knows")}}
		proof, err := schemeOf(e).before(r, secrets, time.Unix(1614265330, 0))
		if err == nil && proof.check(secrets, body) == nil {
			t.Fatalf("%s takes %q", e.Auth, signature)
		}
	})
}
