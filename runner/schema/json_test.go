// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

func jsonOf(t testing.TB, columns bool, sources ...Source) *Values {
	t.Helper()
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 3, sr.TypeJSON, sources, mostColumns(columns), largest)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A reference is followed however it is written.
func TestJSONReferences(t *testing.T) {
	t.Parallel()
	const number = `{"type":"integer"}`
	for name, test := range map[string]struct {
		schema string
		others []Source
	}{
		"element of a list":            {`{"properties":{"a":{"anyOf":[` + number + `,{"type":"string"}]},"x":{"$ref":"#/properties/a/anyOf/0"}}}`, nil},
		"percent":                      {`{"definitions":{"My Type":` + number + `},"properties":{"x":{"$ref":"#/definitions/My%20Type"}}}`, nil},
		"tilde":                        {`{"definitions":{"a/b~c":` + number + `},"properties":{"x":{"$ref":"#/definitions/a~1b~0c"}}}`, nil},
		"$anchor":                      {`{"$defs":{"n":{"$anchor":"num","type":"integer"}},"properties":{"x":{"$ref":"#num"}}}`, nil},
		"plain name":                   {`{"definitions":{"n":{"$id":"#num","type":"integer"}},"properties":{"x":{"$ref":"#num"}}}`, nil},
		"plain name of draft 4":        {`{"$schema":"http://json-schema.org/draft-04/schema#","definitions":{"n":{"id":"#num","type":"integer"}},"properties":{"x":{"$ref":"#num"}}}`, nil},
		"embedded $id":                 {`{"$id":"http://e.com/root.json","$defs":{"n":{"$id":"num.json","type":"integer"}},"properties":{"x":{"$ref":"num.json"}}}`, nil},
		"within an embedded $id":       {`{"$id":"http://e.com/root.json","$defs":{"n":{"$id":"n/num.json","$defs":{"i":` + number + `},"$ref":"#/$defs/i"}},"properties":{"x":{"$ref":"/n/num.json"}}}`, nil},
		"absolute, of the same":        {`{"$id":"http://e.com/root.json","$defs":{"n":` + number + `},"properties":{"x":{"$ref":"http://e.com/root.json#/$defs/n"}}}`, nil},
		"relative to $id":              {`{"$id":"http://e.com/a/root.json","properties":{"x":{"$ref":"../b/num.json"}}}`, []Source{{"http://e.com/b/num.json", number}}},
		"name of the registry":         {`{"$id":"http://e.com/a/root.json","properties":{"x":{"$ref":"num.json"}}}`, []Source{{"num.json", number}}},
		"$id of another":               {`{"properties":{"x":{"$ref":"http://e.com/num"}}}`, []Source{{"number", `{"$id":"http://e.com/num","type":"integer"}`}}},
		"within another":               {`{"properties":{"x":{"$ref":"num.json#/$defs/n"}}}`, []Source{{"num.json", `{"$defs":{"n":{"$ref":"#/$defs/m"},"m":` + number + `}}`}}},
		"to a reference":               {`{"$defs":{"a":{"$ref":"#/$defs/b"},"b":` + number + `},"properties":{"x":{"$ref":"#/$defs/a"}}}`, nil},
		"a relative $id with a folder": {`{"$id":"a/root.json","$defs":{"n":` + number + `},"properties":{"x":{"$ref":"#/$defs/n"}}}`, nil},
	} {
		v := jsonOf(t, true, append(test.others, Source{Text: test.schema})...)
		got, err := rowOf(t, v, []byte(`{"x":1e2}`))
		if err != nil || !strings.Contains(got, `"x":100`) {
			t.Errorf("%s: %s (%v)", name, got, err)
		}
	}
	// What leads nowhere, or round in a circle, is JSON text.
	for name, schema := range map[string]string{
		"nowhere":            `{"properties":{"x":{"$ref":"#/definitions/missing"}}}`,
		"another schema":     `{"properties":{"x":{"$ref":"http://json-schema.org/draft-07/schema#"}}}`,
		"to itself":          `{"$defs":{"a":{"$ref":"#/$defs/a"}},"properties":{"x":{"$ref":"#/$defs/a"}}}`,
		"to each other":      `{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"properties":{"x":{"$ref":"#/$defs/a"}}}`,
		"the whole":          `{"properties":{"x":{"$ref":"#"}}}`,
		"beyond a list":      `{"properties":{"x":{"$ref":"#/anyOf/7"}}}`,
		"many types":         `{"properties":{"x":{"type":["string","integer"]}}}`,
		"a schema as a type": `{"properties":{"x":{"type":[{"type":"integer"},"null"]}}}`,
	} {
		got, err := rowOf(t, jsonOf(t, true, Source{Text: schema}), []byte(`{"x":1e2}`))
		if err != nil || !strings.Contains(got, `"x":"1e2"`) {
			t.Errorf("%s: %s (%v)", name, got, err)
		}
	}
}

// Where types contain each other, what one looks like does not depend on which
// is met first.
func TestJSONCircles(t *testing.T) {
	t.Parallel()
	const defs = `"$defs":{"a":{"properties":{"b":{"$ref":"#/$defs/b"},"n":{"type":"integer"}}},"b":{"properties":{"a":{"$ref":"#/$defs/a"},"s":{"type":"string"}}}}`
	for name, properties := range map[string]string{
		"a first": `{"x":{"$ref":"#/$defs/a"},"y":{"$ref":"#/$defs/b"}}`, "b first": `{"y":{"$ref":"#/$defs/b"},"x":{"$ref":"#/$defs/a"}}`} {
		got, err := rowOf(t, jsonOf(t, true, Source{Text: `{"additionalProperties":false,"properties":` + properties + `,` + defs + `}`}),
			[]byte(`{"x":{"n":1,"b":{"s":"t"}},"y":{"s":"u","a":{}}}`))
		if want := `{"x":{"_other":null,"b":"{\"s\":\"t\"}","n":1},"y":{"_other":null,"a":"{}","s":"u"}}`; got != want || err != nil {
			t.Errorf("%s: %s (%v)", name, got, err)
		}
	}
}

// No value is changed: what a column cannot hold is refused.
func TestJSONValuesAreKept(t *testing.T) {
	t.Parallel()
	v := jsonOf(t, true, Source{Text: `{"properties":{"i":{"type":"integer"},"n":{"type":"number"},"s":{"type":"string"},"old":{"type":"string","required":true},
		"m":{"type":"object","additionalProperties":{"type":"integer"}},"pair":{"type":"array","prefixItems":[{"type":"integer"}],"items":{"type":"string"}}},"additionalProperties":false}`})
	row := func(part string) string { return `{` + part + `,"old":""}` }
	for value, want := range map[string]string{
		`"i":9007199254740993`: `"i":9007199254740993`, `"i":9007199254740993.0`: `"i":9007199254740993`, `"i":1e18`: `"i":1000000000000000000`,
		`"i":9223372036854775807`: `"i":9223372036854775807`, `"i":-9223372036854775808`: `"i":-9223372036854775808`, `"i":-1.50e1`: `"i":-15`, `"i":0e99999999999`: `"i":0`, `"i":-0.0`: `"i":0`,
		`"n":1152921504606847000`: `"n":1152921504606847000`, `"n":1152921504606846976`: `"n":1152921504606847000`, `"n":0.1`: `"n":0.1`, `"n":1e300`: `"n":1e+300`,
		`"s":"\ud83d\ude00é\\\""`: `"s":"😀é\\\""`, `"m":{"a":1,"b":2,"a":3}`: `"m":{"a":3,"b":2}`, `"s":"a","s":"b"`: `"s":"b"`, `"pair":[1,"x"]`: `"pair":"[1,\"x\"]"`,
	} {
		if got, err := rowOf(t, v, []byte(row(value))); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %s (%v), want %s", value, got, err, want)
		}
	}
	for value, want := range map[string]string{
		`"i":9223372036854775808`: "not a whole number of 64 bits", `"i":1e19`: "not a whole number", `"i":1e-1`: "not a whole number", `"i":1e-99999999999`: "not a whole number", `"i":1e99999999999`: "not a whole number",
		`"i":"1"`: "not a whole number", `"i":true`: "not a whole number", `"n":9007199254740993`: "a double cannot hold", `"n":1e400`: "a double can hold", `"n":"1"`: "a double can hold",
		`"s":"\ud83d"`: "half of a surrogate pair", `"s":"\ude00\ud83d"`: "half of a surrogate pair", `"m":{"\ud83d":1}`: "half of a surrogate pair",
		"\"s\":\"\xff\"": "not UTF-8", "\"s\":\"\xed\xa0\x80\"": "not UTF-8", `"z":1`: "does not allow",
	} {
		if got, err := rowOf(t, v, []byte(row(value))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s (%v), want %s", value, got, err, want)
		}
	}
	if _, err := rowOf(t, v, []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "old: it is missing") {
		t.Errorf("what draft 3 requires is missing: %v", err)
	}
	open := jsonOf(t, true, Source{Text: `{"properties":{"a":{"type":"integer"}}}`})
	if got, err := rowOf(t, open, []byte(`{"<b>": 1.0, "a":1,"c":[ ]}`)); err != nil || got != `{"_other":"{\"\u003cb\u003e\":1.0,\"c\":[ ]}","a":1}` {
		t.Errorf("others are not as they came: %s (%v)", got, err)
	}
}

// However definitions refer to each other, each is read once, and what is too
// wide or too deep is JSON text.
func TestJSONBounds(t *testing.T) {
	t.Parallel()
	fan := func(width int) string {
		var defs []string
		for i := range width {
			var properties []string
			for j := range width {
				properties = append(properties, fmt.Sprintf(`"p%d":{"$ref":"#/definitions/d%d"}`, j, j))
			}
			defs = append(defs, fmt.Sprintf(`"d%d":{"type":"object","properties":{%s}}`, i, strings.Join(properties, ",")))
		}
		return `{"type":"object","properties":{"a":{"$ref":"#/definitions/d0"}},"definitions":{` + strings.Join(defs, ",") + `}}`
	}
	chain := func(levels int) string {
		defs := `"d0":{"properties":{"n":{"type":"integer"}}}`
		for i := range levels {
			defs += fmt.Sprintf(`,"d%d":{"properties":{"a":{"$ref":"#/definitions/d%d"},"b":{"$ref":"#/definitions/d%d"}}}`, i+1, i, i)
		}
		return fmt.Sprintf(`{"properties":{"a":{"$ref":"#/definitions/d%d"}},"definitions":{%s}}`, levels, defs)
	}
	wide := `{"properties":{`
	for i := range 3000 {
		wide += fmt.Sprintf(`"p%d":{"type":"integer"},`, i)
	}
	wide += `"last":{"type":"integer"}},"additionalProperties":false}`
	for name, schema := range map[string]string{"fan of 8": fan(8), "fan of 100": fan(100), "chain of 40": chain(40), "chain of 1000": chain(1000), "wide": wide} {
		began := time.Now()
		v := jsonOf(t, true, Source{Text: schema})
		if _, err := rowOf(t, v, []byte(`{"a":{}}`)); err != nil && name != "wide" {
			t.Errorf("%s: %v", name, err)
		}
		rows, _, err := v.Decode(nil, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		layout, err := rows.Columns()
		if err != nil || layout.Leaves > maxJSONColumns+100 {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %d columns after %v", name, layout.Leaves, time.Since(began))
	}
	if got, err := rowOf(t, jsonOf(t, true, Source{Text: wide}), []byte(`{"p0":7,"last":5}`)); err != nil || !strings.Contains(got, `"_other":"{\"last\":5}"`) || !strings.Contains(got, `"p0":7`) {
		t.Errorf("%.300s (%v)", got, err)
	}
}
