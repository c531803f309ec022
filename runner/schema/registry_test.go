// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// largest is what a value may become by default.
var largest = settings.Default().LargestRecord()

// newRegistry returns a client of the registry at a URL, for Parquet.
func newRegistry(t testing.TB, url string, log io.Writer) *Registry {
	t.Helper()
	s := settings.Default()
	s.SchemaRegistry.URL, s.File.Format = url, "parquet"
	return newRegistryOf(t, s, log)
}

func newRegistryOf(t testing.TB, s settings.Settings, log io.Writer) *Registry {
	t.Helper()
	r, err := NewRegistry(s, hclog.New(&hclog.LoggerOptions{Output: log}))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// schemaAnswer is what a registry answers about a schema.
func schemaAnswer(t testing.TB, kind, text string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"schema": text, "schemaType": kind})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hostileAnswers are what a registry, or who is in its place, might answer.
func hostileAnswers(t testing.TB) map[string]http.HandlerFunc {
	zipped := func(length int) []byte {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err == nil {
			_, err = io.CopyN(w, endless{' '}, int64(length))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	bomb := zipped(256 << 20)
	answer := func(kind, text string) http.HandlerFunc {
		b := schemaAnswer(t, kind, text)
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
	}
	return map[string]http.HandlerFunc{
		"bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		},
		"endless":          func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, endless{' '}) },
		"json lists":       answer("JSON", `{"enum":[`+strings.Repeat(`[],`, 2_500_000)+`1]}`),
		"json members":     answer("JSON", `{"definitions":{`+strings.Repeat(`"a":1,`, 1_000_000)+`"b":1},"properties":{"x":{"$ref":"#/definitions/b"}}}`),
		"json schemas":     answer("JSON", `{"properties":{"a":{"items":{"anyOf":[`+strings.Repeat(`{},`, 2_000_000)+`{}]}}}}`),
		"json names":       answer("JSON", `{"$id":"http://x/`+strings.Repeat("a", 900)+`","properties":{`+many(150_000, `"%d":{"$ref":"#a%[1]d"}`)+`}}`),
		"json identifiers": answer("JSON", `{"properties":{`+many(150_000, `"%d":{"$id":"`+strings.Repeat("i", 20)+`%[1]d"}`)+`}}`),
		"avro":             answer("AVRO", `{"type":"record","name":"R","fields":[`+many(150_000, `{"name":"f%d","type":"int"}`)+`]}`),
		"avro defaults": answer("AVRO", `{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"S","fields":[`+many(20_000, `{"name":"f%d","type":"int","default":1}`)+
			`]}},`+many(2000, `{"name":"g%d","type":{"type":"array","items":"S"},"default":[`+strings.Repeat("{},", 100)+`{}]}`)+`]}`),
		"protobuf":         answer("PROTOBUF", `syntax = "proto3"; message M { `+strings.Repeat("message A { ", 5000)+strings.Repeat("} ", 5000)+`}`),
		"protobuf options": answer("PROTOBUF", `syntax = "proto3"; option java_package = `+strings.Repeat(`"a" `, 60_000)+`; message M {}`),
		"protobuf fields":  answer("PROTOBUF", `syntax = "proto3"; message M { `+many(12_000, `int32 f%d = 3%05[1]d;`)+`}`),
	}
}

func many(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	separator := ","
	if strings.HasSuffix(format, ";") {
		separator = " "
	}
	return strings.Join(list, separator)
}

// endless reads as one byte for ever.
type endless struct{ b byte }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.b
	}
	return len(p), nil
}

// TestHostileRegistry: whatever the registry answers, it takes bounded memory
// and time, and what cannot be used is refused.
func TestHostileRegistry(t *testing.T) { //nolint:tparallel // the process that is measured does one thing
	if rsstest.Child(t) {
		r := newRegistry(t, os.Getenv("SPOUT_TEST_REGISTRY"), io.Discard)
		for id := range len(hostileNames) {
			began := time.Now()
			_, err := r.Lookup(t.Context(), id)
			t.Logf("%s after %v: %.200v", hostileNames[id], time.Since(began), err)
			if id < 2 && (err == nil || !strings.Contains(err.Error(), "longer than 8 MiB")) {
				t.Errorf("%s: %v", hostileNames[id], err)
			}
		}
		return
	}
	t.Parallel()
	handlers := hostileAnswers(t)
	if len(handlers) != len(hostileNames) {
		t.Fatal("a name is missing")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var id int
		if _, err := fmt.Sscanf(r.URL.Path, "/schemas/ids/%d", &id); err != nil {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		handlers[hostileNames[id]](w, r)
	}))
	defer server.Close()
	rsstest.Run(t, rsstest.Limits{Budget: 64 << 20, Within: 2 * time.Minute}, "SPOUT_TEST_REGISTRY="+server.URL)
}

var hostileNames = []string{"bomb", "endless", "json lists", "json members", "json schemas", "json names", "json identifiers", "avro", "avro defaults", "protobuf", "protobuf options", "protobuf fields"}

// TestErrorPage: of a page of whoever is in the registry's place, nothing is
// read but the beginning, and it is said once that it is waited for.
func TestErrorPage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 3 {
			cancel()
		}
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write(bytes.Repeat([]byte("<p>secret of another service</p>"), 1<<20/2))
	}))
	defer server.Close()
	var log bytes.Buffer
	if _, err := newRegistry(t, server.URL, &log).Lookup(ctx, 1); err == nil {
		t.Error("a schema was found")
	}
	if strings.Count(log.String(), "waiting for the schema registry") != 1 || strings.Contains(log.String(), "secret") || log.Len() > 500 {
		t.Errorf("%.2000s", log.String())
	}
}

// TestReferencesWithoutEnd: a registry whose schemas refer to ever more.
func TestReferencesWithoutEnd(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_ = json.NewEncoder(w).Encode(sr.SubjectSchema{Schema: sr.Schema{Schema: `"int"`, References: []sr.SchemaReference{
			{Name: "a", Subject: fmt.Sprint("a", asked), Version: 1}, {Name: "b", Subject: fmt.Sprint("b", asked), Version: 1}}}})
	}))
	defer server.Close()
	_, err := newRegistry(t, server.URL, io.Discard).Lookup(t.Context(), 1)
	if err == nil || !strings.Contains(err.Error(), "refers to more than 500 others") {
		t.Errorf("after %d requests: %v", asked, err)
	}
}

// TestKnownSchemasAreBounded: that a registry has many schemas does not mean
// that all are kept.
func TestKnownSchemasAreBounded(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, "http://localhost:1", io.Discard)
	for id := range 100 {
		r.keep(id, known{values: &Values{sources: []Source{{Text: strings.Repeat("x", 1<<20)}}}})
	}
	if len(r.known) > 8 || r.size > r.most {
		t.Errorf("%d schemas of %d bytes are kept", len(r.known), r.size)
	}
	if _, _, ok := r.Known(99); !ok {
		t.Error("the last one is forgotten")
	}
}

// FuzzRegistry: whatever a registry answers, what becomes of it is bounded.
func FuzzRegistry(f *testing.F) {
	f.Add([]byte(`{"schema":"\"int\""}`), 200, []byte("\x02"))
	f.Add([]byte(`{"schema":"{\"properties\":{\"a\":{\"$ref\":\"x\"}}}","schemaType":"JSON","references":[{"name":"x","subject":"x","version":1}]}`), 200, []byte(`{"a":1}`))
	f.Add([]byte(`{"error_code":40403,"message":"Schema not found"}`), 404, []byte{})
	f.Add([]byte(`<html>`), 502, []byte{})
	f.Fuzz(func(t *testing.T, answer []byte, status int, payload []byte) {
		if status < 200 || status > 599 || 300 <= status && status < 400 {
			status = 200
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := newRegistry(t, "http://registry", io.Discard)
		asked := 0
		client, err := sr.NewClient(sr.URLs("http://registry"), sr.HTTPClient(&http.Client{Transport: answers(func() *http.Response {
			if asked++; asked > 600 {
				cancel()
			}
			if status != 200 {
				cancel() // it would be waited for
			}
			return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(answer)), Header: http.Header{}}
		})}))
		if err != nil {
			t.Fatal(err)
		}
		r.client = client
		bounded(t, len(answer)*600+len(payload), func() {
			time.AfterFunc(2*time.Second, cancel) // a malformed answer is waited for, too
			if v, err := r.ask(ctx, 1); err == nil {
				_, _, _ = v.Decode(nil, payload)
			}
		})
	})
}

type answers func() *http.Response

func (a answers) RoundTrip(*http.Request) (*http.Response, error) { return a(), nil }
