// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

func rules(t testing.TB, environ ...string) *Rules {
	t.Helper()
	s, err := settings.Parse(append(environ, "SPOUT_KAFKA_BROKERS=b:1", "SPOUT_KAFKA_TOPICS=t"))
	if err != nil {
		t.Fatal(err)
	}
	return NewRules(s)
}

func TestNoRules(t *testing.T) {
	t.Parallel()
	if rules(t) != nil {
		t.Error("the defaults look at each record")
	}
}

var headers = source.Headers{Count: 3, Raw: []byte("\x02h\x02v\x02h\x02w\x02n\x01")}

func TestFilter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		filter string
		record source.Record
		want   bool
	}{
		{`key == k`, source.Record{Key: []byte("k")}, true},
		{`key == k`, source.Record{}, false},
		{`key != k`, source.Record{}, true},
		{`key exists`, source.Record{Key: []byte{}}, true},
		{`key missing`, source.Record{}, true},
		{`header:h == w`, source.Record{Headers: headers}, true}, // the last of its name
		{`header:h == v`, source.Record{Headers: headers}, false},
		{`header:n missing and header:x missing`, source.Record{Headers: headers}, true},
		{`value:a == 1`, source.Record{Value: []byte(` {"a" : 1 } `)}, true},
		{`value:a == 1`, source.Record{Value: []byte(`{"a":"1"}`)}, true},
		{`value:a == 1`, source.Record{Value: []byte(`{"a":1.0}`)}, false},
		{`value:a.b == "x y"`, source.Record{Value: []byte(`{"a":{"c":[{"b":1}],"b":"x\u0020y"}}`)}, true},
		{`value:a == 2`, source.Record{Value: []byte(`{"a":1,"\u0061":2}`)}, true}, // the last of its name
		{`value:a missing`, source.Record{Value: []byte(`{"a":null}`)}, true},
		{`value:a missing`, source.Record{}, true},
		{`value:a missing`, source.Record{Value: []byte(`[1]`)}, true},
		{`value:a.b missing`, source.Record{Value: []byte(`{"a":"b"}`)}, true},
		{`value:a exists`, source.Record{Value: []byte(`{"a":{}}`)}, true},
		{`value:a in (1, true)`, source.Record{Value: []byte(`{"a":true}`)}, true},
		{`value:a in (1, true) and key exists`, source.Record{Value: []byte(`{"a":true}`)}, false},
	} {
		keep, err := rules(t, "SPOUT_RECORD_FILTER="+test.filter).Apply(&test.record)
		if err != nil || keep != test.want {
			t.Errorf("%s of %s: %v, %v", test.filter, test.record.Value, keep, err)
		}
	}
}

// TestNull: tombstones are left out if the settings say so, and empty values are none.
func TestNull(t *testing.T) {
	t.Parallel()
	drop := rules(t, "SPOUT_RECORD_ON_NULL=drop")
	for _, test := range []struct {
		value []byte
		want  bool
	}{{nil, false}, {[]byte{}, true}, {[]byte("null"), true}} {
		if keep, err := drop.Apply(&source.Record{Value: test.value}); keep != test.want || err != nil {
			t.Errorf("%q: %v, %v", test.value, keep, err)
		}
	}
}

func TestFieldsAndMasks(t *testing.T) {
	t.Parallel()
	sum := func(text string) string {
		b := sha256.Sum256([]byte(text))
		return hex.EncodeToString(b[:])
	}
	for _, test := range []struct{ setting, value, want string }{
		{"FIELDS=a,b.c", `{"x":1, "b" : {"c": 2.50, "d":3} ,"a":[1, 2]}`, `{"b":{"c":2.50},"a":[1, 2]}`},
		{"FIELDS=a.b", `{"a":[{"b":1,"c":2},3,[{"b":"]"}],{}]}`, `{"a":[{"b":1},[{"b":"]"}],{}]}`},
		{"FIELDS=a.b", `{"a":5}`, `{}`},
		{"FIELDS=a", `{"b":1,"a\u0020":1}`, `{}`},
		{"FIELDS=a", ` {} `, `{}`},
		{"FIELDS=é", `{"\u00e9":1}`, `{"\u00e9":1}`},
		{"MASK=a=redact", `{"a": "x\"}", "b":1}`, `{"a": "***", "b":1}`},
		{"MASK=a=redact", `{"a":null,"b":[1]}`, `{"a":null,"b":[1]}`},
		{"MASK=a=hash", `{"a":"x\u0079"}`, `{"a":"` + sum("xy") + `"}`},
		{"MASK=a=hash", `{"a":12 }`, `{"a":"` + sum("12") + `" }`},
		{"MASK=a.b=redact", ` [{"a":{"b":{"c":1}}},{"a":[{"b":2},{"c":3}]}, "a"] `, ` [{"a":{"b":"***"}},{"a":[{"b":"***"},{"c":3}]}, "a"] `},
		{"MASK=a=redact", `{"a":1,"a":2,"\u0061":3}`, `{"a":"***","a":"***","\u0061":"***"}`},
		{"MASK=a=redact", `"a"`, `"a"`},
	} {
		r := source.Record{Value: []byte(test.value)}
		keep, err := rules(t, "SPOUT_RECORD_"+test.setting).Apply(&r)
		if err != nil || !keep || string(r.Value) != test.want {
			t.Errorf("%s of %s:\n got %s\nwant %s (%v)", test.setting, test.value, r.Value, test.want, err)
		}
	}
	r := source.Record{Value: []byte(`{"a":"x"}`)}
	if _, err := rules(t, "SPOUT_RECORD_MASK=a=hash", "SPOUT_RECORD_MASK_KEY=secret").Apply(&r); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write([]byte("x"))
	if want := `{"a":"` + hex.EncodeToString(mac.Sum(nil)) + `"}`; string(r.Value) != want {
		t.Errorf("%s, want %s", r.Value, want)
	}
}

// TestOrder: filters see what is not masked, paths what is.
func TestOrder(t *testing.T) {
	t.Parallel()
	r := rules(t, "SPOUT_RECORD_FILTER=value:a == x", "SPOUT_RECORD_FIELDS=a,b", "SPOUT_RECORD_MASK=a=redact",
		"SPOUT_FILE_PATH={value:a}/{value:b.c}/{key}/{header:h}/{value:gone}/{partition}/{first_offset}")
	rec := source.Record{Key: []byte("k/"), Value: []byte(`{"a":"x","b":{"c":1.0},"gone":1}`), Headers: headers}
	if keep, err := r.Apply(&rec); !keep || err != nil {
		t.Fatal(keep, err)
	}
	if got, want := string(r.Route(&rec)), "%2A%2A%2A/1.0/k%2F/w/"+settings.MissingPathValue; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ setting, value, want string }{
		{"SPOUT_RECORD_MAX_BYTES=3", "1234", "it has 4 bytes, more than the 3 that are allowed"},
		{"SPOUT_RECORD_FIELDS=a", "{", "its value is not JSON"},
		{"SPOUT_RECORD_FIELDS=a", "[]", "is not a JSON object"},
		{"SPOUT_RECORD_MASK=a=hash", "", "its value is not JSON"},
		{"SPOUT_RECORD_FILTER=value:a == 1", "{}{}", "its value is not JSON"},
		{"SPOUT_FILE_PATH={value:a}/{partition}-{first_offset}", "x", "its value is not JSON"},
	} {
		_, err := rules(t, test.setting).Apply(&source.Record{Value: []byte(test.value)})
		var refused *Refused
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.setting, err)
		}
		if _, err := rules(t, test.setting).Apply(&source.Record{}); err != nil {
			t.Errorf("%s of a null value: %v", test.setting, err)
		}
	}
}

// TestNesting: values are gone over once, however deep they are nested, and no
// deeper than anything else.
// TestMasksAreShort: masks that make a value many times as long are refused
// before they take that memory, and what follows is masked as before.
func TestMasksAreShort(t *testing.T) {
	t.Parallel()
	r := rules(t, "SPOUT_RECORD_MASK=a=hash", "SPOUT_MEMORY_BUDGET=64MiB")
	value := []byte("[" + strings.Repeat(`{"a":1},`, 256<<10) + "0]") // 18 MiB with its masks
	_, err := r.Apply(&source.Record{Value: value})
	if refused := (*Refused)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "with its masks") || cap(r.value.masked) > 16<<20 {
		t.Errorf("%d bytes, %v", cap(r.value.masked), err)
	}
	rec := source.Record{Value: []byte(`{"a":1,"b":2}`)}
	if keep, err := r.Apply(&rec); !keep || err != nil || !strings.HasSuffix(string(rec.Value), `","b":2}`) {
		t.Errorf("%s, %v, %v", rec.Value, keep, err)
	}
}

func TestNesting(t *testing.T) {
	t.Parallel()
	numbers := "1" + strings.Repeat(",1", 500_000)
	for _, setting := range []string{"SPOUT_RECORD_MASK=a.b=redact", "SPOUT_RECORD_FIELDS=a.b", "SPOUT_FILE_PATH={value:a}/{partition}-{first_offset}", "SPOUT_RECORD_FILTER=value:a.b missing"} {
		for depth, want := range map[int]string{settings.MaxDepth - 1: "", 9000: "nested more than 100 deep"} {
			value := `{"a":` + strings.Repeat("[", depth) + numbers + strings.Repeat("]", depth) + "}"
			r := rules(t, setting)
			rec := source.Record{Value: []byte(value)}
			began := time.Now()
			keep, err := r.Apply(&rec)
			if err == nil && keep {
				r.Route(&rec)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s, nested %d deep: %v", setting, depth, took)
			}
			var refused *Refused
			if want == "" && (err != nil || !keep) || want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s, nested %d deep: %v, %v", setting, depth, keep, err)
			}
		}
	}
}

// TestJSON holds the walk over any JSON against encoding/json.
func TestJSON(t *testing.T) {
	t.Parallel()
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		leaf := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Int(), func(n int) any { return float64(n % 1000) }), rapid.Map(rapid.Bool(), func(b bool) any { return b }))
		if depth == 0 {
			return leaf
		}
		names := rapid.SampledFrom([]string{"a", "b", "c", "", "a b", "\"", "\\", "é\n"})
		return rapid.OneOf(leaf,
			rapid.Map(rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return value(depth - 1) }), 0, 4), func(l []any) any { return l }),
			rapid.Map(rapid.MapOfN(names, rapid.Deferred(func() *rapid.Generator[any] { return value(depth - 1) }), 0, 4), func(m map[string]any) any { return m }))
	}
	rapid.Check(t, func(t *rapid.T) {
		want := value(4).Draw(t, "value")
		data, err := json.Marshal(want)
		if err == nil && rapid.Bool().Draw(t, "indent") {
			data, err = json.MarshalIndent(want, " ", "\t")
		}
		if err != nil {
			t.Fatal(err)
		}
		field := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "\"", "é\n"}), 1, 3).Draw(t, "field")
		expected := want
		for _, name := range field {
			m, _ := expected.(map[string]any)
			expected = m[name]
		}
		var got any
		if found := find(data, field); found != nil {
			if err := json.Unmarshal(found, &got); err != nil {
				t.Fatalf("%q: %v", found, err)
			}
		}
		if !reflect.DeepEqual(got, expected) {
			t.Fatalf("%v of %s: %v, want %v", field, data, got, expected)
		}

		tree := &names{}
		tree.add(field).masks = redact{}
		masked, _ := tree.appendMasked(nil, data, 1<<20)
		decode := func(data []byte) (v any) {
			if err := json.Unmarshal(data, &v); err != nil {
				t.Fatalf("%q: %v", data, err)
			}
			return v
		}
		if got := decode(masked); !reflect.DeepEqual(got, redacted(want, field)) {
			t.Fatalf("%v of %s: %s", field, data, masked)
		}
		if kind(data) == '{' {
			tree := &names{}
			tree.add(field)
			selected, _ := tree.appendSelected(nil, data)
			if got := decode(selected); !reflect.DeepEqual(find(bytes.TrimSpace(selected), field) == nil, expected == nil) {
				t.Fatalf("%v of %s: %v", field, data, got)
			}
		}
	})
}

// redacted is what masking is to do, on decoded JSON.
func redacted(v any, field []string) any {
	switch v := v.(type) {
	case []any:
		if len(field) > 0 {
			out := []any{}
			for _, e := range v {
				out = append(out, redacted(e, field))
			}
			return out
		}
	case map[string]any:
		if len(field) > 0 {
			out := map[string]any{}
			for name, e := range v {
				if out[name] = e; name == field[0] {
					out[name] = redacted(e, field[1:])
				}
			}
			return out
		}
	}
	if len(field) == 0 && v != nil {
		return "***"
	}
	return v
}

// FuzzRules: whatever a value is, rules neither panic nor make invalid JSON.
func FuzzRules(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":"\\\""}]}}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r := rules(t, "SPOUT_RECORD_FIELDS=a,b.c", "SPOUT_RECORD_MASK=a.b=hash,b=redact", "SPOUT_RECORD_FILTER=value:x.y != 1",
			"SPOUT_FILE_PATH={value:a}/{partition}-{first_offset}")
		rec := source.Record{Value: value}
		began := time.Now()
		keep, err := r.Apply(&rec)
		if keep && err == nil {
			r.Route(&rec)
		}
		if took := time.Since(began); took > time.Second+time.Duration(len(value))*time.Microsecond {
			t.Errorf("%d bytes took %v", len(value), took)
		}
		if most := 2*len(value) + 1000; len(r.value.masked) > 70*most || len(r.value.selected) > most { // a hash is 66 bytes
			t.Errorf("%d bytes became %d and %d", len(value), len(r.value.selected), len(r.value.masked))
		}
		if !keep || err != nil {
			return
		}
		if value != nil && !json.Valid(rec.Value) {
			t.Errorf("%q became %q", value, rec.Value)
		}
	})
}

// BenchmarkRules shows nanoseconds and allocations per record.
func BenchmarkRules(b *testing.B) {
	r := rules(b, "SPOUT_RECORD_FILTER=value:type == order", "SPOUT_RECORD_MASK=email=hash", "SPOUT_FILE_PATH={value:country}/{partition}-{first_offset}")
	value := []byte(`{"type":"order","country":"DE","email":"someone@example.com","note":"` + strings.Repeat("v", 900) + `"}`)
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		rec := source.Record{Value: value}
		if keep, err := r.Apply(&rec); !keep || err != nil {
			b.Fatal(keep, err)
		}
		r.Route(&rec)
	}
}

// The row before is selected and masked as the row is, and the detail that
// records share stays as it was.
func TestTheRowBefore(t *testing.T) {
	t.Parallel()
	s := settings.Default()
	s.Record.Fields, s.Record.Mask = []string{"id", "mail"}, []string{"mail=redact"}
	shared := &source.Detail{Op: source.OpUpdate, Before: []byte(`{"id":1,"mail":"a@example.com","x":2}`)}
	r := source.Record{Value: []byte(`{"id":1,"mail":"b@example.com","x":3}`), Detail: shared}
	keep, err := NewRules(s).Apply(&r)
	if err != nil || !keep || string(r.Value) != `{"id":1,"mail":"***"}` || string(r.Detail.Before) != `{"id":1,"mail":"***"}` || r.Detail.Op != source.OpUpdate {
		t.Errorf("%v, %s, %+v", err, r.Value, r.Detail)
	}
	if string(shared.Before) != `{"id":1,"mail":"a@example.com","x":2}` {
		t.Errorf("the detail of others is %s", shared.Before)
	}
}
