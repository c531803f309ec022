// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// Columns is how rows are laid out in a Parquet file.
type Columns struct {
	Schema *parquet.Schema
	Leaves int // number of columns

	root   *plan
	levels int // around what is laid out
	// multiplies says that short values can have many values in columns: an
	// array's elements take few bytes, or none, for what they have in columns.
	multiplies bool
}

const (
	// maxColumns bounds the columns of a file, those of the coordinates included.
	maxColumns = 5_100
	// columnMemory is what of the memory budget there has to be for each: while
	// a file is written, it takes some 20 KiB.
	columnMemory = 40 << 10
	// maxLevels bounds how deep columns are nested: the library counts levels in
	// a byte. An array is three of them.
	maxLevels = 250
	// wideGroup is how many columns for a byte multiply.
	wideGroup = 8
)

// MaxColumns is how many columns a Parquet file may have with a memory budget.
func MaxColumns(budget settings.Bytes) int { return int(min(budget/columnMemory, maxColumns)) }

// CheckColumns returns an error if the rows have more columns in Parquet than a
// file may have.
func (r *Rows) CheckColumns(most int) error {
	if layout, err := r.Columns(); err == nil && layout.Leaves > most {
		return fmt.Errorf("its schema has %d columns in Parquet, more than the %d that the memory budget has room for; raise SPOUT_MEMORY_BUDGET, or write avro", layout.Leaves, most)
	}
	return nil
}

// plan is how values of a type are taken apart into columns.
type plan struct {
	of          *Type
	first, last int         // the columns below, last not included
	least       int         // bytes that a value takes
	below       []*plan     // fields; the one element; what is optional; a map's value; a union's branches
	repetition  byte        // of the elements after the first
	nullable    bool        // a union of more than one type has null too
	branch      int         // of what is optional
	flat        bool        // one column that has a value in each row: its levels are 0
	steps       []shredStep // of a record's fields
}

// shredStep is what is to be known of a field at once.
type shredStep struct {
	kind   Kind // of a flat column, Null for all else
	column int
	field  *plan
}

var errRecursive = errors.New("its schema has a type that contains itself, which Parquet has no columns for; write avro")

// newColumns lays rows out.
func newColumns(rows *Rows) (*Columns, error) {
	c := &Columns{}
	root, node, err := c.plan(rows.Type, 0, nil)
	if err != nil {
		return nil, err
	}
	c.root, c.Schema = root, parquet.NewSchema("record", node)
	root.flatten()
	return c, nil
}

// flatten notes which columns have a value in each row.
func (p *plan) flatten() {
	switch p.of.Kind {
	case Record:
		for _, field := range p.below {
			field.flatten()
			next := shredStep{field: field, column: field.first}
			if field.flat {
				next.kind = field.of.Kind
			}
			p.steps = append(p.steps, next)
		}
	case Union, Array, Map, Null:
	default:
		p.flat = true
	}
}

// group is a parquet.Group that keeps the order of its fields.
type group struct {
	parquet.Group
	fields []parquet.Field
}

// Fields implements parquet.Node.
func (g group) Fields() []parquet.Field { return g.fields }

func newGroup() group { return group{Group: parquet.Group{}} }

func (g *group) add(name string, node parquet.Node) error {
	if _, ok := g.Group[name]; ok {
		return fmt.Errorf("two fields are called %s", name)
	}
	g.Group[name] = node
	g.fields = append(g.fields, parquet.Group{name: node}.Fields()...)
	return nil
}

// plan lays out a type that is within others.
func (c *Columns) plan(t *Type, repetition byte, within []*Type) (*plan, parquet.Node, error) {
	if slices.Contains(within, t) {
		return nil, nil, errRecursive
	}
	within = append(slices.Clip(within), t)
	levels := 1
	if t.Kind == Array || t.Kind == Map {
		levels = 3
	}
	c.levels += levels
	defer func() { c.levels -= levels }()
	if c.levels > maxLevels {
		return nil, nil, fmt.Errorf("its schema has columns nested more than %d levels deep in Parquet; write avro", maxLevels)
	}
	p := &plan{of: t, first: c.Leaves}
	node, err := c.node(p, repetition, within)
	if c.Leaves > maxColumns {
		return nil, nil, fmt.Errorf("its schema has more than %d columns in Parquet; write avro", maxColumns)
	}
	p.last = c.Leaves
	if t.Kind >= Array { // others are shared
		t.width = p.last - p.first
	}
	p.least = p.leastBytes()
	if p.repetition > 0 && err == nil && p.below[0].last-p.below[0].first >= wideGroup*p.below[0].least {
		c.multiplies = true
	}
	return p, node, err
}

// leastBytes is the length of the shortest value.
func (p *plan) leastBytes() (n int) {
	switch p.of.Kind {
	case Null:
		return 0
	case Fixed:
		return p.of.Size
	case Float:
		return 4
	case Double:
		return 8
	case Record:
		for _, field := range p.below {
			if field != nil {
				n += field.least
			}
		}
		return n
	}
	return 1
}

func (c *Columns) add(p *plan, t *Type, repetition byte, within []*Type) (parquet.Node, error) {
	below, node, err := c.plan(t, repetition, within)
	p.below = append(p.below, below)
	return node, err
}

func (c *Columns) node(p *plan, repetition byte, within []*Type) (parquet.Node, error) {
	switch t := p.of; t.Kind {
	case Record:
		if len(t.Fields) == 0 { // Parquet has no groups without columns
			c.Leaves++
			return parquet.Leaf(parquet.BooleanType), nil
		}
		g := newGroup()
		for _, f := range t.Fields {
			node, err := c.add(p, f.Type, repetition, within)
			if err == nil {
				err = g.add(f.Name, node)
			}
			if err != nil {
				return nil, err
			}
		}
		return g, nil
	case Array:
		p.repetition = repetition + 1
		node, err := c.add(p, t.Element, repetition+1, within)
		if err != nil {
			return nil, err
		}
		return parquet.List(node), nil
	case Map:
		p.repetition = repetition + 1
		c.Leaves++ // the keys
		node, err := c.add(p, t.Element, repetition+1, within)
		if err != nil {
			return nil, err
		}
		return parquet.Map(parquet.String(), node), nil
	case Union:
		return c.union(p, repetition, within)
	}
	c.Leaves++
	return leaf(p.of)
}

// union lays out a union: what is optional is nullable, and others are a group
// of which one member is not null, numbered without null, as parquet-avro
// writes it.
func (c *Columns) union(p *plan, repetition byte, within []*Type) (parquet.Node, error) {
	if of, branch, ok := p.of.optional(); ok {
		p.branch = branch
		node, err := c.add(p, of, repetition, within)
		if err != nil {
			return nil, err
		}
		return parquet.Optional(node), nil
	}
	g := newGroup()
	for _, branch := range p.of.Branches {
		if branch.Kind == Null {
			p.nullable = true
			p.below = append(p.below, nil)
			continue
		}
		node, err := c.add(p, branch, repetition, within)
		if err != nil {
			return nil, err
		}
		if err := g.add(fmt.Sprintf("member%d", len(g.fields)), parquet.Optional(node)); err != nil {
			return nil, err
		}
	}
	if len(g.fields) == 0 { // nothing but null
		c.Leaves++
		p.below = nil
		return leaf(primitive(Null))
	}
	if p.nullable {
		return parquet.Optional(g), nil
	}
	return g, nil
}

// leaf returns the column of a type without parts.
func leaf(t *Type) (parquet.Node, error) {
	switch t.Kind {
	case Null: // any column can hold it: this one goes best with what it may be one day
		return parquet.Optional(parquet.Leaf(parquet.BooleanType)), nil
	case Boolean:
		return parquet.Leaf(parquet.BooleanType), nil
	case Int:
		switch t.Logical {
		case "date":
			return parquet.Date(), nil
		case "time-millis":
			return parquet.TimeAdjusted(parquet.Millisecond, false), nil // of no time zone, as Avro says
		}
		return parquet.Int(32), nil
	case Long:
		return longLeaf(t.Logical), nil
	case Float:
		return parquet.Leaf(parquet.FloatType), nil
	case Double:
		return parquet.Leaf(parquet.DoubleType), nil
	case String, Enum:
		return parquet.Encoded(parquet.String(), &parquet.RLEDictionary), nil
	case Bytes:
		if t.isDecimal() {
			return parquet.Decimal(t.Scale, t.Precision, parquet.ByteArrayType), nil
		}
		return parquet.Leaf(parquet.ByteArrayType), nil
	case Fixed:
		switch {
		case t.isDecimal():
			return parquet.Decimal(t.Scale, t.Precision, parquet.FixedLenByteArrayType(t.Size)), nil
		case t.Logical == "uuid" && t.Size == 16:
			return parquet.UUID(), nil
		case t.Size == 0:
			return parquet.Leaf(parquet.ByteArrayType), nil
		}
		return parquet.Leaf(parquet.FixedLenByteArrayType(t.Size)), nil
	}
	return nil, fmt.Errorf("the type %d has no column", t.Kind)
}

// isDecimal says whether a type is a decimal that readers take: some refuse
// whole files with more digits, which are bytes then.
func (t *Type) isDecimal() bool { return t.Logical == "decimal" && t.Precision <= 38 }

func longLeaf(logical string) parquet.Node {
	switch logical {
	case "time-micros":
		return parquet.TimeAdjusted(parquet.Microsecond, false)
	case "timestamp-millis":
		return parquet.Timestamp(parquet.Millisecond)
	case "timestamp-micros":
		return parquet.Timestamp(parquet.Microsecond)
	case "timestamp-nanos":
		return parquet.Timestamp(parquet.Nanosecond)
	case "local-timestamp-millis":
		return parquet.TimestampAdjusted(parquet.Millisecond, false)
	case "local-timestamp-micros":
		return parquet.TimestampAdjusted(parquet.Microsecond, false)
	case "local-timestamp-nanos":
		return parquet.TimestampAdjusted(parquet.Nanosecond, false)
	}
	return parquet.Int(64)
}

// Shred appends the values of a row, which has been checked, to the columns.
// They refer to the row's bytes.
func (c *Columns) Shred(columns [][]parquet.Value, row []byte) (values int) {
	s := shredder{columns: columns}
	s.shred(c.root, row, 0, 0)
	return s.values + s.flat
}

// Extent is what rows take in columns.
type Extent struct {
	Most    []int // values of a row in each column
	Longest []int // bytes of the longest value in each column

	row []int // values in each column
}

// NewExtent returns that of no rows.
func (c *Columns) NewExtent() *Extent {
	all := make([]int, 3*c.Leaves)
	return &Extent{all[:c.Leaves:c.Leaves], all[c.Leaves : 2*c.Leaves : 2*c.Leaves], all[2*c.Leaves:]}
}

// Measure returns how many values a row has in columns, without taking it apart.
func (c *Columns) Measure(e *Extent, row []byte) (values int) {
	clear(e.row)
	s := shredder{extent: e}
	s.shred(c.root, row, 0, 0)
	return s.values
}

// Add adds the row that was measured last, and returns by how much the sum of
// Most has grown.
func (e *Extent) Add() (grown int) {
	for column, n := range e.row {
		if n > e.Most[column] {
			grown += n - e.Most[column]
			e.Most[column] = n
		}
	}
	return grown
}

// Counts says whether a row of a length can have so many values that it has to
// be measured: n columns with all that such rows have take no more than 20 MiB.
func (c *Columns) Counts(length int) bool {
	return c.multiplies || length > maxUncounted || length*c.Leaves > maxUncountedColumns
}

const (
	// maxUncounted is how long rows are that are measured in any case.
	maxUncounted = 4 << 10
	// maxUncountedColumns bounds what others can have in all columns.
	maxUncountedColumns = 1 << 20
)

type shredder struct {
	columns [][]parquet.Value
	extent  *Extent // in place of columns
	values  int
	flat    int // values of flat columns
}

func (s *shredder) put(column int, v parquet.Value, repetition, definition byte) {
	s.values++
	if s.extent != nil {
		s.extent.row[column]++
		if v.Kind() == parquet.ByteArray || v.Kind() == parquet.FixedLenByteArray {
			s.extent.Longest[column] = max(s.extent.Longest[column], len(v.ByteArray()))
		}
		return
	}
	s.columns[column] = append(s.columns[column], v.Level(int(repetition), int(definition), column))
}

// nulls fills all columns of a plan that has no value.
func (s *shredder) nulls(p *plan, repetition, definition byte) {
	if s.extent == nil && p.last == p.first+1 {
		s.values++
		column := &s.columns[p.first]
		*column = append(*column, parquet.Value{}.Level(int(repetition), int(definition), p.first))
		return
	}
	for column := p.first; column < p.last; column++ {
		s.put(column, parquet.Value{}, repetition, definition)
	}
}

// shred takes a value off data; definition is how many of the optional and
// repeated things around it are there.
func (s *shredder) shred(p *plan, data []byte, repetition, definition byte) (rest []byte) {
	switch p.of.Kind {
	case Record:
		if len(p.below) == 0 {
			s.put(p.first, parquet.BooleanValue(true), repetition, definition)
		}
		if p.steps != nil && s.extent == nil {
			return s.flatRecord(p, data)
		}
		for _, field := range p.below {
			data = s.shred(field, data, repetition, definition)
		}
		return data
	case Union:
		return s.union(p, data, repetition, definition)
	case Array, Map:
		return s.repeated(p, data, repetition, definition)
	case Null:
		s.nulls(p, repetition, definition)
		return data
	}
	v, rest := value(p.of, data)
	s.put(p.first, v, repetition, definition)
	return rest
}

// flatRecord is shred for a record that is in each row.
func (s *shredder) flatRecord(p *plan, data []byte) (rest []byte) {
	for i := range p.steps {
		next := &p.steps[i]
		switch next.kind {
		case Null:
			data = s.shred(next.field, data, 0, 0)
			continue
		case Long:
			var n int64
			n, data = long(data)
			column := &s.columns[next.column]
			*column = append(*column, parquet.Int64Value(n))
		case String, Bytes:
			var b []byte
			b, data = text(data)
			column := &s.columns[next.column]
			*column = append(*column, parquet.ByteArrayValue(b))
		default:
			var v parquet.Value
			v, data = value(next.field.of, data)
			column := &s.columns[next.column]
			*column = append(*column, v)
		}
		s.flat++
	}
	return data
}

func (s *shredder) union(p *plan, data []byte, repetition, definition byte) []byte {
	branch, data := long(data)
	if p.of.Branches[branch].Kind == Null {
		s.nulls(p, repetition, definition)
		return data
	}
	if len(p.below) == 1 && !p.nullable && len(p.of.Branches) == 2 {
		return s.shred(p.below[0], data, repetition, definition+1)
	}
	if p.nullable {
		definition++
	}
	for i, below := range p.below {
		switch {
		case below == nil:
		case i == int(branch):
			data = s.shred(below, data, repetition, definition+1)
		default:
			s.nulls(below, repetition, definition)
		}
	}
	return data
}

func (s *shredder) repeated(p *plan, data []byte, repetition, definition byte) []byte {
	first := true
	for {
		count, rest := long(data)
		if data = rest; count < 0 {
			count = -count
			_, data = long(data)
		}
		if count == 0 {
			break
		}
		for range count {
			if p.of.Kind == Map {
				var key []byte
				key, data = text(data)
				s.put(p.first, parquet.ByteArrayValue(key), repetition, definition+1)
			}
			data = s.shred(p.below[0], data, repetition, definition+1)
			repetition, first = p.repetition, false
		}
	}
	if first {
		s.nulls(p, repetition, definition)
	}
	return data
}

// value takes a value of a type without parts off data.
func value(t *Type, data []byte) (parquet.Value, []byte) {
	switch t.Kind {
	case Boolean:
		return parquet.BooleanValue(data[0] != 0), data[1:]
	case Int:
		n, rest := long(data)
		return parquet.Int32Value(int32(n)), rest
	case Long:
		n, rest := long(data)
		return parquet.Int64Value(n), rest
	case Enum:
		n, rest := long(data)
		return parquet.ByteArrayValue(t.Symbols[n]), rest
	case Float:
		return parquet.FloatValue(math.Float32frombits(binary.LittleEndian.Uint32(data))), data[4:]
	case Double:
		return parquet.DoubleValue(math.Float64frombits(binary.LittleEndian.Uint64(data))), data[8:]
	case Fixed:
		if t.Size == 0 {
			return parquet.ByteArrayValue(nil), data
		}
		return parquet.FixedLenByteArrayValue(data[:t.Size]), data[t.Size:]
	}
	b, rest := text(data)
	return parquet.ByteArrayValue(b), rest
}

// long and text read what has been checked.
func long(data []byte) (int64, []byte) {
	if b := data[0]; b < 0x80 {
		return int64(b>>1) ^ -int64(b&1), data[1:]
	}
	return longer(data)
}

func longer(data []byte) (int64, []byte) {
	if len(data) >= 8 {
		const high = 0x8080808080808080
		word := binary.LittleEndian.Uint64(data)
		if last := ^word & high; last != 0 { // it has at most eight bytes: 56 bits
			word &= last&-last - 1
			word = word&0x7f007f007f007f | word>>1&0x3f803f803f803f80
			word = word&0x3fff00003fff | word>>2&0x0fffc0000fffc000
			word = word&0xfffffff | word>>4&0xfffffff0000000
			return int64(word>>1) ^ -int64(word&1), data[bits.TrailingZeros64(last)/8+1:]
		}
	}
	n, length := binary.Varint(data)
	return n, data[length:]
}

func text(data []byte) (b, rest []byte) {
	n, data := long(data)
	return data[:n], data[n:]
}
