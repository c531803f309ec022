// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/binary"
	"strconv"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

// row is a change of a row, and what there is to say of it.
type row struct {
	relation *relation
	op       source.Op
	new      []pgoutput.Value // nil for deletes and truncations
	old      []pgoutput.Value // nil if it is unknown
	whole    bool             // old has all columns, not only those of the key
	tx       *transaction
}

// transaction is what all rows of a transaction share.
type transaction struct {
	id     []byte // the LSN of its commit, as text
	millis int64
	xid    uint64
	commit uint64 // its LSN
}

// encoded are the parts of a record. They are valid until the next one is made.
type encoded struct {
	key, value, before []byte // nil for none
	unchanged          []string
	variant            int // of its schema, for rows
}

// encoder makes records of rows.
type encoder struct {
	converter
	shape    shape
	database string
	out      encoded
	key      []byte
	value    []byte
	before   []byte
	texts    [2][]byte // entries of the maps of texts of value and before
	counts   [2]int
}

// shape is what values are.
type shape uint8

const (
	shapeRows     shape = iota // in Avro's encoding
	shapeFlat                  // a JSON object of the columns
	shapeDebezium              // Debezium's envelope
)

// placeholder is what Debezium writes for a value that was not sent.
const placeholder = `"__debezium_unavailable_value"`

func (e *encoder) encode(r *row) *encoded {
	e.out = encoded{unchanged: e.out.unchanged[:0]}
	e.encodeKey(r)
	if r.new != nil && !(r.whole && len(r.old) > 0) {
		for i := range r.new {
			if r.new[i].Kind == pgoutput.Unchanged && i < len(r.relation.columns) {
				e.out.unchanged = append(e.out.unchanged, r.relation.columns[i].name)
			}
		}
	}
	switch e.shape {
	case shapeRows:
		e.encodeRows(r)
	case shapeFlat:
		e.encodeFlat(r)
	case shapeDebezium:
		e.value = e.appendEnvelope(e.value[:0], r)
		e.out.value = e.value
	}
	return &e.out
}

// encodeKey makes an object of the columns of the key, if there are any.
func (e *encoder) encodeKey(r *row) {
	of := r.new
	if of == nil {
		of = r.old
	}
	if !r.relation.keys || of == nil {
		return
	}
	e.key = e.appendObject(e.key[:0], r.relation, of, nil, true, "")
	e.out.key = e.key
}

// beforeOf is the row before that a record tells of, apart from its value: that
// of a delete is the value itself.
func (r *row) beforeOf() []pgoutput.Value {
	if r.op == source.OpDelete && !r.whole {
		return nil
	}
	return r.old
}

// valueOf is the row that the record's value is.
func (r *row) valueOf() []pgoutput.Value {
	if r.op == source.OpDelete {
		return r.old
	}
	return r.new
}

func (e *encoder) encodeFlat(r *row) {
	if v := r.valueOf(); v != nil {
		e.value = e.appendObject(e.value[:0], r.relation, v, r.fallback(), r.keysOnly(), "")
		e.out.value = e.value
	}
	if b := r.beforeOf(); b != nil {
		e.before = e.appendObject(e.before[:0], r.relation, b, nil, !r.whole, "")
		e.out.before = e.before
	}
}

// fallback are values in place of those that have not changed.
func (r *row) fallback() []pgoutput.Value {
	if r.whole && len(r.old) > 0 {
		return r.old
	}
	return nil
}

// keysOnly says whether the value has nothing but the columns of the key.
func (r *row) keysOnly() bool { return r.op == source.OpDelete && !r.whole }

// appendObject appends an object of the columns. A value that was not sent is
// what instead says, or left out if that is "".
func (e *encoder) appendObject(dst []byte, r *relation, values, fallback []pgoutput.Value, keys bool, instead string) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for i := range r.columns {
		c := &r.columns[i]
		if i >= len(values) || keys && !c.key {
			continue
		}
		v := values[i]
		if v.Kind == pgoutput.Unchanged && i < len(fallback) {
			v = fallback[i]
		}
		if v.Kind == pgoutput.Unchanged && instead == "" {
			continue
		}
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(dst, c.member...)
		switch v.Kind {
		case pgoutput.Text:
			dst = e.appendJSON(dst, c.typ, v.Text)
		case pgoutput.Unchanged:
			dst = append(dst, instead...)
		default:
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}')
}

var debeziumOps = [...]byte{source.OpRead: 'r', source.OpInsert: 'c', source.OpUpdate: 'u', source.OpDelete: 'd', source.OpTruncate: 't'}

// appendEnvelope appends Debezium's envelope.
func (e *encoder) appendEnvelope(dst []byte, r *row) []byte {
	dst = append(dst, `{"before":`...)
	if r.old != nil {
		dst = e.appendObject(dst, r.relation, r.old, nil, !r.whole, placeholder)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"after":`...)
	if r.new != nil {
		dst = e.appendObject(dst, r.relation, r.new, r.fallback(), false, placeholder)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"source":{"connector":"postgresql","name":`...)
	dst = strictjson.AppendString(dst, []byte(e.database))
	dst = strconv.AppendInt(append(dst, `,"ts_ms":`...), r.tx.millis, 10)
	dst = append(dst, `,"snapshot":`...)
	dst = append(dst, map[bool]string{true: `"true"`, false: `"false"`}[r.op == source.OpRead]...)
	dst = strictjson.AppendString(append(dst, `,"db":`...), []byte(e.database))
	dst = strictjson.AppendString(append(dst, `,"schema":`...), []byte(r.relation.schema))
	dst = strictjson.AppendString(append(dst, `,"table":`...), []byte(r.relation.name))
	dst = append(dst, `,"txId":`...)
	if r.tx.xid == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendUint(dst, r.tx.xid, 10)
	}
	dst = strconv.AppendUint(append(dst, `,"lsn":`...), r.tx.commit, 10)
	dst = append(dst, `},"op":"`...)
	dst = append(dst, debeziumOps[r.op], '"')
	dst = strconv.AppendInt(append(dst, `,"ts_ms":`...), r.tx.millis, 10)
	return append(dst, `,"transaction":null}`...)
}

// encodeRows makes rows in Avro's encoding.
func (e *encoder) encodeRows(r *row) {
	e.counts, e.texts[0], e.texts[1] = [2]int{}, e.texts[0][:0], e.texts[1][:0]
	if r.relation.identity == identityFull {
		e.out.variant = withBefore
	}
	if v := r.valueOf(); v != nil {
		e.value = e.appendRow(e.value[:0], r.relation, v, r.fallback(), r.keysOnly(), 0)
		e.out.value = e.value
	}
	if b := r.beforeOf(); b != nil {
		e.before = e.appendRow(e.before[:0], r.relation, b, nil, !r.whole, 1)
		e.out.before = e.before
		e.out.variant |= withBefore
	}
	if e.counts == [2]int{} {
		return
	}
	e.out.variant |= withText
	if e.out.value != nil {
		e.value = e.appendTexts(e.value, 0)
		e.out.value = e.value
	}
	if e.out.before != nil {
		e.before = e.appendTexts(e.before, 1)
		e.out.before = e.before
	}
}

func (e *encoder) appendTexts(dst []byte, of int) []byte {
	if e.counts[of] == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(append(dst, 2), int64(e.counts[of]))
	return append(append(dst, e.texts[of]...), 0)
}

// appendRow appends the columns; those that cannot hold their value are null,
// and the text goes into the map.
func (e *encoder) appendRow(dst []byte, r *relation, values, fallback []pgoutput.Value, keys bool, texts int) []byte {
	for i := range r.columns {
		c := &r.columns[i]
		var v pgoutput.Value
		if i < len(values) && (!keys || c.key) {
			v = values[i]
		}
		if v.Kind == pgoutput.Unchanged && i < len(fallback) {
			v = fallback[i]
		}
		if v.Kind != pgoutput.Text {
			dst = append(dst, 0)
			continue
		}
		out, ok := e.appendAvro(append(dst, 2), c.typ, v.Text)
		if ok {
			dst = out
			continue
		}
		dst = append(dst, 0)
		e.counts[texts]++
		t := binary.AppendVarint(e.texts[texts], int64(len(c.name)))
		t = append(t, c.name...)
		t = binary.AppendVarint(t, int64(len(v.Text)))
		e.texts[texts] = append(t, v.Text...)
	}
	return dst
}
