// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

func noType(uint32) (userType, error) { return userType{}, nil }

// TestHostileRelations: a table is described in bounded time, and no server has
// more columns than PostgreSQL.
func TestHostileRelations(t *testing.T) {
	t.Parallel()
	m := &pgoutput.Relation{ID: 1, Schema: "s", Name: "t", Identity: 'd', Columns: make([]pgoutput.Column, 30_000)}
	for i := range m.Columns {
		m.Columns[i] = pgoutput.Column{Name: "?", Type: 25}
	}
	rsstest.Bounded(t, 256<<20, 10*time.Second, func() {
		if _, err := newRelation(m, noType); err != nil {
			t.Error(err)
		}
	})
	raw := append(binary.BigEndian.AppendUint32([]byte{pgoutput.KindRelation}, 1), "s\x00t\x00d"...)
	raw = append(binary.BigEndian.AppendUint16(raw, 60_000), bytes.Repeat([]byte("\x00?\x00\x00\x00\x00\x19\xff\xff\xff\xff"), 60_000)...)
	if _, err := pgoutput.ParseRelation(raw); err == nil {
		t.Error("a table of 60,000 columns is taken")
	}
	raw = append(binary.BigEndian.AppendUint32([]byte{pgoutput.KindRelation}, 1), "s\x00"+strings.Repeat("t", 100_000)+"\x00d\x00\x00"...)
	if _, err := pgoutput.ParseRelation(raw); err == nil {
		t.Error("a name of 100,000 bytes is taken")
	}
}

// TestHostileTables: what describes tables is bounded, however many a server
// tells of.
func TestHostileTables(t *testing.T) {
	t.Parallel()
	s := settings.Default()
	made, err := Make(s, source.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := made.(*Source).worker
	m := func(id uint32) *pgoutput.Relation {
		return &pgoutput.Relation{ID: id, Schema: "s", Name: fmt.Sprint("t", id), Identity: 'd', Columns: make([]pgoutput.Column, 100)}
	}
	for range 1000 { // the same one again and again counts once
		changed := m(1)
		changed.Columns[0].Name = "x"
		if _, err := w.relation(t.Context(), m(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.relation(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
	}
	for id := range uint32(10_000) {
		if _, err = w.relation(t.Context(), m(id)); err != nil {
			break
		}
	}
	if !source.IsStop(err) || len(w.relations) < 50 {
		t.Errorf("after %d tables: %v", len(w.relations), err)
	}
}

// TestHostileCopies: rows without an end, and with columns without an end.
func TestHostileCopies(t *testing.T) {
	t.Parallel()
	s := settings.Default()
	made, err := Make(s, source.Options{Memory: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := made.(*Source).worker
	r, err := newRelation(&pgoutput.Relation{ID: 1, Schema: "s", Name: "t", Identity: 'd', Columns: []pgoutput.Column{{Name: "a", Type: 25}}}, noType)
	if err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{"without an end": strings.Repeat("x", 1<<20), "of tabs": strings.Repeat("\t", 1<<20) + "\n"} {
		rsstest.Bounded(t, 64<<20, 10*time.Second, func() {
			c := &copying{worker: w, ctx: t.Context(), relation: r, tx: &transaction{}}
			var err error
			for range 64 {
				if _, err = c.Write([]byte(line)); err != nil {
					break
				}
			}
			if err == nil {
				t.Errorf("a row %s is taken", name)
			}
		})
	}
}

// TestHostileValues: what a server calls a number is one, or a text.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	var c converter
	rsstest.Bounded(t, 16<<20, time.Second, func() {
		digits := []byte(strings.Repeat("7", 3<<20))
		if _, ok := c.appendAvro(nil, columnType{kind: kindDecimal, precision: 38, scale: 2}, digits); ok {
			t.Error("a decimal of 3,000,000 digits is taken")
		}
	})
	for text, want := range map[string]string{"1": "1", "-17": "-17", "0": "0", "1.5": "1.5", "1e+20": "1e+20", "-2.5E-7": "-2.5E-7", "NaN": `"NaN"`, "": `""`, "-": `"-"`, "1.": `"1."`, "1e": `"1e"`, "01": `"01"`,
		"1}\n{\"forged\":2": `"1}\n{\"forged\":2"`, "1-2": `"1-2"`, "1,\"a\":1": `"1,\"a\":1"`} {
		if got := string(appendJSONValue(nil, columnType{kind: kindDouble}, []byte(text))); got != want {
			t.Errorf("%q becomes %s, and should become %s", text, got, want)
		}
	}
	if got := string(appendJSONValue(nil, columnType{kind: kindLong}, []byte("1}\n{"))); got != `"1}\n{"` {
		t.Errorf("what is not a number becomes %s", got)
	}
}

// TestHostileParameters: a server tells of some parameters, and not of any
// number.
func TestHostileParameters(t *testing.T) {
	t.Parallel()
	status := func(n int) string {
		return "S" + string(binary.BigEndian.AppendUint32(nil, uint32(n+4))) + strings.Repeat("x", n)
	}
	other := "D" + string(binary.BigEndian.AppendUint32(nil, 1<<20+4)) + strings.Repeat("S", 1<<20)
	for _, piece := range []int{1, 4, 1 << 20} {
		read := func(text string) error {
			g := &guard{Reader: strings.NewReader("Z\x00\x00\x00\x05I" + text)} // it is ready
			_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{g}, make([]byte, piece))
			return err
		}
		if err := read(strings.Repeat(status(100), 100) + other + status(5)); err != nil {
			t.Errorf("%d at once: %v", piece, err)
		}
		if err := read(strings.Repeat(status(1000)+other[:1<<20+5], 1) + strings.Repeat(status(1000), 300)); err == nil {
			t.Errorf("%d at once: 300,000 bytes of parameters are read", piece)
		}
	}
}

// TestHostileLogin: how to log in is a list of texts, and anything a server says
// before that is short.
func TestHostileLogin(t *testing.T) {
	t.Parallel()
	message := func(kind string, length int) string {
		return kind + string(binary.BigEndian.AppendUint32(nil, uint32(length+4))) + strings.Repeat("x", length)
	}
	const short, long = 30_000, 70_000
	ready := message("Z", 1)
	for text, taken := range map[string]bool{
		message("R", short) + message("R", 4) + ready + message("D", long) + message("E", long): true,
		message("E", short):                  true,
		message("R", long):                   false,
		message("R", 4) + message("E", long): false,
		message("R", 4) + message("N", long): false,
		ready + message("R", short):          true,
		ready + message("R", long):           false,
		ready + message("v", long):           false,
	} {
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{&guard{Reader: strings.NewReader(text)}}); (err == nil) != taken {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// TestHostileTypes: a type may be said to be an array of itself, or of others
// without end.
func TestHostileTypes(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(oid uint32) userType{
		"an array of itself":         func(oid uint32) userType { return userType{element: oid} },
		"an array of others":         func(oid uint32) userType { return userType{element: oid + 1} },
		"a domain of itself":         func(oid uint32) userType { return userType{domainOf: oid} },
		"a domain of arrays of that": func(oid uint32) userType { return userType{domainOf: oid % 2 * oid, element: oid + 1} },
	} {
		asked := 0
		typ, err := typeOf(firstUserOID, noModifier, func(oid uint32) (userType, error) {
			if asked++; asked > 1000 {
				return userType{}, errors.New("asked again and again")
			}
			return of(oid), nil
		})
		if err != nil || typ.kind != kindText {
			t.Errorf("%s: %v, %v", name, typ, err)
		}
	}
}

// TestHostileTruncation: a table that is truncated many times at once takes no
// more memory than a round may, and a round of it is handed over in between.
func TestHostileTruncation(t *testing.T) {
	t.Parallel()
	s := settings.Default()
	made, err := Make(s, source.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	src := made.(*Source)
	w := src.worker
	if _, err := w.relation(t.Context(), &pgoutput.Relation{ID: 7, Schema: "s", Name: "t", Columns: []pgoutput.Column{{Name: "a", Type: 25}}}); err != nil {
		t.Fatal(err)
	}
	w.copies, w.tx = false, &transaction{}
	w.change = pgoutput.Change{Kind: pgoutput.KindTruncate, Relations: slices.Repeat([]uint32{7}, 100_000)}
	ended := make(chan error)
	go func() { ended <- w.take(t.Context()) }()
	for records := 0; ; {
		select {
		case c := <-src.chunks:
			if records += len(c.Records); len(c.Records) > 4*roundRecords {
				t.Fatalf("a chunk has %d records", len(c.Records))
			}
			c.Release()
			continue
		case err = <-ended:
		}
		if err != nil || records+w.round.records < 90_000 {
			t.Errorf("%d records, %v", records, err)
		}
		return
	}
}
