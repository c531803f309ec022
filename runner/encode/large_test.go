// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/registrytest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	booleans = `{"type":"array","items":"boolean"}`
	nothings = `{"type":"array","items":"null"}`
	sevens   = `{"type":"array","items":["null",{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"},
		{"name":"c","type":"int"},{"name":"d","type":"int"},{"name":"e","type":"int"},{"name":"f","type":"int"},{"name":"g","type":"int"}]}]}`
)

// arrayOf is an array in Avro's encoding, of n elements that are all zero bytes
// of a length.
func arrayOf(n, length int) []byte {
	return append(append([]byte{}, varint(n)...), make([]byte, n*length+1)...)
}

func varint(n int) []byte {
	var out []byte
	for v := uint64(2 * n); ; v >>= 7 {
		if v < 0x80 {
			return append(out, byte(v))
		}
		out = append(out, byte(v)|0x80)
	}
}

// TestLargestRecord: a record that would take many times its length in a file is
// refused, as is one in a file of dead letters never. What comes before and
// after it is written.
func TestLargestRecord(t *testing.T) { // counts memory: not parallel
	const budget = 64 << 20
	room := budget/8 - 4096
	headers := source.Headers{Count: room / 2, Raw: bytes.Repeat([]byte{0, 1}, room/2)}
	large := source.Record{Offset: 2, Value: []byte("x"), Headers: headers}
	for _, test := range []struct {
		name, format, schema string
		record               source.Record
	}{
		{"headers", "jsonl", "", large},
		{"headers", "parquet", "", large},
		{"control characters", "jsonl", "", source.Record{Offset: 2, Key: bytes.Repeat([]byte{1}, room)}},
		{"keys of headers that are no text", "avro", "", source.Record{Offset: 2, Headers: source.Headers{Count: room / 4, Raw: bytes.Repeat([]byte{4, 0xff, 'a', 1}, room/4)}}},
		{"an array", "parquet", booleans, source.Record{Offset: 2, Value: arrayOf(room-100, 1)}},
		{"an array of nothing", "parquet", nothings, source.Record{Offset: 2, Value: arrayOf(1<<20-1000, 0)}},
		{"groups without values", "parquet", sevens, source.Record{Offset: 2, Value: arrayOf(room-100, 1)}},
	} {
		t.Run(test.format+" "+test.name, func(t *testing.T) {
			s := settings.Default()
			s.File.Format, s.MemoryBudget = test.format, budget
			e, err := NewEncoder(s)
			if err != nil {
				t.Fatal(err)
			}
			var rows *schema.Rows
			small := source.Record{Offset: 1, Value: []byte("1")}
			if test.schema != "" {
				small.Value = arrayOf(1, 1)
				if rows, _, err = registrytest.Values(t, "parquet", "AVRO", test.schema).Decode(nil, test.record.Value); err != nil {
					t.Fatal(err)
				}
			}
			if test.schema == nothings {
				small.Value = arrayOf(1, 0)
			}
			after := small
			after.Offset = 3
			f := e.NewFile(Place{Stream: stream, Rows: rows})
			var taken int
			rsstest.Bounded(t, int64(2*e.largest), 30*time.Second, func() { // a second, unless others work, too
				taken, err = f.Append([]source.Record{small, test.record, after}, math.MaxInt)
			})
			var refused *record.Refused
			if taken != 1 || !errors.As(err, &refused) {
				t.Fatalf("%d records were taken, with the error %v", taken, err)
			}
			if taken, err = f.Append([]source.Record{after}, math.MaxInt); taken != 1 || err != nil {
				t.Error(taken, err)
			}
			path, _ := written(t, f)
			if want := "00000000000000000001-00000000000000000003"; !bytes.Contains([]byte(path), []byte(want)) {
				t.Errorf("the file %s is not of %s", path, want)
			}
			d := e.NewDeadLetters(stream)
			rsstest.Bounded(t, int64(2*e.largest), 5*time.Second, func() { err = d.Add(test.record, refused.Reason) })
			if most := budget/16*3 + 128<<10; err != nil || d.Size() > most { // base64 of the largest batch
				t.Errorf("the dead letter takes %d bytes: %v", d.Size(), err)
			}
			_, content := written(t, d)
			var letter struct {
				Key     []byte `json:"key_base64"`
				Count   int    `json:"headers_count"`
				Headers []byte `json:"headers_base64"`
				Value   []byte `json:"value_base64"`
			}
			if err := json.Unmarshal(content, &letter); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(letter.Key, test.record.Key) || letter.Count != test.record.Headers.Count || !bytes.Equal(letter.Headers, test.record.Headers.Raw) || !bytes.Equal(letter.Value, test.record.Value) {
				t.Error("the dead letter has lost something")
			}
		})
	}
}

// TestManyColumns: rows that fill one column each keep no more memory than the
// file says.
func TestManyColumns(t *testing.T) { // counts memory: not parallel
	var fields bytes.Buffer
	const columns = 1000
	for i := range columns {
		if i > 0 {
			fields.WriteByte(',')
		}
		fields.WriteString(`{"name":"a` + string(varintName(i)) + `","type":` + booleans + `}`)
	}
	values := registrytest.Values(t, "parquet", "AVRO", `{"type":"record","name":"M","fields":[`+fields.String()+`]}`)
	e := newEncoder(t, "parquet", "none")
	var f File
	const length = 20_000
	for i := range 100 {
		value := append(make([]byte, i), arrayOf(length, 1)...)
		rows, value, err := values.Decode(nil, append(value, make([]byte, columns-1-i)...))
		if err != nil {
			t.Fatal(err)
		}
		if f == nil {
			f = e.NewFile(Place{Stream: stream, Rows: rows})
		}
		if _, err := f.Append([]source.Record{{Offset: int64(i), Value: value}}, math.MaxInt); err != nil {
			t.Fatal(err)
		}
	}
	if least := 100 * length * keptMemory; f.Memory() < least {
		t.Errorf("the file counts %d bytes of memory, less than %d", f.Memory(), least)
	}
}

func varintName(n int) []byte {
	return []byte{byte('a' + n/100), byte('a' + n/10%10), byte('a' + n%10)}
}
