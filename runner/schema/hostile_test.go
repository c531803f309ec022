// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/logtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// small is a budget whose eighth a record may be.
const small = settings.Bytes(64 << 20)

func largestOf(budget settings.Bytes) int {
	s := settings.Default()
	s.MemoryBudget = budget
	return s.LargestRecord()
}

// TestLargeValues: values that would take many times their length are refused,
// in bounded memory.
func TestLargeValues(t *testing.T) { // counts memory: not parallel
	const room = int(small)/8 - 4096
	packed := append([]byte{0, 0x0a}, binary.AppendUvarint(nil, uint64(room))...)
	var keys bytes.Buffer
	for i := 0; keys.Len() < room; i++ {
		fmt.Fprintf(&keys, `,"%x":1`, i)
	}
	for _, test := range []struct {
		name, schema string
		kind         sr.SchemaType
		payload      []byte
		refused      string
	}{
		{"names of an enum", `syntax = "proto3"; enum E { ABCDEFG = 0; } message M { repeated E s = 1; }`, sr.TypeProtobuf, append(packed, make([]byte, room)...), errGrows.Error()},
		{"occurrences", `syntax = "proto3"; message M { repeated bytes s = 1; }`, sr.TypeProtobuf, append([]byte{0}, bytes.Repeat([]byte{0x0a, 0}, room/2)...), errParts.Error()},
		{"lists", `{"type":"array","items":{"type":"array","items":{"type":"integer"}}}`, sr.TypeJSON, []byte("[[]" + strings.Repeat(",[]", room/3) + "]"), errParts.Error()},
		{"members of a map", `{"type":"object","additionalProperties":{"type":"integer"}}`, sr.TypeJSON, []byte("{" + keys.String()[1:] + "}"), errParts.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, test.kind, []Source{{Text: test.schema}}, 0, largestOf(small))
			if err != nil {
				t.Fatal(err)
			}
			// What grows is allocated several times over.
			rsstest.Bounded(t, int64(6*largestOf(small)), 5*time.Second, func() {
				_, _, err = v.Decode(nil, test.payload)
			})
			if test.refused == "" && err != nil || test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
				t.Error(err)
			}
		})
	}
}

// TestKeysTwice: of several entries of a key the last counts, where it is.
func TestKeysTwice(t *testing.T) {
	t.Parallel()
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeJSON, []Source{{Text: `{"type":"object","additionalProperties":{"type":"integer"}}`}}, 0, largest)
	if err != nil {
		t.Fatal(err)
	}
	_, value, err := v.Decode(nil, []byte(`{"a":1,"b":2,"\u0061":3,"c":4,"b":5,"a":6}`))
	if want := "\x06\x02c\x08\x02b\x0a\x02a\x0c\x00"; err != nil || string(value) != want {
		t.Errorf("%q, want %q, %v", value, want, err)
	}
}

// TestMessageIndex: which message a value is can be said in one way, what is
// kept of messages is bounded, and one that is refused is looked at once.
func TestMessageIndex(t *testing.T) {
	t.Parallel()
	schema := `syntax = "proto3"; message W {` + strings.TrimPrefix(many(700, "int32 a%d=%[1]d;"), "int32 a0=0;") + "}"
	for i := range 300 {
		schema += fmt.Sprintf("message M%d { W w = 1; }", i)
	}
	made := 0
	decode, _, err := protobufValues(t.Context(), []Source{{Text: schema}}, func(of *Type) (*Rows, error) {
		made++
		if made == 1 {
			return nil, errDeep
		}
		return CoordinatesOf(kafkaWords).newRows(of, valueFirst)
	}, largest, LogicalMicros)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, _, err := decode(nil, []byte{2, 2}); !errors.Is(err, errDeep) || made != 1 {
			t.Errorf("%v, made %d times", err, made)
		}
	}
	for _, long := range []string{"\x82\x00\x02", "\x02\x82\x00", "\x80\x00", "\x02\x01"} {
		if _, _, err := decode(nil, []byte(long)); !errors.Is(err, errNoMessage) {
			t.Errorf("%q: %v", long, err)
		}
	}
	p := &protobufFile{rows: func(of *Type) (*Rows, error) { return CoordinatesOf(kafkaWords).newRows(of, valueFirst) }, messages: map[string]*protobufMessage{}, writer: protoWriter{largest: largest}}
	compiled, err := compileProtobuf(t.Context(), []Source{{Text: schema}})
	if err != nil {
		t.Fatal(err)
	}
	p.file = compiled
	for i := range 300 {
		if _, _, err := p.decode(nil, append([]byte{2}, varint(i+1)...)); err != nil {
			t.Fatal(err)
		}
		if p.fields > maxMessageFields || len(p.messages) > 100 {
			t.Fatalf("%d messages of %d fields are kept", len(p.messages), p.fields)
		}
	}
}

func varint(n int) []byte { return binary.AppendVarint(nil, int64(n)) }

// TestSlowSchemas: what a schema makes of the runner ends soon, or with its
// context.
func TestSlowSchemas(t *testing.T) {
	t.Parallel()
	union := make([]string, 10_000)
	for i := range union {
		union[i] = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"x","type":"int"}]}`, i)
	}
	enums := make([]string, 10_000)
	for i := range enums {
		enums[i] = fmt.Sprintf(`{"type":"enum","name":"E%d","symbols":["a"]}`, i)
	}
	for name, test := range map[string]struct {
		kind sr.SchemaType
		text string
	}{
		"defaults of many members": {sr.TypeAvro, `{"type":"record","name":"T","fields":[{"name":"f","type":[` + strings.Join(union, ",") + `],"default":{"":0` + strings.Repeat(`,"":0`, 200_000) + `}}]}`},
		"long defaults":            {sr.TypeAvro, `{"type":"record","name":"T","fields":[{"name":"f","type":[` + strings.Join(enums, ",") + `],"default":"` + strings.Repeat(`\n`, 500_000) + `"}]}`},
		"elements of a long list":  {sr.TypeJSON, `{"x":[0` + strings.Repeat(",0", 500_000) + `],"properties":{` + many(20_000, `"p%d":{"$ref":"#/x/4%05[1]d"}`) + `}}`},
	} {
		began := time.Now()
		v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, test.kind, []Source{{Text: test.text}}, 0, largest)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: %v after %v", name, err, took)
		}
		if err == nil && v.rows == nil {
			t.Errorf("%s: nothing was made", name)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newValues(ended, CoordinatesOf(kafkaWords), 1, test.kind, []Source{{Text: test.text}}, 0, largest); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, after its context: %v", name, err)
		}
	}
}

// TestAnswerParts: what nobody needs of an answer is not taken apart.
func TestAnswerParts(t *testing.T) { // counts memory: not parallel
	answer := map[string]string{
		"rules":      `{"schema":"\"string\"","ruleSet":{"domainRules":[{}` + strings.Repeat(`,{}`, 2_000_000) + `]}}`,
		"references": `{"schema":"\"string\"","references":[{}` + strings.Repeat(`,{}`, 2_000_000) + `]}`,
		"nulls":      `{"schema":"\"string\"","references":[null` + strings.Repeat(`,null`, 1_000_000) + `]}`,
	}
	for name, text := range answer {
		rsstest.Bounded(t, 16<<20, 5*time.Second, func() {
			if _, err := neededOf([]byte(text)); !errors.Is(err, errAnswer) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	got, err := neededOf([]byte(`{"id": 7, "metadata": {"a": [1]}, "sch\u0065ma": "\"int\"", "references": [{"name": "a"}]}`))
	if want := `{"id":7,"sch\u0065ma":"\"int\"","references":[{"name": "a"}]}`; err != nil || string(got) != want {
		t.Errorf("%s, want %s, %v", got, want, err)
	}
	if got, err := neededOf([]byte("<html>")); err != nil || string(got) != "<html>" {
		t.Errorf("%s, %v", got, err)
	}
}

// TestUnknownNumbers: what no registry knows is not waited for, and a wrong URL
// is.
func TestUnknownNumbers(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path == "/schemas/ids/1" {
			_ = json.NewEncoder(w).Encode(map[string]any{"schema": `"string"`})
			return
		}
		w.WriteHeader(http.StatusNotFound)
		if r.URL.Path == "/schemas/ids/2" {
			_, _ = io.WriteString(w, `{"error_code":0,"message":"nothing"}`)
		} else {
			_, _ = io.WriteString(w, `<html>`)
		}
	}))
	defer server.Close()
	r := newRegistry(t, server.URL, io.Discard)
	within := func(patience time.Duration, id int) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := r.Lookup(ctx, id)
		return err
	}
	// What is waited for ends when the time is over; what is answered may take its
	// time on a busy machine.
	const short, long = 200 * time.Millisecond, time.Minute
	var refused *Refused
	if err := within(long, 1<<31); !errors.As(err, &refused) || asked != 0 {
		t.Errorf("%v after %d requests", err, asked)
	}
	if err := within(short, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before any schema was found: %v", err)
	}
	if err := within(long, 1); err != nil {
		t.Error(err)
	}
	for range 2 {
		asked = 0
		if err := within(long, 2); !errors.As(err, &refused) || asked > 1 {
			t.Errorf("%v after %d requests", err, asked)
		}
	}
	if err := within(short, 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a page: %v", err)
	}
	for id := range maxUnknown + 10 {
		r.note(id, known{refused: &Refused{"unknown"}})
	}
	if len(r.unknown) > maxUnknown {
		t.Errorf("%d unknown schemas are kept in mind", len(r.unknown))
	}
}

// TestSecretsAreNotRepeated: a registry that repeats what it was sent.
func TestSecretsAreNotRepeated(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		user, password, _ := r.BasicAuth()
		_ = json.NewEncoder(w).Encode(map[string]any{"error_code": 40101, "message": r.Header.Get("Authorization") + " of " + user + " with " + password})
	}))
	defer server.Close()
	s := settings.Default()
	s.SchemaRegistry.URL, s.SchemaRegistry.Username, s.SchemaRegistry.Password = server.URL, "u", "hunter2"
	log := logtest.New(time.Minute)
	r := newRegistryOf(t, s, log)
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		_, _ = r.Lookup(ctx, 1)
	}()
	log.Await(t, "40101")
	cancel()
	<-looked
	if text := log.String(); strings.Contains(text, "dTpodW50ZXIy") || strings.Contains(text, "hunter2") {
		t.Error(text)
	}
}

// mostColumns are those of Parquet, or none.
func mostColumns(columns bool) int {
	if columns {
		return maxColumns
	}
	return 0
}

// TestLargestSchema: a schema that alone takes much of what all may take is
// refused.
func TestLargestSchema(t *testing.T) {
	t.Parallel()
	text := `{"type":"record","name":"R","doc":"` + strings.Repeat("x", 600<<10) + `","fields":[]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(schemaAnswer(t, "AVRO", text)) // the client will say
	}))
	defer server.Close()
	r := newRegistry(t, server.URL, io.Discard)
	r.most = 16 << 20
	if _, err := r.Lookup(t.Context(), 1); err != nil {
		t.Error(err)
	}
	r.most = 1 << 20
	var refused *Refused
	if _, err := r.Lookup(t.Context(), 2); !errors.As(err, &refused) || !strings.Contains(err.Error(), "SPOUT_MEMORY_BUDGET raises") {
		t.Error(err)
	}
}

// TestKeptSchemas: what is kept of schemas is counted, with what the compiler
// and the messages that are met take.
func TestKeptSchemas(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, "http://127.0.0.1:1", io.Discard)
	r.most = 1 << 20
	schema := `syntax = "proto3"; `
	for i := range 500 {
		schema += fmt.Sprintf("message M%d { int32 a = 1; }", i)
	}
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeProtobuf, []Source{{Text: schema}}, 0, largest)
	if err != nil {
		t.Fatal(err)
	}
	text := len(schema)
	const each = 30 // bytes that a byte of one takes, as was measured
	if n := sizeOf(known{values: v}); n < each*text {
		t.Errorf("%d bytes are counted for %d of a schema of Protobuf", n, text)
	}
	r.keep(2, known{refused: errDeep})
	r.keep(1, known{values: v})
	for i := range 450 {
		if _, _, err := v.Decode(nil, append([]byte{2}, varint(i)...)); err != nil {
			t.Fatal(err)
		}
		if _, err, ok := r.Known(1); err != nil || !ok {
			t.Fatal(err, ok)
		}
	}
	if len(r.known) != 1 || r.size < 450*20*fieldMemory {
		t.Errorf("%d schemas are kept after many messages, and %d bytes counted", len(r.known), r.size)
	}
}
