// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// database is a server of PostgreSQL that answers as it should, but for what it
// is told.
type database struct {
	snapshot bool
	format   string                                 // of files; "" for jsonl
	mask     string                                 // of records
	login    func(conn net.Conn)                    // in place of letting the user in
	instead  map[string]func(conn net.Conn)         // of an answer, by a part of the question
	types    func(oid uint32) (domain, elem uint32) // that somebody has made
	stream   func(conn net.Conn)                    // after START_REPLICATION
	records  int64                                  // that must be ingested
}

// postgresMessage is a message of the protocol.
func postgresMessage(kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

func encoded(m interface{ Encode([]byte) ([]byte, error) }) []byte {
	out, err := m.Encode(nil)
	if err != nil {
		panic(err)
	}
	return out
}

func (d *database) serve(conn net.Conn) {
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	if d.login != nil {
		d.login(conn)
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	_ = b.Flush() // the next call tells
	for {
		m, err := b.Receive()
		if err != nil {
			return
		}
		q, ok := m.(*pgproto3.Query)
		if !ok {
			continue
		}
		for part, do := range d.instead {
			if strings.Contains(q.String, part) {
				do(conn)
				_, _ = io.Copy(io.Discard, conn) // until the runner goes
				return
			}
		}
		if d.answer(b, conn, q.String) {
			return
		}
	}
}

// answer answers a question; over says that nothing more is said.
func (d *database) answer(b *pgproto3.Backend, conn net.Conn, sql string) (over bool) {
	row := func(values ...string) {
		var description pgproto3.RowDescription
		var r pgproto3.DataRow
		for _, v := range values {
			description.Fields = append(description.Fields, pgproto3.FieldDescription{Name: []byte("a"), DataTypeOID: 25})
			r.Values = append(r.Values, []byte(v))
		}
		b.Send(&description)
		b.Send(&r)
	}
	switch {
	case sql == "IDENTIFY_SYSTEM":
		row("7123", "1", "0/1000", "db")
	case strings.Contains(sql, "server_version_num"):
		row("16384", "160000", "logical", "UTF8")
	case strings.Contains(sql, "FROM pg_catalog.pg_replication_slots"):
		row("pgoutput", "db", "", "0/1000", "reserved", "0")
	case strings.Contains(sql, "CREATE_REPLICATION_SLOT"):
		row("x_copy", "0/1000", "snap", "pgoutput")
	case strings.Contains(sql, "pg_publication_tables"):
		if d.snapshot {
			row("20000", "public", "t", "r", "d", "", "")
		}
	case strings.Contains(sql, "FROM pg_catalog.pg_publication"):
		row("1")
	case strings.Contains(sql, "pg_attribute"):
		row("id", "25", "-1", "true", "d", "1700000000000")
	case strings.Contains(sql, "FROM pg_catalog.pg_type") && d.types != nil:
		var oid uint32
		_, _ = fmt.Sscanf(sql[strings.LastIndex(sql, "= ")+2:], "%d", &oid) // 0 is one, too
		domain, elem := d.types(oid)
		row(fmt.Sprint(domain), "-1", fmt.Sprint(elem))
	case strings.HasPrefix(sql, "START_REPLICATION"):
		b.Send(&pgproto3.CopyBothResponse{})
		_ = b.Flush() // as below
		if d.stream != nil {
			d.stream(conn)
		}
		_, _ = io.Copy(io.Discard, conn) // until the runner goes
		return true
	}
	b.Send(&pgproto3.CommandComplete{CommandTag: []byte("OK")})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return b.Flush() != nil
}

func walMessage(message []byte) []byte {
	return postgresMessage('d', append(append([]byte{'w'}, make([]byte, 24)...), message...))
}

// relationMessage is a table with so many columns of a type.
func relationMessage(id uint32, columns int, typ uint32, name func(i int) string) []byte {
	m := binary.BigEndian.AppendUint32([]byte{'R'}, id)
	m = append(m, fmt.Sprintf("public\x00t%d\x00d", id)...)
	m = binary.BigEndian.AppendUint16(m, uint16(columns))
	for i := range columns {
		m = append(append(m, 0), name(i)...)
		m = append(binary.BigEndian.AppendUint32(append(m, 0), typ), 0xff, 0xff, 0xff, 0xff)
	}
	return walMessage(m)
}

var beginMessage = walMessage(append(append([]byte{'B'}, binary.BigEndian.AppendUint64(nil, 0x2000)...), make([]byte, 12)...))

func commitMessage(end uint64) []byte {
	m := append([]byte{'C', 0}, binary.BigEndian.AppendUint64(nil, 0x2000)...)
	return walMessage(append(binary.BigEndian.AppendUint64(m, end), make([]byte, 8)...))
}

// insertMessage is a row of nulls.
func insertMessage(id uint32, columns int) []byte {
	m := append(binary.BigEndian.AppendUint32([]byte{'I'}, id), 'N')
	m = binary.BigEndian.AppendUint16(m, uint16(columns))
	return walMessage(append(m, bytes.Repeat([]byte{'n'}, columns)...))
}

func truncateMessage(id uint32, times int) []byte {
	m := append(binary.BigEndian.AppendUint32([]byte{'T'}, uint32(times)), 0)
	for range times {
		m = binary.BigEndian.AppendUint32(m, id)
	}
	return walMessage(m)
}

func numbered(prefix string) func(int) string {
	return func(i int) string { return fmt.Sprint(prefix, i) }
}

// hostileDatabases are by what they do; the largest message has so many bytes.
func hostileDatabases(largest int) map[string]*database {
	rowOf := func(columns int) []byte {
		return encoded(&pgproto3.DataRow{Values: make([][]byte, columns)})
	}
	short := func(columns int) func(net.Conn) {
		return func(conn net.Conn) {
			fields := make([]pgproto3.FieldDescription, columns)
			pour(conn, encoded(&pgproto3.RowDescription{Fields: fields}), 1)
			pour(conn, rowOf(columns), 1)
			pour(conn, encoded(&pgproto3.CommandComplete{CommandTag: []byte("OK")}), 1)
			pour(conn, encoded(&pgproto3.ReadyForQuery{TxStatus: 'I'}), 1)
		}
	}
	insertOf := func(relation []byte, id uint32, columns int, end uint64) []byte {
		return bytes.Join([][]byte{beginMessage, relation, insertMessage(id, columns), commitMessage(end)}, nil)
	}
	one := insertOf(relationMessage(7, 3, 25, numbered("c")), 7, 3, 0x2100)
	altered := func(conn net.Conn) {
		for n := uint64(0); ; n++ { // each time with columns of other names, but for one
			name := func(i int) string { return fmt.Sprintf("c%d_%d", n*uint64(min(i, 1)), i) }
			if _, err := conn.Write(insertOf(relationMessage(1, 1500, 25, name), 1, 1500, 0x2100+n)); err != nil {
				return
			}
		}
	}
	return map[string]*database{
		"nothing bad": {records: 1000, stream: func(conn net.Conn) { pour(conn, one, 1000) }},
		"tables that are altered all the time, parquet": {format: "parquet", records: 5, stream: altered},
		"tables that are altered all the time, avro":    {format: "avro", records: 20, stream: altered},
		"tables that are altered all the time, masked":  {format: "parquet", mask: "c0_0=hash", records: 20, stream: altered},
		"a table that is truncated again and again at once": {records: 1000, stream: func(conn net.Conn) {
			one := bytes.Join([][]byte{beginMessage, relationMessage(7, 3, 25, numbered("c")), truncateMessage(7, largest/4-100), commitMessage(0x2100)}, nil)
			pour(conn, one, 5)
		}},
		"a type that is an array of itself": {records: 1, types: func(oid uint32) (uint32, uint32) { return 0, oid },
			stream: func(conn net.Conn) {
				pour(conn, insertOf(relationMessage(7, 1, 20000, numbered("c")), 7, 1, 0x2100), 1)
			}},
		"a type that is an array of others without end": {records: 1, types: func(oid uint32) (uint32, uint32) { return 0, max(oid+1, 20000) },
			stream: func(conn net.Conn) {
				pour(conn, insertOf(relationMessage(7, 1, 20000, numbered("c")), 7, 1, 0x2100), 1)
			}},
		"tables of too few columns":    {snapshot: true, instead: map[string]func(net.Conn){"pg_publication_tables": short(1)}},
		"a table's columns are empty":  {snapshot: true, instead: map[string]func(net.Conn){"pg_attribute": short(6)}},
		"a table's columns are absent": {snapshot: true, instead: map[string]func(net.Conn){"pg_attribute": short(1)}},
		"rows without columns": {snapshot: true, instead: map[string]func(net.Conn){"pg_publication_tables": func(conn net.Conn) {
			pour(conn, encoded(&pgproto3.RowDescription{}), 1)
			pour(conn, bytes.Repeat(rowOf(0), 100_000), 1000)
		}}},
		"results without end": {snapshot: true, instead: map[string]func(net.Conn){"pg_publication_tables": func(conn net.Conn) {
			pour(conn, bytes.Repeat(append(short1(), encoded(&pgproto3.CommandComplete{CommandTag: []byte("OK")})...), 10_000), 1000)
		}}},
		"mechanisms without end": {login: func(conn net.Conn) {
			body := append(binary.BigEndian.AppendUint32(nil, 10), bytes.Repeat([]byte("x\x00"), largest/2-10)...)
			pour(conn, postgresMessage('R', append(body, 0)), 1)
			_, _ = io.Copy(io.Discard, conn)
		}},
		"a password that is repeated": {login: func(conn net.Conn) {
			pour(conn, encoded(&pgproto3.AuthenticationCleartextPassword{}), 1)
			given := make([]byte, 100)
			n, err := conn.Read(given)
			if err != nil || n < 6 {
				return
			}
			pour(conn, encoded(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28000", Message: "no: " + string(given[5:n-1])}), 1)
		}},
		"errors without end": {login: func(conn net.Conn) {
			pour(conn, encoded(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "XX000", Message: strings.Repeat("x", largest-100)}), 1)
		}},
		"errors of questions without end": {instead: map[string]func(net.Conn){"pg_settings": func(conn net.Conn) {
			pour(conn, encoded(&pgproto3.ErrorResponse{Severity: strings.Repeat("x", largest/2), Code: strings.Repeat("x", largest/2-100), Message: "no"}), 1)
		}}},
		"columns of an answer": {snapshot: true, instead: map[string]func(net.Conn){"pg_publication_tables": func(conn net.Conn) {
			pour(conn, encoded(&pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, 65535)}), 1)
			pour(conn, rowOf(65535), 1000)
		}}},
		"relations without end": {stream: func(conn net.Conn) {
			for id := range uint32(1_000_000) {
				if _, err := conn.Write(relationMessage(id, 1000, 25, numbered("c"))); err != nil {
					return
				}
			}
		}},
		"many tables in a transaction": {stream: func(conn net.Conn) {
			pour(conn, beginMessage, 1)
			for id := range uint32(300_000) {
				pour(conn, append(relationMessage(id, 1, 25, numbered("c")), insertMessage(id, 1)...), 1)
			}
			pour(conn, commitMessage(0x3000), 1)
		}},
		"wide rows of nulls, parquet": {format: "parquet", records: 100, stream: func(conn net.Conn) {
			pour(conn, insertOf(relationMessage(1, 1600, 25, func(i int) string { return fmt.Sprintf("column_%040d", i) }), 1, 1600, 0x3000), 100_000)
		}},
		"a copy without a line": {snapshot: true, instead: map[string]func(net.Conn){"COPY": func(conn net.Conn) {
			pour(conn, encoded(&pgproto3.CopyOutResponse{ColumnFormatCodes: []uint16{0}}), 1)
			pour(conn, postgresMessage('d', bytes.Repeat([]byte("x"), 1<<20)), 2000)
		}}},
		"copied rows that are large": {snapshot: true, records: 10, instead: map[string]func(net.Conn){"COPY": func(conn net.Conn) {
			pour(conn, encoded(&pgproto3.CopyOutResponse{ColumnFormatCodes: []uint16{0}}), 1)
			pour(conn, postgresMessage('d', append(bytes.Repeat([]byte(`\\`), largest/2-100), '\n')), 40)
			pour(conn, encoded(&pgproto3.CopyDone{}), 1)
			pour(conn, encoded(&pgproto3.CommandComplete{CommandTag: []byte("COPY 40")}), 1)
			pour(conn, encoded(&pgproto3.ReadyForQuery{TxStatus: 'T'}), 1)
		}}},
	}
}

// short1 is a description of one column, and a row of it.
func short1() []byte {
	return append(encoded(&pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, 1)}), encoded(&pgproto3.DataRow{Values: make([][]byte, 1)})...)
}

// TestHostileDatabases: whatever a server of PostgreSQL says, or somebody does
// who may alter its tables.
func TestHostileDatabases(t *testing.T) {
	alone(t)
	for _, budget := range []settings.Bytes{64 << 20, 256 << 20} {
		for name, d := range hostileDatabases(int(budget) / 20) {
			t.Run(fmt.Sprintf("%s, %s", name, budget), func(t *testing.T) {
				host, port, err := net.SplitHostPort(served(t, d.serve))
				if err != nil {
					t.Fatal(err)
				}
				s := settings.Default()
				s.Source, s.File.Format, s.MemoryBudget = "postgres", "jsonl", budget
				if d.format != "" {
					s.File.Format = d.format
				}
				if d.mask != "" {
					s.Record.Mask = []string{d.mask}
				}
				s.Postgres.Host, s.Postgres.Database, s.Postgres.Publication, s.Postgres.Slot = host, "db", "pub", "slot"
				_, _ = fmt.Sscan(port, &s.Postgres.Port)
				if !d.snapshot {
					s.Postgres.Snapshot = "never"
				}
				all, p := against(t, s, within(d.records), enough(d.records), "SPOUT_POSTGRES_USERNAME=u", "SPOUT_POSTGRES_PASSWORD="+secretText)
				if all.Written < d.records {
					t.Errorf("there are only %d records", all.Written)
				}
				p.discreet(t)
			})
		}
	}
}

// secretText is what no log may have.
const secretText = "tell-nobody-4711"

// discreet asserts that the log has no secret, and is no longer than what
// happened takes.
func (p *process) discreet(t *testing.T) {
	t.Helper()
	text := p.log.String()
	if strings.Contains(text, secretText) {
		t.Error("the log has the secret")
	}
	if len(text) > 128<<10 {
		t.Errorf("the log has %d bytes", len(text))
	}
	if strings.Contains(text, "panic: ") || strings.Contains(text, "fatal error: ") {
		t.Errorf("the runner panics")
	}
	t.Log(p.tail())
}

// tail is the end of the log.
func (p *process) tail() string {
	lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
	var out strings.Builder
	for _, line := range lines[max(0, len(lines)-2):] {
		fmt.Fprintf(&out, "%.400s\n", line)
	}
	return out.String()
}
