// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

// relation is a table as the rows that are read have it.
type relation struct {
	id           uint32
	schema, name string
	identity     byte
	columns      []column
	keys         bool // some columns are a key
	fingerprint  string
	number       int // of its schema, among those of the stream
	avro         [2]string
	texts        string                      // the field with the text of what others cannot hold
	schemas      [variants]*source.RowSchema // made when they are first needed
	stream       *stream

	counted bool  // a part has what it takes
	open    *part // that its records go into
	variant int   // of that
}

// column is a column of a relation.
type column struct {
	name   string
	member []byte // its name in JSON with the colon
	typ    columnType
	key    bool
}

// Rows of a table come in files of up to four schemas: with the row before only
// where there may be one, and with what the columns cannot hold, as infinity,
// only where there is some.
const (
	withBefore = 1 << iota
	withText
	variants
)

// newRelation makes it of what the stream, or the catalogue, says.
func newRelation(m *pgoutput.Relation, lookup func(uint32) (userType, error)) (*relation, error) {
	r := &relation{id: m.ID, schema: m.Schema, name: m.Name, identity: m.Identity}
	for _, c := range m.Columns {
		t, err := typeOf(c.Type, c.Modifier, lookup)
		if err != nil {
			return nil, fmt.Errorf("the type of column %s of table %s: %w", c.Name, r.label(), err)
		}
		key := c.Key && m.Identity != identityFull
		r.keys = r.keys || key
		r.columns = append(r.columns, column{name: c.Name, member: append(strictjson.AppendString(nil, []byte(c.Name)), ':'), typ: t, key: key})
	}
	r.describe()
	return r, nil
}

// memory is about what it takes.
func (r *relation) memory() int {
	const around, column = 1 << 10, 200
	size := around + column*len(r.columns) + len(r.avro[0]) + len(r.avro[1])
	for i := range r.columns {
		size += 2*len(r.columns[i].name) + len(r.columns[i].member)
	}
	return size
}

// identityFull is the replica identity with which changes have the whole row
// before.
const identityFull = 'f'

// label names the table in messages.
func (r *relation) label() string { return r.schema + "." + r.name }

// streamName names its stream.
func (r *relation) streamName() string { return settings.PostgresStream(r.schema, r.name) }

// describe makes the schemas' texts, and a hash that tells them apart.
func (r *relation) describe() {
	var fields strings.Builder
	taken := map[string]int{}
	for i, c := range r.columns {
		if i > 0 {
			fields.WriteByte(',')
		}
		name := fieldName(c.name, taken)
		fields.WriteString(`{"name":` + quoted(name) + `,"type":` + c.typ.avro())
		if name != c.name {
			fields.WriteString(`,"column":` + quoted(c.name))
		}
		fields.WriteByte('}')
	}
	text := fieldName(textField, taken)
	r.texts = text
	separator := ","
	if len(r.columns) == 0 {
		separator = ""
	}
	r.avro[0] = `{"type":"record","name":"Row","fields":[` + fields.String() + `]}`
	r.avro[1] = `{"type":"record","name":"Row","fields":[` + fields.String() + separator + `{"name":` + quoted(text) + `,"type":["null",{"type":"map","values":"string"}]}]}`
	sum := sha256.Sum256(append([]byte(r.avro[0]), map[bool]byte{true: 1}[r.identity == identityFull]))
	r.fingerprint = hex.EncodeToString(sum[:8])
}

// textField is the field with the text of values that the columns cannot hold.
const textField = "_text"

func quoted(name string) string { return string(strictjson.AppendString(nil, []byte(name))) }

// fieldName makes a column's name one that Avro takes and that nothing else has.
func fieldName(name string, taken map[string]int) string {
	out := strings.Map(func(c rune) rune {
		if c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) {
			return c
		}
		return '_'
	}, name)
	if out == "" || unicode.IsDigit([]rune(out)[0]) {
		out = "_" + out
	}
	free := out
	for n := max(taken[out], 1) + 1; taken[free] > 0; n++ {
		free = out + "_" + strconv.Itoa(n)
		taken[out] = n
	}
	taken[free] = max(taken[free], 1)
	return free
}

// rowSchema is that of a variant.
func (r *relation) rowSchema(variant int) *source.RowSchema {
	if r.schemas[variant] == nil {
		r.schemas[variant] = &source.RowSchema{Avro: r.avro[variant/withText], Version: r.number, Before: variant&withBefore != 0}
		if variant&withText != 0 {
			r.schemas[variant].Texts = r.texts
		}
	}
	return r.schemas[variant]
}

// stream is what is made of a table's rows.
type stream struct {
	source.Stream
	index int
	next  int64  // ordinal of the next record that is read
	last  string // fingerprint of the schema of the last one
	count int    // number of that schema
}
