// SPDX-License-Identifier: Apache-2.0

package pgoutput_test

import (
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

func unhex(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return b
}

// What a server sends is read, and each message that is cut off or goes on is
// refused.
func TestMessages(t *testing.T) {
	t.Parallel()
	begin := unhex("42" + "00000000019af5c8" + "0002c5f3b1a3e7c0" + "000002e3")
	commit := unhex("43" + "00" + "00000000019af5c8" + "00000000019af5f8" + "0002c5f3b1a3e7c0")
	relation := unhex("52" + "00004001" + "7075626c696300" + "7400" + "64" + "0002" + "01" + "696400" + "00000017" + "ffffffff" + "00" + "7600" + "00000019" + "ffffffff")
	insert := unhex("49" + "00004001" + "4e" + "0002" + "74" + "00000001" + "31" + "6e")
	update := unhex("55" + "00004001" + "4b" + "0002" + "7400000001" + "31" + "6e" + "4e" + "0002" + "7400000001" + "32" + "75")
	remove := unhex("44" + "00004001" + "4f" + "0002" + "7400000001" + "31" + "6e")
	truncate := unhex("54" + "00000002" + "00" + "00004001" + "00004002")
	keepalive := unhex("6b" + "00000000019af5f8" + "0002c5f3b1a3e7c0" + "01")

	if m, err := pgoutput.ParseBegin(begin); err != nil || m.Commit.String() != "0/19AF5C8" || m.XID != 739 {
		t.Error(m, err)
	}
	if m, err := pgoutput.ParseCommit(commit); err != nil || m.End.String() != "0/19AF5F8" {
		t.Error(m, err)
	}
	want := &pgoutput.Relation{ID: 16385, Schema: "public", Name: "t", Identity: 'd', Columns: []pgoutput.Column{{Key: true, Name: "id", Type: 23, Modifier: -1}, {Name: "v", Type: 25, Modifier: -1}}}
	if m, err := pgoutput.ParseRelation(relation); err != nil || !reflect.DeepEqual(m, want) {
		t.Error(m, err)
	}
	var c pgoutput.Change
	if err := c.Parse(insert); err != nil || len(c.New) != 2 || string(c.New[0].Text) != "1" || c.New[1].Kind != pgoutput.Null || len(c.Old) > 0 {
		t.Error(c, err)
	}
	if err := c.Parse(update); err != nil || string(c.Old[0].Text) != "1" || string(c.New[0].Text) != "2" || c.New[1].Kind != pgoutput.Unchanged || c.OldWhole {
		t.Error(c, err)
	}
	if err := c.Parse(remove); err != nil || len(c.Old) != 2 || !c.OldWhole || len(c.New) > 0 {
		t.Error(c, err)
	}
	if err := c.Parse(truncate); err != nil || !reflect.DeepEqual(c.Relations, []uint32{16385, 16386}) {
		t.Error(c, err)
	}
	if m, err := pgoutput.ParseKeepalive(keepalive); err != nil || !m.Reply || m.End.String() != "0/19AF5F8" {
		t.Error(m, err)
	}
	parsers := []func([]byte) error{
		func(b []byte) error { _, err := pgoutput.ParseBegin(b); return err },
		func(b []byte) error { _, err := pgoutput.ParseCommit(b); return err },
		func(b []byte) error { _, err := pgoutput.ParseRelation(b); return err },
		c.Parse, c.Parse, c.Parse, c.Parse,
		func(b []byte) error { _, err := pgoutput.ParseKeepalive(b); return err },
	}
	for i, m := range [][]byte{begin, commit, relation, insert, update, remove, truncate, keepalive} {
		for n := range m {
			if err := parsers[i](m[:n]); !errors.Is(err, pgoutput.ErrMalformed) {
				t.Errorf("message %d, cut off at %d: %v", i, n, err)
			}
		}
		if err := parsers[i](append(m[:len(m):len(m)], 0)); !errors.Is(err, pgoutput.ErrMalformed) {
			t.Errorf("message %d that goes on: %v", i, err)
		}
	}
}

// The answer tells all three places: a zero would stand for another one.
func TestStatus(t *testing.T) {
	t.Parallel()
	got := hex.EncodeToString(pgoutput.AppendStatus(nil, 0x16B3748, 946684800*1_000_000+1))
	const lsn = "00000000016b3748"
	if want := "72" + lsn + lsn + lsn + "0000000000000001" + "00"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzMessages reads what a server that is none may send.
func FuzzMessages(f *testing.F) {
	f.Add(unhex("49" + "00004001" + "4e" + "0002" + "74" + "00000001" + "31" + "6e"))
	f.Add(unhex("52" + "00004001" + "7075626c696300" + "7400" + "64" + "0001" + "01" + "696400" + "00000017" + "ffffffff"))
	f.Add(unhex("54" + "7fffffff" + "00"))
	f.Add(unhex("49" + "00004001" + "4e" + "ffff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rsstest.Bounded(t, 4<<20+64*int64(len(data)), 5*time.Second, func() {
			var c pgoutput.Change
			_ = c.Parse(data)
			_, _ = pgoutput.ParseRelation(data)
			_, _ = pgoutput.ParseBegin(data)
			_, _ = pgoutput.ParseCommit(data)
			_, _ = pgoutput.ParseData(data)
			_, _ = pgoutput.ParseKeepalive(data)
		})
	})
}
