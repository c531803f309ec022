// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// These are cases of what others have reported of receivers of webhooks, and
// name where.

// Some senders write a byte order mark in front of JSON (n8n-io/n8n#35933,
// jellyfin/jellyfin-plugin-webhook#395). What is no JSON stays as it came.
func TestByteOrderMarks(t *testing.T) {
	t.Parallel()
	const bom = "\ufeff"
	o := open(t, endpoints(t, `{"whole":{`+anybody+`,"id":"value:id"},"any":{`+anybody+`},"lines":{`+anybody+`,"body":"ndjson"},"array":{`+anybody+`,"body":"json_array"},"events":{`+anybody+`,"body":"cloudevents"}}`), nil)
	o.want(o.post("/whole", "Content-Type: application/json", bom+`{"id":1}`), 200, `{"records":1`)
	o.want(o.post("/whole", "Content-Type: application/json", bom+`{"id":1}`), 200, `{"records":0,"known":1}`)
	o.want(o.post("/any", "Content-Type: text/csv", bom+"a,b"), 200, "")
	o.want(o.post("/lines", "", bom+"{}\n{}"), 200, `{"records":2`)
	o.want(o.post("/array", "", bom+"[1]"), 200, "")
	o.want(o.post("/events", "Content-Type: application/cloudevents+json", bom+`{"specversion":"1.0","id":"1","source":"s","type":"t","data":1}`), 200, "")
	if got, want := o.values(), []string{`{"id":1}`, bom + "a,b", "{}", "{}", "1", "1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// Secrets of Standard Webhooks as Supabase shows them (supabase/cli#3031,
// standard-webhooks/standard-webhooks#235).
func TestSecretsWithAVersion(t *testing.T) {
	t.Parallel()
	o := open(t, endpoints(t, `{"e":{"auth":"standard","secret_files":["`+secretFile(t, "v1,whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=\n")+`"]}}`), nil)
	now := seconds(time.Now())
	o.want(o.post("/e", "webhook-id: 1\nwebhook-timestamp: "+now+"\nwebhook-signature: v1,"+hmacBase64("secret-secret-secret", "1."+now+".{}"), "{}"), 200, "")
}

// Attributes of CloudEvents of senders that do not encode headers
// (cloudevents/sdk-go#1331, cloudevents/sdk-java#748), and with a header that
// others add (cloudevents/sdk-javascript#302).
func TestAttributesOfOtherSenders(t *testing.T) {
	t.Parallel()
	o := open(t, anyEndpoint(t, `,"body":"cloudevents"`), nil)
	const least = "ce-specversion: 1.0\nce-source: s\nce-type: t\n"
	o.want(o.post("/e", least+"ce-id: 1\nce-subject: 100%\nce-rate: 5% of a\nContent-Type: text/plain\nce-datacontenttype: text/plain", "x"), 200, "")
	o.want(o.post("/e", least+"ce-id: 2\nce-datacontenttype: text/xml", "<x/>"), 200, "")
	o.want(o.post("/e", least+"ce-id: 3\nContent-Type: text/plain\nce-datacontenttype: text/xml", "x"), 400, "datacontenttype")
	o.want(o.post("/e", least+"ce-id: 4\nce-subject: %ff", "x"), 400, "not encoded as UTF-8")
	o.want(o.post("/e", least+"ce-id: 5\nce-subject: \xff", "x"), 400, "not encoded as UTF-8")
	if len(o.records) != 2 {
		t.Fatalf("%q", o.values())
	}
	if r := o.records[0]; header(r, "ce_subject") != "100%" || header(r, "ce_rate") != "5% of a" || header(r, "content-type") != "text/plain" || header(r, "ce_datacontenttype") != "" {
		t.Errorf("%q", r.Headers.Raw)
	}
	if r := o.records[1]; header(r, "content-type") != "text/xml" {
		t.Errorf("%q", r.Headers.Raw)
	}
}

// Some senders ask with HEAD whether an address is there (camunda/connectors#5694).
func TestHead(t *testing.T) {
	t.Parallel()
	o := open(t, endpoints(t, `{"on":{`+anybody+`,"handshakes":["head"]},"off":{`+anybody+`}}`), nil)
	o.want(o.request(http.MethodHead, "/on", "", ""), 200, "")
	o.want(o.request(http.MethodHead, "/off", "", ""), 405, "")
	if got := o.values(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// Kinds of bodies with a character set (rudderlabs/rudder-server#1463), values
// of JSON that count as false in other languages, and signatures over the bytes
// as they came (svix and others).
func TestBodiesOfOtherSenders(t *testing.T) {
	t.Parallel()
	o := open(t, endpoints(t, `{"e":{`+anybody+`},"github":{"auth":"github","secret_files":["`+secretFile(t, "key")+`"]},"events":{`+anybody+`,"body":"cloudevents"}}`), nil)
	o.want(o.post("/e", "Content-Type: application/x-www-form-urlencoded; charset=utf-8", "a=1"), 200, "")
	for _, body := range []string{"{}", "[]", "0", "false", "null"} {
		o.want(o.post("/e", "Content-Type: application/json", body), 200, "")
	}
	odd := "{ \"b\" : 1.0,\r\n\"a\":\"\\u00e9é\" }\n"
	o.want(o.post("/github", "X-Hub-Signature-256: sha256="+hmacHex("key", odd), odd), 200, "")
	o.want(o.post("/github", "X-Hub-Signature-256: sha256="+hmacHex("key", strings.TrimSpace(odd)), odd), 401, "")
	o.want(o.post("/events", "Content-Type: application/cloudevents+json; charset=UTF-8", `{"specversion":"1.0","id":"1","source":"s","type":"t"}`), 200, "")
}
