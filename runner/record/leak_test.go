// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/registrytest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestMasksLeakNothing: in values that do all that JSON allows to hide a field,
// such as members that are there twice, escapes in names and lists in lists,
// nothing of what is masked is left. What is masked is told by the names alone,
// as a parser would read them.
func TestMasksLeakNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	w := &evader{random: random}
	r := rules(t, "SPOUT_RECORD_MASK=password=redact,user.card=hash,user.list.pin=redact,ü.ab=redact", "SPOUT_RECORD_FILTER=value:user.name != x", "SPOUT_FILE_PATH={value:user.card}/{partition}-{first_offset}")
	for range 20_000 {
		w.out.Reset()
		w.value(nil, 0)
		value := bytes.Clone(w.out.Bytes())
		if !json.Valid(value) {
			t.Fatalf("%s", value)
		}
		rec := source.Record{Value: value}
		if keep, err := r.Apply(&rec); err != nil || !keep {
			t.Fatalf("%s: %v", value, err)
		}
		if bytes.Contains(rec.Value, []byte("secret")) || bytes.Contains(rec.Value, []byte("777")) || bytes.Contains(r.Route(&rec), []byte("secret")) {
			t.Fatalf("%s\nbecame\n%s", value, rec.Value)
		}
		if !json.Valid(rec.Value) || bytes.Count(rec.Value, []byte("plain")) != bytes.Count(value, []byte("plain")) {
			t.Fatalf("%s\nlost something or is no JSON:\n%s", value, rec.Value)
		}
	}
}

// TestMasksOfSchemasLeakNothing: the same for values that become rows of a JSON
// Schema, which knows some of the fields, some as JSON text, and some by names
// that become columns like others.
func TestMasksOfSchemasLeakNothing(t *testing.T) {
	t.Parallel()
	for i, text := range []string{
		`{}`, `{"properties":{"user":{"type":["object","null"]}}}`,
		`{"properties":{"user":{"anyOf":[{"type":"object","properties":{"card":{},"list":{"type":"array","items":{}}}},{"type":"string"}]},"password":{},"pass\"word":{}}}`,
		`{"properties":{"ü":{"properties":{"password":{}}},"user":{},"password ":{},"list":{"additionalProperties":{}}}}`,
		`{"properties":{"password":{"$ref":"#"},"user":{"$ref":"#/$defs/u"}},"$defs":{"u":{"properties":{"card":{},"user":{"$ref":"#/$defs/u"},"list":{"items":{"$ref":"#/$defs/u"}}}}}}`,
	} {
		values := registrytest.Values(t, "avro", "JSON", text)
		r := rules(t, "SPOUT_RECORD_MASK=password=redact,user.card=hash,user.list.pin=redact,ü.ab=redact", "SPOUT_FILE_PATH={value:user.card}/{partition}-{first_offset}")
		w := &evader{random: rand.New(rand.NewPCG(3, 4))}
		fit, hid := 0, 0
		for range 10_000 {
			w.out.Reset()
			w.value(nil, 0)
			rows, value, err := values.Decode(nil, w.out.Bytes())
			if err != nil {
				if strings.Contains(err.Error(), "secret") {
					t.Fatal(err)
				}
				continue
			}
			fit++
			if bytes.Contains(value, []byte("secret")) {
				hid++
			}
			rec := source.Record{Value: value}
			if _, _, err := r.ApplyRows(&rec, rows); err != nil {
				t.Fatalf("%s: %v", w.out.Bytes(), err)
			}
			route, err := r.RouteRow(&rec)
			if err != nil || bytes.Contains(rec.Value, []byte("secret")) || bytes.Contains(route, []byte("secret")) {
				t.Fatalf("schema %d: %s\nbecame\n%q, %v", i, w.out.Bytes(), rec.Value, err)
			}
		}
		if t.Logf("schema %d: %d values fit, %d had something to hide", i, fit, hid); hid < 10 {
			t.Errorf("schema %d: %d values fit, %d had something to hide", i, fit, hid)
		}
	}
}

// evader writes JSON with secrets where they are masked, and plain values
// elsewhere.
type evader struct {
	random *rand.Rand
	out    bytes.Buffer
}

var maskedPaths = [][]string{{"password"}, {"user", "card"}, {"user", "list", "pin"}, {"ü", "ab"}}

func (w *evader) space() { w.out.WriteString(strings.Repeat(" ", w.random.IntN(2))) }

func (w *evader) value(path []string, depth int) {
	w.space()
	defer w.space()
	if slices.ContainsFunc(maskedPaths, func(p []string) bool { return len(path) >= len(p) && slices.Equal(path[:len(p)], p) }) {
		w.leaf([]string{`"secret"`, `"\\\"secret\\"`, "777", "-777e7", `{"a":"secret","password":["secret"]}`, `[["secret"],777]`, "null", "777.0"})
		return
	}
	switch kind := w.random.IntN(8); {
	case depth == 0 || kind < 4 && depth < 6:
		w.out.WriteByte('{')
		for i := range w.random.IntN(6) {
			if i > 0 {
				w.out.WriteByte(',')
			}
			names := []string{"password", "user", "card", "list", "pin", "ü", "ab", "Password", "passwor", "password ", "", `pass"word`, `password\`}
			name := names[w.random.IntN(len(names))]
			w.space()
			w.name(name)
			w.space()
			w.out.WriteByte(':')
			w.value(append(slices.Clone(path), name), depth+1)
		}
		w.out.WriteByte('}')
	case kind == 4 && depth < 6:
		w.out.WriteByte('[')
		for i := range w.random.IntN(4) {
			if i > 0 {
				w.out.WriteByte(',')
			}
			w.value(path, depth+1)
		}
		w.out.WriteByte(']')
	default:
		w.leaf([]string{`"plain"`, "1", "true", "null", `"}\"],password\":"`})
	}
}

func (w *evader) leaf(of []string) { w.out.WriteString(of[w.random.IntN(len(of))]) }

// name writes a name, with escapes where it might do without.
func (w *evader) name(name string) {
	w.out.WriteByte('"')
	for _, c := range name {
		switch {
		case c == '"' || c == '\\':
			w.out.WriteString(`\` + string(c))
		case w.random.IntN(12) == 0:
			fmt.Fprintf(&w.out, []string{`\u%04x`, `\u%04X`}[w.random.IntN(2)], c)
		default:
			w.out.WriteRune(c)
		}
	}
	w.out.WriteByte('"')
}
