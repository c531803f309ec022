// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// FuzzSought: what the check finds, which knows another value and the same one,
// is what is found by looking for each part by itself.
func FuzzSought(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":{"b":"x"},"c":[{"d":1},{"d":[2]}],"e":null}`, `{"a":{"b":1,"b":2},"c":{"d":{"d":1}},"d":{"e":1}}`},
		{`{"a":{"b":"x"}}`, `{"a":{"b":1},"a":{"c":2}}`}, {`{"a":1}`, `{"a":{"b":1},"a":null}`}, {`{"a":{"b":1}}`, `{"a":1,"\u0061":{"\u0062":"x"}}`},
		{`[{"a":{"b":1},"c":{"d":1}}]`, ` { "c" : [ [ {"d" : 1} ] ], "m":"n" , "a":[{"b":1}]} `}, {`{"m":{"n":{"d":1}}}`, `{"m":{"n":[{"m":1}]},"e":"f"}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
		f.Add([]byte(seed[1]), []byte(seed[0]))
	}
	f.Fuzz(func(t *testing.T, other, value []byte) {
		if (&strictjson.Checker{}).CheckSyntax(value) != nil {
			return
		}
		r := rules(t, "SPOUT_RECORD_MASK=c.d=hash,m=redact,a.x=redact", "SPOUT_RECORD_FILTER=value:a.b exists", "SPOUT_FILE_PATH={value:e}/{value:m.n}/{value:a.b}/{value:a}/{value:c}/{partition}-{first_offset}")
		for _, v := range [][]byte{other, other, value, value} {
			rec := source.Record{Value: v}
			keep, err := r.Apply(&rec)
			if !bytes.Equal(v, value) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if there := find(value, []string{"a", "b"}) != nil; keep != there {
				t.Fatalf("%q is kept: %t", value, keep)
			}
			if !keep {
				continue
			}
			want, _ := r.masks.appendMasked(nil, value, r.largest)
			if !bytes.Equal(rec.Value, want) {
				t.Fatalf("%q became %q, not %q", value, rec.Value, want)
			}
			got := string(r.Route(&rec))
			r.sought.value, r.sought.shaped = nil, nil // nothing is known
			if want := string(r.Route(&rec)); got != want {
				t.Fatalf("%q goes to %s, not %s", value, got, want)
			}
		}
	})
}

// TestManyMasks: a value has more fields to mask than are kept.
func TestManyMasks(t *testing.T) {
	t.Parallel()
	value, err := json.Marshal(map[string]any{"a": "x", "l": make([]struct{ M int }, 1000)})
	if err != nil {
		t.Fatal(err)
	}
	r := rules(t, "SPOUT_RECORD_MASK=l.M=redact")
	rec := source.Record{Value: value}
	if keep, err := r.Apply(&rec); !keep || err != nil || bytes.Count(rec.Value, []byte(`"***"`)) != 1000 || bytes.Contains(rec.Value, []byte(`0`)) {
		t.Errorf("%.200s, %v", rec.Value, err)
	}
}
