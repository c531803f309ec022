// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro"
)

// A name without a dot is looked for in the namespace around it, which a name
// with a dot, a namespace, or a type further out gives.
func TestNamesOfTypes(t *testing.T) {
	t.Parallel()
	const inner = `{"type":"enum","name":"E","symbols":["a","b"]}`
	for name, text := range map[string]string{
		"dotted name":         `{"type":"record","name":"com.x.A","fields":[{"name":"e","type":` + inner + `},{"name":"g","type":"E"}]}`,
		"full reference":      `{"type":"record","name":"com.x.A","fields":[{"name":"e","type":` + inner + `},{"name":"g","type":"com.x.E"}]}`,
		"namespace":           `{"type":"record","name":"A","namespace":"com.x","fields":[{"name":"e","type":` + inner + `},{"name":"g","type":"E"}]}`,
		"none":                `{"type":"record","name":"A","fields":[{"name":"e","type":` + inner + `},{"name":"g","type":"E"}]}`,
		"inherited":           `{"type":"record","name":"com.x.A","fields":[{"name":"b","type":{"type":"record","name":"B","fields":[{"name":"e","type":` + inner + `}]}},{"name":"g","type":"E"}]}`,
		"the nearer of two":   `{"type":"record","name":"com.x.A","fields":[{"name":"f","type":{"type":"fixed","name":"y.E","size":2}},{"name":"e","type":` + inner + `},{"name":"g","type":"E"}]}`,
		"of another's inside": `{"type":"record","name":"com.x.A","fields":[{"name":"b","type":{"type":"record","name":"y.B","fields":[{"name":"e","type":` + inner + `}]}},{"name":"g","type":"y.E"}]}`,
	} {
		if _, err := avro.Parse(text); err != nil {
			t.Errorf("%s: the library says %v", name, err)
		}
		got, err := parseAvro([]Source{{Text: text}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if last := got.Fields[len(got.Fields)-1].Type; last.Kind != Enum || len(last.Symbols) != 2 {
			t.Errorf("%s: the last field is %+v", name, last)
		}
	}
}

// TestColumnsInOrder: the fields of a group are in the schema's order, which
// costs nothing each time that they are asked for.
func TestColumnsInOrder(t *testing.T) { // counts allocations: not parallel
	g := newGroup()
	for i := range 5000 {
		if err := g.add(fmt.Sprint("column", 5000-i), parquet.Leaf(parquet.Int32Type)); err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range g.Fields() {
		if want := fmt.Sprint("column", 5000-i); f.Name() != want {
			t.Fatalf("field %d is %s, want %s", i, f.Name(), want)
		}
	}
	if n := testing.AllocsPerRun(10, func() { g.Fields() }); n > 0 {
		t.Errorf("%v allocations to list the fields", n)
	}
}
