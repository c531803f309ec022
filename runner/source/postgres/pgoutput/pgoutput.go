// SPDX-License-Identifier: Apache-2.0

// Package pgoutput decodes what PostgreSQL's logical decoding sends: the
// messages of a replication stream, and those of the plugin pgoutput in version
// 1 of its protocol. What is returned refers to the bytes that were given.
package pgoutput

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
)

// ErrMalformed says that bytes are no such message.
var ErrMalformed = errors.New("malformed message of the replication protocol")

// Data is a part of the log, with a message of the plugin.
type Data struct {
	Start, End postgres.LSN
	Message    []byte
}

// Keepalive says how far the server has come.
type Keepalive struct {
	End   postgres.LSN // all transactions that committed before were sent
	Reply bool         // it wants an answer at once
}

// Kinds of messages of a replication stream.
const (
	KindData      = 'w'
	KindKeepalive = 'k'
)

// HeadOfData is the length of what comes before the plugin's message.
const HeadOfData = 25

// ParseData reads a message of the kind 'w'.
func ParseData(b []byte) (d Data, err error) {
	if len(b) < HeadOfData+1 || b[0] != KindData {
		return d, ErrMalformed
	}
	return Data{postgres.LSN(binary.BigEndian.Uint64(b[1:])), postgres.LSN(binary.BigEndian.Uint64(b[9:])), b[HeadOfData:]}, nil
}

// ParseKeepalive reads a message of the kind 'k'.
func ParseKeepalive(b []byte) (k Keepalive, err error) {
	if len(b) != 18 || b[0] != KindKeepalive {
		return k, ErrMalformed
	}
	return Keepalive{postgres.LSN(binary.BigEndian.Uint64(b[1:])), b[17] != 0}, nil
}

// AppendStatus appends the answer that all before an LSN is durable. All three
// places must be told: a zero would stand for another one.
func AppendStatus(dst []byte, durable postgres.LSN, unixMicros int64) []byte {
	dst = append(dst, 'r')
	for range 3 { // written, flushed, applied
		dst = binary.BigEndian.AppendUint64(dst, uint64(durable))
	}
	return append(binary.BigEndian.AppendUint64(dst, uint64(unixMicros-epochMicros)), 0)
}

// epochMicros is the beginning of 2000, from which PostgreSQL counts.
const epochMicros = 946684800 * 1_000_000

// Kinds of messages of the plugin.
const (
	KindBegin    = 'B'
	KindCommit   = 'C'
	KindRelation = 'R'
	KindInsert   = 'I'
	KindUpdate   = 'U'
	KindDelete   = 'D'
	KindTruncate = 'T'
	KindType     = 'Y'
	KindOrigin   = 'O'
	KindMessage  = 'M'
)

// Begin begins a transaction.
type Begin struct {
	Commit postgres.LSN // where its commit begins
	Millis int64        // when it was committed, since 1970
	XID    uint32
}

// ParseBegin reads it.
func ParseBegin(b []byte) (m Begin, err error) {
	if len(b) != 21 || b[0] != KindBegin {
		return m, ErrMalformed
	}
	return Begin{postgres.LSN(binary.BigEndian.Uint64(b[1:])), millis(b[9:]), binary.BigEndian.Uint32(b[17:])}, nil
}

func millis(b []byte) int64 {
	return (int64(binary.BigEndian.Uint64(b)) + epochMicros) / 1000
}

// Commit ends a transaction.
type Commit struct {
	Commit postgres.LSN // where its commit begins
	End    postgres.LSN // and ends
}

// ParseCommit reads it.
func ParseCommit(b []byte) (m Commit, err error) {
	if len(b) != 26 || b[0] != KindCommit {
		return m, ErrMalformed
	}
	return Commit{postgres.LSN(binary.BigEndian.Uint64(b[2:])), postgres.LSN(binary.BigEndian.Uint64(b[10:]))}, nil
}

// Relation is a table as it is in the changes that follow.
type Relation struct {
	ID           uint32
	Schema, Name string
	Identity     byte // d: primary key, n: nothing, f: all columns, i: an index
	Columns      []Column
}

// Column is a column of a table.
type Column struct {
	Key      bool // it belongs to the replica identity
	Name     string
	Type     uint32 // OID
	Modifier int32
}

// Limits of PostgreSQL's own: columns of a row, and bytes of a name, of which
// those who build it can allow more.
const (
	maxColumns = 1664
	maxName    = 255
)

// ParseRelation reads it.
func ParseRelation(b []byte) (*Relation, error) {
	r := reader{rest: b}
	if r.byte() != KindRelation {
		return nil, ErrMalformed
	}
	m := &Relation{ID: r.uint32()}
	m.Schema, m.Name, m.Identity = r.text(), r.text(), r.byte()
	if m.Schema == "" {
		m.Schema = "pg_catalog"
	}
	n := int(r.uint16())
	r.bad = r.bad || n > maxColumns
	for range n {
		if r.bad {
			break
		}
		flags := r.byte()
		m.Columns = append(m.Columns, Column{flags&1 != 0, r.text(), r.uint32(), int32(r.uint32())})
	}
	return m, r.done()
}

// Value is a value of a row.
type Value struct {
	Kind byte // n: null, u: not sent since it has not changed, t: text
	Text []byte
}

// Kinds of values.
const (
	Null      = 'n'
	Unchanged = 'u'
	Text      = 't'
)

// Change is what has become of a row, or of all rows of some tables.
type Change struct {
	Kind      byte
	Relation  uint32
	Old, New  []Value
	OldWhole  bool     // Old has all columns, not only those of the key
	Relations []uint32 // that were truncated
}

// Parse reads a change into c, whose memory is used again.
func (c *Change) Parse(b []byte) error {
	r := reader{rest: b}
	*c = Change{Kind: r.byte(), Old: c.Old[:0], New: c.New[:0], Relations: c.Relations[:0]}
	if c.Kind == KindTruncate {
		n := int(r.uint32())
		r.byte()
		for i := 0; i < n && !r.bad; i++ {
			c.Relations = append(c.Relations, r.uint32())
		}
		return r.done()
	}
	c.Relation = r.uint32()
	tuple := r.byte()
	if tuple == 'K' || tuple == 'O' {
		if c.Kind == KindInsert {
			return ErrMalformed
		}
		c.OldWhole = tuple == 'O'
		c.Old = r.tuple(c.Old)
		if c.Kind == KindDelete {
			return r.done()
		}
		tuple = r.byte()
	}
	if tuple != 'N' || c.Kind == KindDelete {
		return ErrMalformed
	}
	c.New = r.tuple(c.New)
	return r.done()
}

// reader takes fields off bytes.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) text() string {
	n := bytes.IndexByte(r.rest, 0)
	if n < 0 || n > maxName {
		r.bad, r.rest = true, nil
		return ""
	}
	b := r.take(n + 1)
	return string(b[:n])
}

func (r *reader) tuple(values []Value) []Value {
	n := int(r.uint16())
	r.bad = r.bad || n > maxColumns
	for i := 0; i < n && !r.bad; i++ {
		v := Value{Kind: r.byte()}
		switch v.Kind {
		case Null, Unchanged:
		case Text:
			v.Text = r.take(int(r.uint32()))
		default:
			r.bad = true
		}
		values = append(values, v)
	}
	return values
}

func (r *reader) done() error {
	if r.bad || len(r.rest) > 0 {
		return fmt.Errorf("%w: its fields do not fit its length", ErrMalformed)
	}
	return nil
}
