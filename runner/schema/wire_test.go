// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	guidText  = "89791762-2336-4186-9674-299b90a802e2"
	guidBytes = "\x89\x79\x17\x62\x23\x36\x41\x86\x96\x74\x29\x9b\x90\xa8\x02\xe2"
)

// serveSchemas answers as a registry does, by path.
func serveSchemas(t *testing.T, answers map[string]string, asked *[]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if asked != nil {
			*asked = append(*asked, request.URL.String())
		}
		answer, ok := answers[request.URL.Path]
		if strings.Contains(request.URL.Path, "/ids/") && !strings.Contains(request.URL.Path, "/schemas/") && request.Header.Get("Accept") != "*/*" {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"error_code":40403,"message":"not found"}`
			if strings.Contains(request.URL.Path, "/registry/") {
				answer = `{"status":404,"name":"ContentNotFoundException"}`
			}
		}
		if kind, text, ok := strings.Cut(answer, "|"); ok {
			w.Header().Set("X-Registry-ArtifactType", kind)
			answer = text
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func confluent(t *testing.T, s sr.Schema) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func headersOf(pairs ...string) (h source.Headers) {
	for i := 0; i < len(pairs); i += 2 {
		h.Append(pairs[i], []byte(pairs[i+1]))
	}
	return h
}

// TestWire: what serializers write before values, and in headers, is read
// without being told which they are.
func TestWire(t *testing.T) {
	t.Parallel()
	number := confluent(t, sr.Schema{Schema: `{"type":"record","name":"A","fields":[{"name":"a","type":"int"}]}`})
	guid := confluent(t, sr.Schema{Schema: `{"type":"record","name":"G","fields":[{"name":"g","type":"int"}]}`})
	proto := confluent(t, sr.Schema{Schema: `syntax = "proto3"; message O { int32 o = 1; } message P { int32 p = 1; }`, Type: sr.TypeProtobuf})
	var asked []string
	url := serveSchemas(t, map[string]string{
		"/apis/ccompat/v7/schemas/ids/5": number, "/apis/ccompat/v7/schemas/guids/" + guidText: guid,
		"/apis/registry/v2/ids/globalIds/5":             `AVRO|{"type":"record","name":"Global","fields":[{"name":"own","type":"int"}]}`,
		"/apis/registry/v3/ids/globalIds/6":             `{"type":"object","properties":{"own":{"type":"integer"}}}`,
		"/apis/registry/v2/ids/contentIds/7":            `AVRO|{"type":"record","name":"P","fields":[{"name":"m","type":"M"}]}`,
		"/apis/registry/v2/ids/contentIds/7/references": `[{"groupId":"default","artifactId":"money","version":"3","name":"M"}]`,
		"/apis/ccompat/v7/subjects/money/versions/3":    `{"subject":"money","version":3,"id":9,"schema":"{\"type\":\"record\",\"name\":\"M\",\"fields\":[{\"name\":\"c\",\"type\":\"int\"}]}"}`,
		"/apis/registry/v2/ids/contentIds/8":            `AVRO|{"type":"record","name":"P","fields":[{"name":"m","type":"M"}]}`,
		"/apis/registry/v2/ids/contentIds/8/references": `[{"groupId":"bank","artifactId":"money","version":"3","name":"M"}]`,
		"/apis/registry/v3/ids/contentIds/5":            `PROTOBUF|syntax = "proto3"; message M { int32 m = 1; }`,
	}, &asked)
	other := serveSchemas(t, map[string]string{"/schemas/ids/5": number, "/schemas/guids/" + guidText: proto}, nil)
	for _, test := range []struct {
		name    string
		url     string
		record  source.Record
		key     bool
		want    string // JSON of the value
		file    string
		refused string
	}{
		{"a number", url, source.Record{Value: []byte("\x00\x00\x00\x00\x05\x02")}, false, `{"a":1}`, "5.avsc", ""},
		{"a GUID", url, source.Record{Value: []byte("\x01" + guidBytes + "\x02")}, false, `{"g":1}`, guidText + ".avsc", ""},
		{"a GUID in a header", url, source.Record{Value: []byte("\x02"), Headers: headersOf("x", "y", "__value_schema_id", "\x01"+guidBytes)}, false, `{"g":1}`, guidText + ".avsc", ""},
		{"a number in a header", url, source.Record{Value: []byte("\x04"), Headers: headersOf("__value_schema_id", "\x00\x00\x00\x00\x05")}, false, `{"a":2}`, "5.avsc", ""},
		{"a key's GUID", url, source.Record{Key: []byte("\x02"), Headers: headersOf("__value_schema_id", "\x00\x00\x00\x00\x05", "__key_schema_id", "\x01"+guidBytes)}, true, `{"g":1}`, guidText + ".avsc", ""},
		{"messages in a header", other, source.Record{Value: []byte("\x08\x07"), Headers: headersOf("__value_schema_id", "\x01"+guidBytes+"\x02\x02")}, false, `{"p":7}`, guidText + ".proto", ""},
		{"the first message in a header", other, source.Record{Value: []byte("\x08\x07"), Headers: headersOf("__value_schema_id", "\x01"+guidBytes+"\x00")}, false, `{"o":7}`, guidText + ".proto", ""},
		{"64 bits of version 2", url, source.Record{Value: []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x05\x06")}, false, `{"own":3}`, "global-5.avsc", ""},
		{"64 bits of version 3", url, source.Record{Value: []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x06" + `{"own":3}`)}, false, `{"own":3}`, "global-6.json", ""},
		{"64 bits elsewhere", other, source.Record{Value: []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x05\x06")}, false, `{"a":3}`, "global-5.avsc", ""},
		{"a global id in a header", url, source.Record{Value: []byte("\x06"), Headers: headersOf("apicurio.value.globalId", "\x00\x00\x00\x00\x00\x00\x00\x05", "apicurio.value.encoding", "BINARY")}, false, `{"own":3}`, "global-5.avsc", ""},
		{"a content id in a header", url, source.Record{Value: []byte("\x00\x08\x06"), Headers: headersOf("apicurio.value.contentId", "\x00\x00\x00\x00\x00\x00\x00\x05")}, false, `{"m":6}`, "content-5.proto", ""},
		{"a content id of a schema that refers to another", url, source.Record{Value: []byte("\x06"), Headers: headersOf("apicurio.value.contentId", "\x00\x00\x00\x00\x00\x00\x00\x07")}, false, `{"m":{"c":3}}`, "content-7.avsc", ""},
		{"one that refers to another group", url, source.Record{Value: []byte("\x06"), Headers: headersOf("apicurio.value.contentId", "\x00\x00\x00\x00\x00\x00\x00\x08")}, false, "", "", "in the group bank, which cannot be read by content"},
		{"Azure's content type", url, source.Record{Value: []byte("\x06"), Headers: headersOf("Content-Type", "avro/binary+"+strings.ReplaceAll(guidText, "-", ""))}, false, `{"g":3}`, guidText + ".avsc", ""},
		{"another content type", url, source.Record{Value: []byte("\x00\x00\x00\x00\x05\x02"), Headers: headersOf("content-type", "application/avro")}, false, `{"a":1}`, "5.avsc", ""},
		{"nothing", url, source.Record{Value: []byte("{}")}, false, "", "", "its value does not begin with"},
		{"a short GUID", url, source.Record{Value: []byte("\x01" + guidBytes[1:])}, false, "", "", "its value does not begin with"},
		{"a short header", url, source.Record{Value: []byte("\x02"), Headers: headersOf("__value_schema_id", "\x01"+guidBytes[1:])}, false, "", "", "its header __value_schema_id is not like"},
		{"an unknown GUID", url, source.Record{Value: []byte("\x01" + guidBytes[1:] + "\x01\x02")}, false, "", "", "does not know the schema 79176223-3641-8696-7429-9b90a802e201"},
		{"an unknown global id", url, source.Record{Value: []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x09\x02")}, false, "", "", "does not know the schema global-9"},
		{"a content type without an id", url, source.Record{Value: []byte("\x02"), Headers: headersOf("content-type", "avro/binary+none")}, false, "", "", "names no schema"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := test.url
			if u == url {
				u += "/apis/ccompat/v7"
			}
			r := newRegistry(t, u, io.Discard)
			id, payload, err := r.Split(&test.record, test.key)
			var v *Values
			if err == nil {
				v, err = r.Lookup(t.Context(), id)
			}
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := asJSON(t, v, payload); got != test.want || err != nil {
				t.Errorf("%s, want %s, %v", got, test.want, err)
			}
			if files := v.Files(); files[test.file] == "" || len(files) != 1+strings.Count(test.want, ":{") {
				t.Error(files)
			}
			if again, _, err := r.Split(&test.record, test.key); again != id || err != nil {
				t.Errorf("%d is %d, %v", id, again, err)
			}
		})
	}
	if all := strings.Join(asked, " "); !strings.Contains(all, "references=DEREFERENCE") || strings.Contains(all, "v2/ids/globalIds/6") {
		t.Error(all)
	}
}

// TestManyGUIDs: who names many schemas that there are not takes no memory that
// grows, and none is taken for another.
func TestManyGUIDs(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, "http://localhost:1", io.Discard)
	seen := map[int]bool{}
	for i := range 3 * maxUnknown {
		id, _, err := r.Split(&source.Record{Value: []byte("\x01" + guidBytes[3:] + string([]byte{byte(i >> 16), byte(i >> 8), byte(i)}) + "x")}, false)
		if err != nil || seen[id] || id >= 0 {
			t.Fatal(id, err)
		}
		seen[id] = true
	}
	if len(r.numbers) > maxUnknown || len(r.wires) > maxUnknown {
		t.Error(len(r.numbers), len(r.wires))
	}
}
