// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const attributesInHeaders = "ce-specversion: 1.0\nce-id: A234-1234-1234\nce-source: /mycontext\nce-type: com.example.someevent\nce-time: 2018-04-05T17:31:00Z\nce-comexampleothervalue: 5\nce-subject: Euro%20%E2%82%AC%20%F0%9F%98%80\nContent-Type: "

const attributesInJSON = `"specversion":"1.0","id":"A234-1234-1234","source":"/mycontext","type":"com.example.someevent","time":"2018-04-05T17:31:00Z","comexampleothervalue":5,"subject":"Euro \u20ac 😀","unset":null`

// An event is the same record in whatever mode it comes, and so is known
// when it comes again in another one.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, data := range []struct{ name, mediaType, binary, structured, value string }{
		{"JSON", "application/json", `{"a": "<b>"}`, `"data":{"a": "<b>"}`, `{"a": "<b>"}`},
		{"a text in JSON", "application/json", `"x"`, `"data":"x"`, `"x"`},
		{"XML", "text/xml", `<much wow="xml"/>`, `"data":"<much wow=\"xml\"/>"`, `<much wow="xml"/>`},
		{"bytes", "application/octet-stream", "\x00\xff", `"data_base64":"AP8="`, "\x00\xff"},
		{"nothing", "application/octet-stream", "", `"unset2":null`, ""},
	} {
		t.Run(data.name, func(t *testing.T) {
			t.Parallel()
			event := `{"datacontenttype":"` + data.mediaType + `",` + attributesInJSON + `,` + data.structured + `}`
			for i, sent := range [][2]string{{attributesInHeaders + data.mediaType, data.binary}, {"Content-Type: application/cloudevents+json; charset=utf-8", event},
				{"Content-Type: application/cloudevents-batch+json", "[" + event + "," + event + "]"}} {
				o := open(t, anyEndpoint(t, `,"body":"cloudevents"`), nil)
				o.want(o.post("/e", sent[0], sent[1]), 200, `{"records":1`)
				if len(o.records) != 1 {
					t.Fatalf("mode %d: %d records", i, len(o.records))
				}
				r := o.records[0]
				if string(r.Value) != data.value || r.Timestamp != 1522949460000 || string(r.Key) != "/mycontext A234-1234-1234" || string(r.Detail.ID) != "A234-1234-1234" {
					t.Errorf("mode %d: %+v", i, r)
				}
				for name, want := range map[string]string{"content-type": data.mediaType, "ce_id": "A234-1234-1234", "ce_source": "/mycontext", "ce_type": "com.example.someevent", "ce_specversion": "1.0",
					"ce_time": "2018-04-05T17:31:00Z", "ce_comexampleothervalue": "5", "ce_subject": "Euro € 😀"} {
					if got := header(r, name); got != want {
						t.Errorf("mode %d: %s is %q, not %q", i, name, got, want)
					}
				}
				if r.Headers.Count != 8 {
					t.Errorf("mode %d: %d headers", i, r.Headers.Count)
				}
				o.want(o.post("/e", attributesInHeaders+data.mediaType, data.binary), 200, `{"records":0,"known":1}`)
			}
		})
	}
}

// Events of a batch are known one by one, and by source and id together.
func TestEventsThatAreKnown(t *testing.T) {
	t.Parallel()
	o := open(t, anyEndpoint(t, `,"body":"cloudevents"`), nil)
	event := func(source, id, data string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":"t","data":%q}`, id, source, data)
	}
	batch := func(events ...string) answer {
		return o.post("/e", "Content-Type: application/cloudevents-batch+json", "["+strings.Join(events, ",")+"]")
	}
	o.want(batch(event("a", "1", "a1"), event("a", "2", "a2")), 200, `{"records":2,"known":0}`)
	o.want(batch(event("a", "2", "again"), event("b", "1", "b1"), event("b", "1", "b1"), event("a1", "", "x")), 400, "event 4 has no id")
	o.want(batch(event("a", "2", "again"), event("b", "1", "b1"), event("b", "1", "b1")), 200, `{"records":1,"known":2}`)
	// One whose source and id come to the same text as another's would be lost.
	o.want(batch(`{"specversion":"1.0","id":"c","source":"a\u0000b","type":"t"}`), 400, "U+0000")
	o.want(batch(`{"specversion":"1.0","id":"b\u0000c","source":"a","type":"t"}`), 400, "U+0000")
	if got := o.values(); !slices.Equal(got, []string{`"a1"`, `"a2"`, `"b1"`}) {
		t.Errorf("%q", got)
	}
}

// What is no CloudEvent 1.0 is refused, with what is wrong.
func TestWrongEvents(t *testing.T) {
	t.Parallel()
	o := open(t, anyEndpoint(t, `,"body":"cloudevents"`), nil)
	least := `"specversion":"1.0","id":"1","source":"s","type":"t"`
	for _, c := range []struct {
		headers, body string
		status        int
		text          string
	}{
		{"Content-Type: application/json", `{` + least + `}`, 415, "ce-specversion is missing"},
		{"Content-Type: application/cloudevents+avro", "x", 415, "can be sent as"},
		{"Content-Type: application/cloudevents+json", `[]`, 400, "not an object"},
		{"Content-Type: application/cloudevents+json", `{`, 400, "not an object"},
		{"Content-Type: application/cloudevents+json", `{"specversion":"0.3","id":"1","source":"s","type":"t"}`, 400, "another specversion"},
		{"Content-Type: application/cloudevents+json", `{"specversion":"1.0","id":"","source":"s","type":"t"}`, 400, "has no id"},
		{"Content-Type: application/cloudevents+json", `{"specversion":"1.0","id":"1","type":"t"}`, 400, "has no source"},
		{"Content-Type: application/cloudevents+json", `{` + least + `,"time":"yesterday"}`, 400, "RFC 3339"},
		{"Content-Type: application/cloudevents+json", `{` + least + `,"data":1,"data_base64":"AA=="}`, 400, "data and data_base64"},
		{"Content-Type: application/cloudevents+json", `{` + least + `,"data_base64":"?"}`, 400, "not base64"},
		{"Content-Type: application/cloudevents+json", `{` + least + `,"id":"2"}`, 400, "twice"},
		{"Content-Type: application/cloudevents+json", `{` + least + `,"other":{"a":1}}`, 400, "not an attribute"},
		{"Content-Type: application/cloudevents+json", `{` + least + `,"Other":"a"}`, 400, "not an attribute"},
		{"Content-Type: application/cloudevents-batch+json", `[]`, 400, "no event"},
		{"Content-Type: application/cloudevents-batch+json", `{}`, 400, "not an array"},
		{"Content-Type: application/cloudevents-batch+json", `[{` + least + `},1]`, 400, "event 2 is not an object"},
		{"ce-specversion: 1.0\nce-id: 1\nce-type: t", "", 400, "has no source"},
		{"ce-specversion: 1.0\nce-id: 1\nce-id: 2\nce-type: t\nce-source: s", "", 400, "twice"},
		{"ce-specversion: 1.0\nce-id: %ff\nce-type: t\nce-source: s", "", 400, "encoded"},
		{"ce-specversion: 1.0\nce-id: 1\nce-type: t\nce-source: s\nce-data: x", "", 400, "not an attribute"},
		{"ce-specversion: 1.0\nce-id: 1\nce-type: t\nce-source: s\nContent-Type: text/plain\nce-datacontenttype: text/xml", "", 400, "contradicts"},
		{"ce-specversion: 1.0\nce-id: 1\nce-type: t\nce-source: s\nContent-Type: application/cloudevents-batch+json", "{}", 400, "not an array"},
	} {
		o.want(o.post("/e", c.headers, c.body), c.status, c.text)
	}
	if got := o.values(); len(got) > 0 {
		t.Errorf("%q is written", got)
	}
}

func TestAttributesInHeaders(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{`plain`: "plain", `"quoted \" and \\"`: `quoted " and \`, `%41%e2%82%ac`: "A€", `"a%22b"`: `a"b`, `"`: `"`, `%25`: "%", "%": "%", "a%4": "a%4", "%zz": "%zz", "100%": "100%", "€": "€"} {
		if got, ok := attributeIn(header); !ok || got != want {
			t.Errorf("%s is %q, not %q", header, got, want)
		}
	}
	for _, header := range []string{"%ff", "%e2%82", "\xff"} {
		if got, ok := attributeIn(header); ok {
			t.Errorf("%s is %q", header, got)
		}
	}
}
