// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
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
		"numbers": "[" + strings.Repeat("1e5,", size/4) + "1]",
	} {
		began := time.Now()
		var c Checker
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
