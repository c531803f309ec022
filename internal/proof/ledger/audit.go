// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// Report is what was found.
type Report struct {
	Commits      int
	RolledBack   int
	Transactions int64 // of which the files tell
	Rows         int64 // records in the files
	Lost         int64 // changes that are in no commit, and rows that differ
	Duplicated   int64
	Torn         int64 // transactions of which a commit holds a part
	Problems     []string
}

// OK says whether nothing is wrong.
func (r *Report) OK() bool {
	return r.Lost == 0 && r.Duplicated == 0 && r.Torn == 0 && len(r.Problems) == 0
}

func (r *Report) String() string {
	text := fmt.Sprintf("commits %d, rolled back %d, transactions %d, rows %d, lost %d, duplicated %d, torn %d", r.Commits, r.RolledBack, r.Transactions, r.Rows, r.Lost, r.Duplicated, r.Torn)
	for i, problem := range r.Problems {
		if i == 20 {
			return text + fmt.Sprintf("\n… and %d more", len(r.Problems)-i)
		}
		text += "\n" + problem
	}
	return text
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// line is a record in a file of the format jsonl.
type line struct {
	Table       string          `json:"table"`
	Ordinal     int64           `json:"ordinal"`
	LSN         string          `json:"lsn"`
	Key         string          `json:"key"`
	Op          string          `json:"op"`
	Transaction uint64          `json:"transaction"`
	Unchanged   []string        `json:"unchanged"`
	Before      json.RawMessage `json:"before"`
	Value       json.RawMessage `json:"value"`
}

type row map[string]json.RawMessage

// rebuilt are the tables as the files tell them.
type rebuilt struct {
	*Report
	next   map[string]int64          // ordinals
	rows   map[string]map[string]row // by table and key
	seen   map[string]bool           // files
	copied positions.LSN             // of the last copy
}

// Audit rebuilds the tables and compares them with those in the database, while
// nobody writes. The error is about looking.
func Audit(ctx context.Context, branch *pachyderm.Branch, conn *pgx.Conn) (*Report, error) {
	r := &rebuilt{Report: &Report{}, next: map[string]int64{}, rows: map[string]map[string]row{}, seen: map[string]bool{}}
	for _, table := range Tables {
		r.rows["public."+table] = map[string]row{}
	}
	commits, err := history(ctx, branch)
	if err != nil {
		return nil, err
	}
	for _, c := range commits { // until the last copy, transactions may be in copies in part
		if d, ours, err := spoutcommit.ParseDescription(c.Description); err == nil && ours && d.Position != nil && c.Error == "" {
			p, err := positions.Parse(d.Position)
			if err != nil {
				return nil, err
			}
			for _, relation := range p.Relations {
				r.copied = max(r.copied, relation.Copied)
			}
		}
	}
	for _, c := range commits {
		if c.Error != "" {
			r.RolledBack++
			continue
		}
		if err := r.commit(ctx, branch, c); err != nil {
			return nil, fmt.Errorf("commit %s: %w", c.ID, err)
		}
	}
	return r.Report, r.compare(ctx, conn)
}

// history are the commits of a branch, the oldest first, all of them FINISHED.
func history(ctx context.Context, branch *pachyderm.Branch) (commits []*pachyderm.Commit, err error) {
	head, err := branch.Head(ctx)
	if err != nil || head == nil {
		return nil, err
	}
	if !head.Open() {
		if _, err := branch.WaitFinished(ctx, head.ID); err != nil {
			return nil, err
		}
	}
	err = branch.Ancestry(ctx, head.ID, func(c *pachyderm.Commit) bool {
		if !c.Open() {
			commits = append(commits, c)
		}
		return true
	})
	slices.Reverse(commits)
	return commits, err
}

// commit takes what a commit has added.
func (r *rebuilt) commit(ctx context.Context, branch *pachyderm.Branch, c *pachyderm.Commit) error {
	d, ours, err := spoutcommit.ParseDescription(c.Description)
	if err != nil || !ours || d.Position == nil {
		return err
	}
	r.Commits++
	files, err := branch.Files(ctx, c.ID)
	if err != nil {
		return err
	}
	var lines []line
	for _, file := range files {
		if r.seen[file.Path] {
			continue
		}
		r.seen[file.Path] = true
		content, err := branch.ReadFile(ctx, c.ID, file.Path)
		if err != nil {
			return err
		}
		for text := range bytes.Lines(content) {
			var l line
			if err := json.Unmarshal(text, &l); err != nil {
				return fmt.Errorf("%s: %w", file.Path, err)
			}
			lines = append(lines, l)
		}
	}
	if int64(len(lines)) != d.Written {
		r.problem("commit %s says that it has %d records, and has %d", c.ID, d.Written, len(lines))
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Ordinal, b.Ordinal)) })
	r.whole(c, lines)
	for i := range lines {
		if err := r.take(&lines[i]); err != nil {
			return err
		}
	}
	p, err := positions.Parse(d.Position)
	if err != nil {
		return err
	}
	for table, next := range r.next {
		if at := p.Tables[table]; at == nil || at.Next != next {
			r.problem("commit %s has records of %s before %d, and its position says %+v", c.ID, table, next, at)
		}
	}
	return nil
}

// whole checks that a commit has all of each transaction.
func (r *rebuilt) whole(c *pachyderm.Commit, lines []line) {
	type parts struct{ rows, journaled int64 }
	transactions := map[uint64]*parts{}
	for _, l := range lines {
		if lsn, err := positions.ParseLSN(l.LSN); l.Transaction == 0 || err == nil && lsn < r.copied {
			continue
		}
		t := transactions[l.Transaction]
		if t == nil {
			t = &parts{journaled: -1}
			transactions[l.Transaction] = t
		}
		if l.Table != "public.journal" {
			t.rows++
			continue
		}
		var journal struct{ Changes int64 }
		if json.Unmarshal(l.Value, &journal) == nil {
			t.journaled = journal.Changes
		}
	}
	for xid, t := range transactions {
		if t.rows != t.journaled {
			r.Torn++
			r.problem("commit %s has %d rows of transaction %d, which has changed %d", c.ID, t.rows, xid, t.journaled)
		}
	}
}

// take does a change.
func (r *rebuilt) take(l *line) error {
	r.Rows++
	switch next := r.next[l.Table]; {
	case l.Ordinal < next:
		r.Duplicated++
		return nil
	case l.Ordinal > next:
		r.Lost += l.Ordinal - next
	}
	r.next[l.Table] = l.Ordinal + 1
	table := r.rows[l.Table]
	if table == nil {
		return fmt.Errorf("there is no table %s", l.Table)
	}
	key := l.Key
	if len(l.Before) > 0 && string(l.Before) != "null" {
		key = string(l.Before)
	}
	was, there := table[key]
	if there == (l.Op == "read" || l.Op == "insert") {
		r.problem("%s of %s in %s: there is such a row: %v", l.Op, l.Key, l.Table, there)
	}
	delete(table, key)
	if l.Op == "delete" {
		return nil
	}
	is := row{}
	if err := json.Unmarshal(l.Value, &is); err != nil {
		return err
	}
	for _, column := range l.Unchanged {
		is[column] = was[column]
	}
	table[l.Key] = is
	return nil
}

// compare compares the tables with those in the database.
func (r *rebuilt) compare(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "SET timezone = 'UTC'"); err != nil {
		return err
	}
	for _, table := range Tables {
		rows, err := conn.Query(ctx, "SELECT to_json(t)::text FROM "+table+" t")
		if err != nil {
			return err
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		have := map[string]int{}
		for _, values := range r.rows["public."+table] {
			have[canonical(values)]++
		}
		for _, text := range texts {
			var values row
			if err := json.Unmarshal([]byte(text), &values); err != nil {
				return err
			}
			one := canonical(values)
			if have[one]--; have[one] < 0 {
				r.Lost++
				r.problem("the files lack the row of %s %.200s", table, one)
			}
			if have[one] == 0 {
				delete(have, one)
			}
		}
		for one, n := range have {
			if n > 0 {
				r.Lost++ // the change that would have removed it
				r.problem("the files have the row of %s %.200s, and the table has not", table, one)
			}
		}
		if table == "journal" {
			r.Transactions = int64(len(r.rows["public."+table]))
		}
	}
	return nil
}

// canonical is a row in one way to write it: decimals are strings in files, and
// times end with another sign.
func canonical(values row) string {
	out := ""
	for _, name := range slices.Sorted(maps.Keys(values)) {
		var v any
		d := json.NewDecoder(bytes.NewReader(values[name]))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return err.Error()
		}
		switch text := fmt.Sprint(v); {
		case v != nil && reflect.TypeOf(v).Kind() == reflect.String && name == "changed":
			out += name + "=" + string(bytes.TrimSuffix(bytes.TrimSuffix([]byte(text), []byte("+00:00")), []byte("Z"))) + " "
		default:
			out += name + "=" + text + " "
		}
	}
	return out
}
