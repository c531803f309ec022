// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

var stream = source.Stream{Name: "orders", Partition: 3}

// wholeFile are the compressions of whole files.
var wholeFile = []string{"none", "gzip", "zstd"}

func newEncoder(t rapid.TB, format, compression string) *Encoder {
	t.Helper()
	s := settings.Default()
	s.File.Format, s.File.Compression = format, compression
	e, err := NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	headers := source.Headers{Count: 2, Raw: []byte("\x02h\x02v\x02n\x01")}
	for _, test := range []struct {
		name   string
		record source.Record
		want   string
	}{
		{"json", source.Record{Offset: 7, Timestamp: 1700000000000, Key: []byte(`k"1`), Value: []byte(`{"a": 1.10, "b":[ ]}`)},
			`{"topic":"orders","partition":3,"offset":7,"timestamp":1700000000000,"key":"k\"1","value":{"a": 1.10, "b":[ ]}}`},
		{"several lines", source.Record{Value: []byte("{\n \"a\": \"x y\"\r\n}")},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":null,"value":{"a":"x y"}}`},
		{"bytes", source.Record{Key: []byte("k"), Value: []byte{0xff, 0}},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":"k","value_base64":"/wA="}`},
		{"invalid UTF-8 in a JSON string", source.Record{Value: []byte("\"\xff\"")},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":null,"value_base64":"Iv8i"}`},
		{"half of a surrogate pair", source.Record{Value: []byte(`["\ud83d"]`)},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":null,"value_base64":"WyJcdWQ4M2QiXQ=="}`},
		{"a number beyond a double", source.Record{Value: []byte(`[1e400]`)},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":null,"value_base64":"WzFlNDAwXQ=="}`},
		{"two members of one name", source.Record{Value: []byte(`{"a":1,"\u0061":2}`)},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":null,"value_base64":"eyJhIjoxLCJcdTAwNjEiOjJ9"}`},
		{"nested deep", source.Record{Value: []byte(strings.Repeat("[", 101) + strings.Repeat("]", 101))},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":null,"value_base64":"` +
				base64.StdEncoding.EncodeToString([]byte(strings.Repeat("[", 101)+strings.Repeat("]", 101))) + `"}`},
		{"empty", source.Record{Key: []byte{}, Value: []byte{}},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":"","value_base64":""}`},
		{"null is not nothing", source.Record{Key: []byte("12e45"), Value: []byte("null")},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":"12e45","value_base64":"bnVsbA=="}`},
		{"odd keys", source.Record{Key: []byte{0xff}, Headers: source.Headers{Count: 1, Raw: []byte("\x02\xfe\x00")}},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key_base64":"/w==","headers":[{"key_base64":"/g==","value":""}],"value":null}`},
		{"headers", source.Record{Headers: headers},
			`{"topic":"orders","partition":3,"offset":0,"timestamp":0,"key":null,"headers":[{"key":"h","value":"v"},{"key":"n","value":null}],"value":null}`},
	} {
		if got := string(newTestLines().append(nil, &stream, &test.record)); got != test.want+"\n" {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// TestJSONLinesKeepBytes checks for any key and value that a line is valid
// JSON without a line break inside, and that the bytes can be had back.
func TestJSONLinesKeepBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.SliceOf(rapid.Byte()),
			rapid.Custom(func(t *rapid.T) []byte {
				b, err := json.MarshalIndent(rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "object"), "", " ")
				if err != nil {
					t.Fatal(err)
				}
				return b
			}),
		).Draw(t, "value")
		line := newTestLines().append(nil, &stream, &source.Record{Value: value})
		if n := bytes.Count(line, []byte("\n")); n != 1 {
			t.Fatalf("%d line breaks in %q", n, line)
		}
		var got struct {
			Value  json.RawMessage `json:"value"`
			Base64 *string         `json:"value_base64"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got.Base64 != nil {
			decoded, err := base64.StdEncoding.DecodeString(*got.Base64)
			if err != nil || !bytes.Equal(decoded, value) {
				t.Fatalf("value %q came back as %q (%v)", value, decoded, err)
			}
			return
		}
		var want, have any
		if json.Unmarshal(value, &want) != nil || json.Unmarshal(got.Value, &have) != nil || fmt.Sprint(want) != fmt.Sprint(have) {
			t.Fatalf("value %q came back as %q", value, got.Value)
		}
	})
}

func TestFileContent(t *testing.T) {
	t.Parallel()
	for _, compression := range wholeFile {
		for _, records := range []int{1, 3, 20_000} {
			t.Run(fmt.Sprint(compression, records), func(t *testing.T) {
				t.Parallel()
				f := newEncoder(t, "lines", compression).NewFile(Place{Stream: stream})
				var want bytes.Buffer
				for offset := range records {
					value := []byte(fmt.Sprintf("%d %s", offset, strings.Repeat("x", offset%200)))
					want.Write(append(value, '\n'))
					if n, err := f.Append([]source.Record{{Offset: int64(offset), Value: value}}, math.MaxInt); n != 1 || err != nil {
						t.Fatal(n, err)
					}
				}
				before := f.Size()
				path, content := written(t, f)
				if len(content) > before+64 {
					t.Fatalf("size %d before, content %d", before, len(content))
				}
				if got := decompress(t, compression, content); !bytes.Equal(got, want.Bytes()) {
					t.Fatalf("content differs: %d bytes, want %d", len(got), want.Len())
				}
				extension := map[string]string{"none": "txt", "gzip": "txt.gz", "zstd": "txt.zst"}[compression]
				if want := fmt.Sprintf("/orders/00003/%020d-%020d.%s", 0, records-1, extension); path != want {
					t.Fatalf("path %s, want %s", path, want)
				}
			})
		}
	}
}

// written ends a file and returns its path and content.
func written(t rapid.TB, f File) (path string, content []byte) {
	t.Helper()
	files := allWritten(t, f)
	if len(files) != 1 {
		t.Fatalf("%d files", len(files))
	}
	for path, content = range files {
	}
	return path, content
}

func allWritten(t rapid.TB, f File) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := f.Write(func(path string, parts ...[]byte) error {
		if _, ok := files[path]; ok {
			t.Errorf("%s is written twice", path)
		}
		files[path] = bytes.Join(parts, nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func decompress(t *testing.T, compression string, content []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(content)
	switch compression {
	case "gzip":
		gz, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		gz.Multistream(false) // one member holds all
		r = gz
	case "zstd":
		z, err := zstd.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAppendStopsAtLimit(t *testing.T) {
	t.Parallel()
	records := make([]source.Record, 10)
	for i := range records {
		records[i] = source.Record{Offset: int64(100 + i), Value: []byte("123456789")}
	}
	f := newEncoder(t, "lines", "none").NewFile(Place{Stream: stream}).(*textFile)
	for _, want := range []int{3, 1} { // a file at its limit still takes one: the caller asks before
		if n, err := f.Append(records, 25); n != want || err != nil {
			t.Fatal(n, err)
		}
		records = records[want:]
	}
	if f.records != 4 || f.Size() != 40 || f.last != 103 {
		t.Fatal(f.records, f.Size(), f.last)
	}
}

func TestGenerationHasItsOwnPath(t *testing.T) {
	t.Parallel()
	again := stream
	again.Generation = 2
	f := newEncoder(t, "lines", "none").NewFile(Place{Stream: again})
	if _, err := f.Append([]source.Record{{Offset: 1}}, math.MaxInt); err != nil {
		t.Fatal(err)
	}
	if got, _ := written(t, f); !strings.HasPrefix(got, "/orders~2/00003/") {
		t.Fatal(got)
	}
}

// TestReservedFolders: a topic that is called like a folder of the runner's own
// has another one.
func TestReservedFolders(t *testing.T) {
	t.Parallel()
	s := settings.Default()
	s.Record.OnRefused = "dead_letter"
	e, err := NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	for topic, folder := range map[string]string{"_dead_letters": "/%5Fdead_letters/", "_dead_letters2": "/_dead_letters2/", "_schemas": "/_schemas/"} {
		f := e.NewFile(Place{Stream: source.Stream{Name: topic}})
		if _, err := f.Append([]source.Record{{Offset: 1}}, math.MaxInt); err != nil {
			t.Fatal(err)
		}
		if got, _ := written(t, f); !strings.HasPrefix(got, folder) {
			t.Errorf("%s is in %s", topic, got)
		}
	}
}

// FuzzJSONLines: whatever a value is, its line is JSON that every reader takes,
// and it can be had back; in bounded time.
func FuzzJSONLines(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":1,"a":2}`, "\"\xff\"", `"\ud800"`, "[1e999]", "{\n\"a\": [ ]}", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		began := time.Now()
		line := newTestLines().append(nil, &stream, &source.Record{Value: value})
		if took := time.Since(began); took > time.Second+time.Duration(len(value))*time.Microsecond {
			t.Errorf("%d bytes took %v", len(value), took)
		}
		if most := 2*len(value) + 1000; cap(line) > 4*most {
			t.Errorf("%d bytes became a line of %d", len(value), cap(line))
		}
		var checker strictjson.Checker
		if err := checker.Check(line); err != nil || bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%q: %v", line, err)
		}
		var got struct {
			Value  json.RawMessage `json:"value"`
			Base64 []byte          `json:"value_base64"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		var compact bytes.Buffer
		if len(got.Value) > 0 && string(got.Value) != "null" && !bytes.Equal(bytes.TrimSpace(value), got.Value) {
			if err := json.Compact(&compact, value); err != nil || !bytes.Equal(compact.Bytes(), got.Value) {
				t.Fatalf("%q became %q", value, got.Value)
			}
		}
	})
}

// TestRaw: a file per record, with its value.
func TestRaw(t *testing.T) {
	t.Parallel()
	for _, compression := range wholeFile {
		f := newEncoder(t, "raw", compression).NewFile(Place{Stream: stream})
		want := map[string]string{}
		for offset := range 500 {
			value := strings.Repeat("x", offset*offset%70_000)
			extension := map[string]string{"none": "bin", "gzip": "bin.gz", "zstd": "bin.zst"}[compression]
			want[fmt.Sprintf("/orders/00003/%020d-%020d.%s", offset, offset, extension)] = value
			if n, err := f.Append([]source.Record{{Offset: int64(offset), Value: []byte(value)}}, math.MaxInt); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if f.Memory() < f.Size() {
			t.Errorf("memory %d, size %d", f.Memory(), f.Size())
		}
		got := allWritten(t, f)
		if len(got) != len(want) {
			t.Fatalf("%d files", len(got))
		}
		for path, content := range got {
			if value, ok := want[path]; !ok || string(decompress(t, compression, content)) != value {
				t.Fatalf("%s has %d bytes", path, len(content))
			}
		}
	}
}

// TestDeadLetters: they say why, where and what, byte by byte.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	f := newEncoder(t, "lines", "gzip").NewDeadLetters(stream)
	headers := source.Headers{Count: 1, Raw: []byte("\x02h\x02v")}
	for i, r := range []source.Record{
		{Offset: 7, Timestamp: 1, Key: []byte("k"), Value: []byte(" {\n}"), Headers: headers},
		{Offset: 9, Key: []byte{0xff}},
	} {
		if err := f.Add(r, fmt.Sprintf("reason %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	path, content := written(t, f)
	want := `{"reason":"reason 0","topic":"orders","partition":3,"offset":7,"timestamp":1,"key":"k","headers":[{"key":"h","value":"v"}],"value_base64":"IHsKfQ=="}
{"reason":"reason 1","topic":"orders","partition":3,"offset":9,"timestamp":0,"key_base64":"/w==","value":null}
`
	if path != "/_dead_letters/orders/00003/00000000000000000007-00000000000000000009.jsonl" || string(content) != want {
		t.Errorf("%s\n%s", path, content)
	}
}

// BenchmarkAppend shows nanoseconds and allocations per record.
func BenchmarkAppend(b *testing.B) {
	for _, format := range settings.Formats {
		for _, size := range []int{100, 1024} {
			b.Run(fmt.Sprintf("%s/%dB", format, size), func(b *testing.B) {
				records := make([]source.Record, 1000)
				value := []byte(`{"a":"` + strings.Repeat("v", size-8) + `"}`)
				for i := range records {
					records[i] = source.Record{Offset: int64(i), Value: value}
				}
				e := newEncoder(b, format, "none")
				b.SetBytes(int64(size))
				b.ReportAllocs()
				f := e.NewFile(Place{Stream: stream})
				for done := 0; done < b.N; done += len(records) {
					if _, err := f.Append(records, math.MaxInt); err != nil {
						b.Fatal(err)
					}
					if f.Size() > 16<<20 {
						if err := f.Write(func(string, ...[]byte) error { return nil }); err != nil {
							b.Fatal(err)
						}
						f = e.NewFile(Place{Stream: stream})
					}
				}
			})
		}
	}
}
