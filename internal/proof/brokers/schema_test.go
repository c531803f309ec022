// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/apicurio"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// serialized is what Confluent's serializers for Python have made of values;
// testdata/confluent/serialize.py says how.
//
//go:embed testdata/confluent/serialized.json
var serialized []byte

// serializedSchema is a schema and values of it.
type serializedSchema struct {
	Name       string        `json:"name"`
	Type       sr.SchemaType `json:"type"`
	Text       string        `json:"text"`
	Registered string        `json:"registered"` // the same as the serializer has registered it
	Values     []struct {
		Payload []byte          `json:"payload"` // after the number of the schema
		Meaning json.RawMessage `json:"meaning"`
	} `json:"values"`
}

// serializedSchemas returns all schemas as their texts, and Protobuf's also as
// their serializer registers them.
func serializedSchemas(t *testing.T) (schemas []serializedSchema) {
	t.Helper()
	if err := json.Unmarshal(serialized, &schemas); err != nil {
		t.Fatal(err)
	}
	for _, s := range schemas {
		if s.Type == sr.TypeProtobuf {
			s.Name, s.Text = s.Name+"-as-registered", s.Registered
			if _, err := base64.StdEncoding.DecodeString(s.Text); err != nil {
				t.Fatal("the serializer has registered a text")
			}
			schemas = append(schemas, s)
		}
	}
	return schemas
}

// registrySpout is a topic of a real Kafka whose values have schemas in a real
// registry.
type registrySpout struct {
	t        *testing.T
	client   *sr.Client
	topic    *topic
	records  []*kgo.Record
	meanings []string       // of the records
	texts    map[int]string // of the schemas by their number
}

func (r *registrySpout) register(subject string, schema sr.Schema) int {
	r.t.Helper()
	made, err := r.client.CreateSchema(testContext(r.t), subject, schema)
	if err != nil {
		r.t.Fatalf("register %s: %v", subject, err)
	}
	r.texts[made.ID] = schema.Schema
	return made.ID
}

// add adds a value of a schema, and what a row of it should hold.
func (r *registrySpout) add(id int, payload []byte, meaning string) {
	r.records = append(r.records, &kgo.Record{Partition: int32(len(r.records) % 2), Key: fmt.Append(nil, len(r.records)),
		Value: append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), payload...)})
	r.meanings = append(r.meanings, meaning)
}

// produce sends all that was added, and returns what should come of it.
func (r *registrySpout) produce() *audit.Produced {
	r.t.Helper()
	r.topic.produce(client(r.t, r.topic.cluster), r.records...)
	truth := audit.NewProduced(audit.OffsetsOf("kafka"))
	for i, record := range r.records {
		truth.Add(source.Stream{Name: record.Topic, Partition: record.Partition}, record.Offset, r.meanings[i])
	}
	return truth
}

// TestSchemaRegistry reads values that Confluent's serializers have made, with
// their schemas from a registry that has nothing to do with this project, into
// Avro and Parquet files.
func TestSchemaRegistry(t *testing.T) {
	t.Parallel()
	registry := apicurio.StartForTest(t)
	c := single.get(t)
	r := &registrySpout{t: t, client: registry.Client(t), topic: newTopic(t, c, 2, nil), texts: map[int]string{}}
	for _, s := range serializedSchemas(t) {
		id := r.register(s.Name+"-value", sr.Schema{Schema: s.Text, Type: s.Type})
		for range 10 {
			for _, v := range s.Values {
				r.add(id, v.Payload, canonical(t, v.Meaning))
			}
		}
	}
	// A schema that refers to another.
	r.register("money", sr.Schema{Schema: `{"type":"record","name":"example.Money","fields":[{"name":"cents","type":"long"}]}`})
	id := r.register("payments-value", sr.Schema{Schema: `{"type":"record","name":"example.Payment","fields":[{"name":"amount","type":"example.Money"}]}`,
		References: []sr.SchemaReference{{Name: "example.Money", Subject: "money", Version: 1}}})
	r.add(id, []byte{10}, `{"amount":{"cents":5}}`)
	truth := r.produce()

	for _, format := range []string{"avro", "parquet"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newSpout(t, "2.6.0", readerSettings(c, r.topic))
			s.settings.File.Format, s.settings.File.Compression = format, "snappy"
			s.settings.SchemaRegistry.URL = registry.URL
			s.start()
			if report := s.auditAgainst(truth); report.Records != int64(len(r.records)) {
				t.Error(report)
			}
			r.checkSchemas(s, id)
		})
	}
}

// checkSchemas reads the schemas beside the data in the last commit. That of
// id refers to another.
func (r *registrySpout) checkSchemas(s *spout, id int) {
	s.t.Helper()
	last, _, err := ingest.LastCommit(s.t.Context(), s.branch)
	if err != nil {
		s.t.Fatal(err)
	}
	files, err := s.branch.Files(s.t.Context(), last.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range files {
		if !strings.HasPrefix(f.Path, "/_schemas/") {
			continue
		}
		var number int
		if _, err := fmt.Sscanf(f.Path, "/_schemas/%d", &number); err != nil {
			s.t.Fatal(f.Path, err)
		}
		content, err := s.branch.ReadFile(s.t.Context(), last.ID, f.Path)
		if err != nil {
			s.t.Fatal(err)
		}
		if strings.Contains(strings.TrimPrefix(f.Path, "/_schemas/"), "/") {
			found["reference"] = number == id && strings.Contains(string(content), "cents")
			continue
		}
		if strings.TrimSpace(string(content)) != strings.TrimSpace(r.texts[number]) {
			s.t.Errorf("%s is %s, should be %s", f.Path, content, r.texts[number])
		}
		found[fmt.Sprint(number)] = true
	}
	if len(found) != len(r.texts) || !found["reference"] { // "money" is only referred to
		s.t.Errorf("of %d schemas there are %v", len(r.texts), found)
	}
}

// canonical is JSON as the audit writes it.
func canonical(t *testing.T, text []byte) string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	err := decoder.Decode(&v)
	if err == nil {
		text, err = json.Marshal(v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
