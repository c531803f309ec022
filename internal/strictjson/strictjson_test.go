// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	many := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"m%d":{"m%d":%d},`, i, i, i)
		}
		return "{" + b.String() + last + "}"
	}
	for _, test := range []struct {
		value string
		want  error
	}{
		{` {"a": [1, -0.5e+10, true, false, null, "x"], "b": {}, "c": []} `, nil},
		{`"\ud83d\ude00 \u0041 \n é 日本 𝄞"`, nil},
		{`0`, nil},
		{``, ErrSyntax},
		{`{}{}`, ErrSyntax},
		{`{"a":1,}`, ErrSyntax},
		{`{,}`, ErrSyntax},
		{`[1,]`, ErrSyntax},
		{`{"a"}`, ErrSyntax},
		{`{"a" 1}`, ErrSyntax},
		{`{a:1}`, ErrSyntax},
		{`01`, ErrSyntax},
		{`1.`, ErrSyntax},
		{`.5`, ErrSyntax},
		{`1e`, ErrSyntax},
		{`-`, ErrSyntax},
		{`+1`, ErrSyntax},
		{`NaN`, ErrSyntax},
		{`tru`, ErrSyntax},
		{`"a`, ErrSyntax},
		{`"abcdefgh`, ErrSyntax},
		{"\"a\tb\"", ErrSyntax},
		{"\"abcdefghi\x1fj\"", ErrSyntax},
		{`"\x"`, ErrSyntax},
		{`"\u12g4"`, ErrSyntax},
		{`"\`, ErrSyntax},
		{`[1 2]`, ErrSyntax},
		{"\x00", ErrSyntax},
		{"\"\xff\"", ErrUTF8},
		{"\"\xed\xa0\x80\"", ErrUTF8},
		{`"\ud800"`, ErrSurrogate},
		{`"\udc00 "`, ErrSurrogate},
		{`"\ud800\ud800"`, ErrSurrogate},
		{`{"\uDEAD":1}`, ErrSurrogate},
		{`1e309`, ErrNumber},
		{`-1e999999999999`, ErrNumber},
		{`1` + strings.Repeat("0", 309), ErrNumber},
		{`1` + strings.Repeat("0", 308), nil},
		{`1.7976931348623157e308`, nil},
		{`1e-999999`, nil},
		{`0e999999`, nil},
		{`{"a":1,"b":{"a":2},"a":3}`, ErrDuplicate},
		{`[{"é":1,"\u00e9":2}]`, ErrDuplicate},
		{`{"":1,"":2}`, ErrDuplicate},
		{many(1000, `"z":1`), nil},
		{many(1000, `"m500":1`), ErrDuplicate},
		{many(10, `"m\u0035":1`), ErrDuplicate},
		{strings.Repeat("[", settings.MaxDepth) + strings.Repeat("]", settings.MaxDepth), nil},
		{strings.Repeat("[", settings.MaxDepth+1) + strings.Repeat("]", settings.MaxDepth+1), ErrDepth},
		{strings.Repeat(`{"a":`, settings.MaxDepth+1) + "1" + strings.Repeat("}", settings.MaxDepth+1), ErrDepth},
	} {
		var c Checker
		if err := c.Check([]byte(test.value)); !errors.Is(err, test.want) {
			t.Errorf("%.80s: %v, want %v", test.value, err, test.want)
		}
		loose := c.CheckSyntax([]byte(test.value))
		if valid := json.Valid([]byte(test.value)); valid != (loose == nil) && !errors.Is(loose, ErrDepth) {
			t.Errorf("%.80s: without the strict rules: %v; encoding/json says %v", test.value, loose, valid)
		}
	}
}

// FuzzCheck holds the checker against encoding/json, and against time and memory.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,"x\u00e9\ud83d\ude00"],"b":null}`, `[[[[]]]]`, `{"a":1,"a":2}`, `1e400`, "\"\xff\"", `"\ud800"`, ` "12345678\"" `} {
		f.Add([]byte(seed))
	}
	var c Checker
	f.Fuzz(func(t *testing.T, data []byte) {
		began := time.Now()
		loose := c.CheckSyntax(data)
		strict := c.Check(data)
		if took := time.Since(began); took > time.Second+time.Duration(len(data))*time.Microsecond {
			t.Errorf("%d bytes took %v", len(data), took)
		}
		if valid := json.Valid(data); valid != (loose == nil) && !errors.Is(loose, ErrDepth) {
			t.Fatalf("%q: %v, encoding/json: %v", data, loose, valid)
		}
		if strict != nil {
			return
		}
		if loose != nil || !utf8.Valid(data) {
			t.Fatalf("%q is taken, but %v", data, loose)
		}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
	})
}

// agree holds a checker that knows another value, and the same one, against
// the reference.
func agree(t *testing.T, other, data []byte) {
	t.Helper()
	var r reference
	var c Checker
	_ = c.Check(other) //nolint:errcheck // what is known by then is all that counts
	_ = c.Check(other) //nolint:errcheck // the same
	for range 3 {
		if got, want := c.Check(data) == nil, r.Check(data) == nil; got != want {
			t.Fatalf("%q after %q is taken: %t, want %t", data, other, got, want)
		}
		loose := r.CheckSyntax(data)
		if got := c.CheckSyntax(data); !errors.Is(got, loose) {
			t.Fatalf("%q after %q: %v, want %v", data, other, got, loose)
		}
		if got := c.check(data, both); !errors.Is(got, loose) || loose == nil && (c.unfit == nil) != (r.Check(data) == nil) {
			t.Fatalf("%q after %q: %v, and %v for others; want %v", data, other, got, c.unfit, loose)
		}
		if loose == nil && c.HasLines() != bytes.ContainsAny(data, "\r\n") {
			t.Fatalf("%q is on several lines: %t", data, c.HasLines())
		}
	}
}

// FuzzReference: what is known of values before does not matter.
func FuzzReference(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"id":1,"customer":{"email":"a"},"items":[{"sku":"a","quantity":1}]}`, `{"id":22,"customer":{"id":1},"items":[{"sku":"a"},[{"sku":1,"sku":2}]]}`},
		{`{"a":1}`, `{"a":1,"b":2,"a":3}`}, {`{"a":1}`, `{"\u0061":1,"a":2}`}, {`{"a":1,"b":2}`, `{"b":1,"\u0062":1}`}, {`{"long_name_of_a_member":1}`, `{"long_name_of_a_membes":1,"long_name_of_a_member" : 1}`},
		{`{"a":[1,2]}`, "{\"a\":[1\n,\"\xff\"],\"\xff\":1}"}, {`[{"a":1}]`, `[{"a":1,"b":1e999},{"a":"\ud800"}]`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
		f.Add([]byte(seed[1]), []byte(seed[0]))
	}
	f.Fuzz(agree)
}

// TestManyNames: places have more names than are kept, and values more than all
// places may.
func TestManyNames(t *testing.T) {
	t.Parallel()
	object := func(from, to int, last string) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, `"m%d":{"x%d":%d},`, i, i, i)
		}
		return "{" + b.String() + last + "}"
	}
	for _, data := range []string{object(0, 300, `"z":1`), object(0, 300, `"m0":1`), object(0, 300, `"m299":1`), object(250, 270, `"m251":{}`), object(0, 2000, `"\u006d7":1`), object(1000, 1300, `"m1000":1`)} {
		agree(t, []byte(object(0, 270, `"y":0`)), []byte(data))
	}
	var c Checker
	for i := range 3 * maxStrange / 300 {
		if err := c.Check([]byte(object(300*i, 300*i+300, `"y":0`))); err != nil || c.known.names > maxNames+1 {
			t.Fatal(err, c.known.names)
		}
	}
	if c.known.strange > 2*maxStrange {
		t.Error("what is known is never forgotten")
	}
}

// TestHostile: what is made to be slow costs no more than its length.
func TestHostile(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	var names, same strings.Builder
	for i := 0; names.Len() < size; i++ {
		fmt.Fprintf(&names, `"%x":1,`, i)
	}
	for same.Len() < size {
		same.WriteString(`{"\u0061":1,"\u0062":{}},`)
	}
	for name, value := range map[string]string{
		"deep":    strings.Repeat("[", size),
		"open":    strings.Repeat(strings.Repeat("[", 99)+strings.Repeat("]", 99)+",", size/200),
		"names":   "{" + names.String() + `"z":1}`,
		"escapes": "[" + same.String() + "1]",
		"digits":  "0." + strings.Repeat("1", size),
		"strange": "[{" + names.String() + `"z":1}` + strings.Repeat(`,{"0":1,"\u007a":2}`, size/20) + "]",
		"numbers": "[" + strings.Repeat("1e5,", size/4) + "1]",
	} {
		began := time.Now()
		var c Checker
		_ = c.Check([]byte(value)) //nolint:errcheck // the first value teaches nothing
		_ = c.Check([]byte(value)) //nolint:errcheck // some are fine
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: %v", name, took)
		}
		if kept := cap(c.members) + cap(c.table); kept > 2*maxKept {
			t.Errorf("%s: memory for %d members is kept", name, kept)
		}
	}
}

// BenchmarkCheck compares with encoding/json.
func BenchmarkCheck(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var wide strings.Builder
	for i := range 60 {
		fmt.Fprintf(&wide, `"column_%d":%d,`, i, random.IntN(1e6))
	}
	for name, value := range map[string]string{
		"order":   `{"type":"order","country":"DE","email":"someone@example.com","lines":[{"sku":"A-1","count":2,"price":12.50}],"note":"` + strings.Repeat("v", 100) + `"}`,
		"text1kB": `{"a":"` + strings.Repeat("v", 1016) + `"}`,
		"wide":    "{" + wide.String() + `"z":1}`,
	} {
		var c Checker
		b.Run(name+"/strict", func(b *testing.B) {
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Check([]byte(value)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/encoding-json", func(b *testing.B) {
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				if !json.Valid([]byte(value)) || !utf8.ValidString(value) {
					b.Fatal()
				}
			}
		})
	}
}
