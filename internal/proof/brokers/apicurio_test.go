// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/apicurio"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// artifact is a schema as Apicurio's own API has it. Those with the same text
// have one content id, and each has a global id.
type artifact struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Global  uint64 `json:"globalId"`
	Content uint64 `json:"contentId"`
}

// createArtifact registers a schema by Apicurio's own API.
func createArtifact(t *testing.T, registry *apicurio.Registry, kind, id, text string, references ...map[string]string) (a artifact) {
	t.Helper()
	base, _, _ := strings.Cut(registry.URL, "/apis/")
	body, err := json.Marshal(map[string]any{"content": text, "references": references})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(testContext(t), http.MethodPost, base+"/apis/registry/v2/groups/default/artifacts", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/create.extended+json")
	request.Header.Set("X-Registry-ArtifactType", kind)
	request.Header.Set("X-Registry-ArtifactId", id)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // it is read
	if err := json.NewDecoder(answer.Body).Decode(&a); err != nil || answer.StatusCode != http.StatusOK || a.Global == 0 {
		t.Fatalf("register %s: %s, %+v, %v", id, answer.Status, a, err)
	}
	return a
}

// TestApicurioIDs reads values as Apicurio's own serializers write them, with
// global and content ids, from a real registry that tells the two apart, and
// schemas that refer to others as that registry has them.
func TestApicurioIDs(t *testing.T) {
	t.Parallel()
	registry := apicurio.StartForTest(t)
	const first = `{"type":"record","name":"A","fields":[{"name":"a","type":"int"}]}`
	createArtifact(t, registry, "AVRO", "one", first)
	again := createArtifact(t, registry, "AVRO", "two", first) // from here on the ids differ
	if again.Global == again.Content {
		t.Fatalf("%+v", again)
	}
	second := createArtifact(t, registry, "AVRO", "three", `{"type":"record","name":"B","fields":[{"name":"b","type":"string"}]}`)
	document := createArtifact(t, registry, "JSON", "four", `{"type":"object","properties":{"own":{"type":"integer"}}}`)
	message := createArtifact(t, registry, "PROTOBUF", "five", `syntax = "proto3"; message M { int32 m = 1; }`)
	money := createArtifact(t, registry, "AVRO", "money", `{"type":"record","name":"Money","namespace":"example","fields":[{"name":"cents","type":"long"}]}`)
	payment := createArtifact(t, registry, "AVRO", "payment", `{"type":"record","name":"Payment","namespace":"example","fields":[{"name":"amount","type":"example.Money"}]}`,
		map[string]string{"groupId": "default", "artifactId": money.ID, "version": money.Version, "name": "example.Money"})

	bits := func(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }
	before := func(id uint64, payload string) source.Record {
		return source.Record{Value: append(append([]byte{0}, bits(id)...), payload...)}
	}
	header := func(name string, id uint64, payload string) source.Record {
		r := source.Record{Value: []byte(payload)}
		r.Headers.Append(name, bits(id))
		return r
	}
	const globalID, contentID = "apicurio.value.globalId", "apicurio.value.contentId"
	for name, test := range map[string]struct {
		record source.Record
		want   string
	}{
		"64 bits":                   {before(again.Global, "\x02"), `{"a":1}`},
		"a global id":               {header(globalID, second.Global, "\x02x"), `{"b":"x"}`},
		"a content id":              {header(contentID, again.Content, "\x04"), `{"a":2}`},
		"another content id":        {header(contentID, second.Content, "\x02y"), `{"b":"y"}`},
		"JSON":                      {header(globalID, document.Global, `{"own":3}`), `{"own":3}`},
		"JSON by content":           {header(contentID, document.Content, `{"own":4}`), `{"own":4}`},
		"Protobuf":                  {header(globalID, message.Global, "\x00\x08\x06"), `{"m":6}`},
		"a reference":               {before(payment.Global, "\x0a"), `{"amount":{"cents":5}}`},
		"a reference by content":    {header(contentID, payment.Content, "\x0c"), `{"amount":{"cents":6}}`},
		"none that there is":        {before(1<<40, "\x02"), ""},
		"no content that there is":  {header(contentID, 1<<40, "\x02"), ""},
		"a number of the other API": {source.Record{Value: []byte("\x00\x00\x00\x00" + string(byte(second.Content)) + "\x02z")}, `{"b":"z"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settings.Default()
			s.File.Format, s.SchemaRegistry.URL = "jsonl", registry.URL
			r, err := schema.NewRegistry(s, hclog.NewNullLogger())
			if err != nil {
				t.Fatal(err)
			}
			id, payload, err := r.Split(&test.record, false)
			if err != nil {
				t.Fatal(err)
			}
			values, err := r.Lookup(testContext(t), id)
			if test.want == "" {
				if err == nil || !strings.Contains(err.Error(), "does not know the schema") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			rows, value, err := values.Decode(nil, payload)
			if err != nil {
				t.Fatal(err)
			}
			if rows != nil { // JSON stays what it is
				if value, err = rows.AppendJSON(nil, value, 1<<20); err != nil {
					t.Fatal(err)
				}
			}
			if string(value) != test.want {
				t.Errorf("%s, want %s", value, test.want)
			}
		})
	}
}
