// SPDX-License-Identifier: Apache-2.0

// Package audit checks what a runner has written: it reads every commit of an
// output branch, not only the head, and holds it against the protocol's
// invariants and against what the source is known to hold.
//
//	I1  a commit's data are exactly the records between its parent's position and its own, per stream and in order
//	I2  positions grow along the ancestry
//	I4  at most one commit is open, and writers' epochs grow along the ancestry
//	I5  commits that were rolled back add neither data nor position
//	I6  read = written + filtered + dead-lettered + redelivered, in every commit
package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Truth is what the source is known to hold.
type Truth interface {
	// Records returns the values of a stream's records with from <= offset <
	// to, in order.
	Records(stream source.Stream, from, to int64) []Entry
	// Ends returns every stream's end: what should be in the branch when all
	// is in.
	Ends() map[source.Stream]int64
	// Starts returns where reading began.
	Starts() map[source.Stream]int64
	// Offsets reads a position of the source.
	Offsets(position json.RawMessage) (map[source.Stream]int64, error)
}

// Squashes is a [Truth] that knows of commits that were squashed: their data
// are in the next commit that counts, beside its own.
type Squashes interface {
	// Squashed returns the descriptions of the commits that were squashed
	// into a commit.
	Squashed(commit string) []spoutcommit.Description
}

// Moves is a [Truth] that may be about a commit with which a spout goes on with
// another part of the streams. It has no records, and streams begin, end and go
// on elsewhere with it.
type Moves interface{ Moved() bool }

// Entry is a record as a file or the source has it.
type Entry struct {
	Stream source.Stream
	Offset int64 // -1 where the file's format does not show it
	Value  string
	Fate   Fate
}

// Fate is what becomes of a record.
type Fate int

// Fates of records. A [Truth] says which one a record should have, and with
// what value; a file that it has it.
const (
	Written Fate = iota
	Filtered
	DeadLettered
)

// Report is the result of an audit.
type Report struct {
	Commits      int   // that count, those without records and those that a rewind left behind included
	RolledBack   int   // commits with an error
	Repairs      int   // commits that brought lost files back
	Rewinds      int   // commits that went back to an older one
	Records      int64 // in all commits that count and that no rewind left behind; the next two, too
	Filtered     int64 // left out, as the commits say
	DeadLettered int64 // in files of dead letters
	Lost         int64 // records of the source that are in no commit
	Duplicated   int64 // records that are in more than one place
	Reordered    int64 // records that come before an older one of their stream
	Problems     []string
}

// OK says whether nothing at all is wrong.
func (r *Report) OK() bool {
	return len(r.Problems) == 0 && r.Lost == 0 && r.Duplicated == 0 && r.Reordered == 0
}

func (r *Report) String() string {
	text := fmt.Sprintf("commits %d, rolled back %d, repairs %d, records %d", r.Commits, r.RolledBack, r.Repairs, r.Records)
	if r.Filtered+r.DeadLettered > 0 {
		text += fmt.Sprintf(", filtered %d, dead-lettered %d", r.Filtered, r.DeadLettered)
	}
	text += fmt.Sprintf(", lost %d, duplicated %d, reordered %d", r.Lost, r.Duplicated, r.Reordered)
	for i, problem := range r.Problems {
		if i == 20 {
			return text + fmt.Sprintf("\n… and %d more", len(r.Problems)-i)
		}
		text += "\n" + problem
	}
	return text
}

func (r *Report) problem(commit *pachyderm.Commit, format string, args ...any) {
	r.Problems = append(r.Problems, "Commit "+commit.ID+" "+fmt.Sprintf(format, args...))
}

// auditor walks a branch from its first commit on.
type auditor struct {
	branch   *pachyderm.Branch
	settings *settings.Settings // that files were written with, nil for the usual paths
	layout   settings.Layout
	truth    Truth
	report   Report

	files     map[string]pachyderm.File // of the last commit that counts
	filesOf   map[string]map[string]pachyderm.File
	positions map[source.Stream]int64 // after it
	earlier   int64                   // records of commits before those that are audited
	states    map[string]state        // after each commit, for those that go back to it
	epoch     int64
	seen      map[source.Stream]map[int64]bool
	ever      map[source.Stream]map[int64]bool // those of commits that were left behind, too

	// Where new streams begin is taken from the commits that say so, as the
	// truth does not know it.
	startsGiven bool
}

// Branch audits all commits of a branch. The error is about reading it; what
// is wrong with it is in the report.
func Branch(ctx context.Context, branch *pachyderm.Branch, layout settings.Layout, truth Truth) (*Report, error) {
	a := &auditor{branch: branch, layout: layout, truth: truth, files: map[string]pachyderm.File{},
		filesOf: map[string]map[string]pachyderm.File{}, states: map[string]state{}, positions: truth.Starts(),
		seen: map[source.Stream]map[int64]bool{}, ever: map[source.Stream]map[int64]bool{}}
	commits, err := history(ctx, branch)
	if err != nil {
		return nil, err
	}
	for i, commit := range commits {
		if commit.Open() && i < len(commits)-1 {
			a.report.problem(commit, "is open, although there is a newer one.")
		}
		if commit.Open() {
			continue
		}
		if err := a.commit(ctx, commit); err != nil {
			return nil, err
		}
	}
	a.finish()
	return &a.report, nil
}

// history lists a branch's commits, oldest first, once they are finished.
func history(ctx context.Context, branch *pachyderm.Branch) ([]*pachyderm.Commit, error) {
	head, err := branch.Head(ctx)
	if err != nil || head == nil {
		return nil, err
	}
	if !head.Open() {
		if _, err := branch.WaitFinished(ctx, head.ID); err != nil {
			return nil, err
		}
	}
	var commits []*pachyderm.Commit
	err = branch.Ancestry(ctx, head.ID, func(c *pachyderm.Commit) bool {
		commits = append(commits, c)
		return true
	})
	slices.Reverse(commits)
	return commits, err
}

func (a *auditor) commit(ctx context.Context, commit *pachyderm.Commit) error {
	if commit.Error != "" {
		a.report.RolledBack++
		return nil
	}
	d, ours, err := spoutcommit.ParseDescription(commit.Description)
	if err != nil || ours && d.Position == nil {
		a.report.problem(commit, "has no error, but its description cannot be read: %q (%v).", commit.Description, err)
		return nil
	}
	if !ours {
		return a.foreign(ctx, commit)
	}
	a.report.Commits++
	if d.Epoch < a.epoch {
		a.report.problem(commit, "was written by writer number %d, after commits of the newer number %d. Two runners have written the branch.", d.Epoch, a.epoch)
	}
	a.epoch = d.Epoch
	if s, ok := a.truth.(Squashes); ok {
		for _, squashed := range s.Squashed(commit.ID) {
			d.Read, d.Written, d.Filtered = d.Read+squashed.Read, d.Written+squashed.Written, d.Filtered+squashed.Filtered
			d.DeadLettered, d.Files, d.Bytes = d.DeadLettered+squashed.DeadLettered, d.Files+squashed.Files, d.Bytes+squashed.Bytes
		}
	}
	if d.Reason == spoutcommit.ReasonRewound {
		a.rewind(commit, d)
	}
	added, err := a.compareFiles(ctx, commit, d)
	if err != nil {
		return err
	}
	entries, err := a.read(ctx, commit, added)
	if err != nil {
		return err
	}
	if err := a.compareRecords(commit, d, entries); err != nil {
		return err
	}
	a.states[commit.ID] = state{maps.Clone(a.positions), a.report.Records, a.report.Filtered, a.report.DeadLettered}
	return nil
}

// state is what is in the branch after a commit.
type state struct {
	positions                       map[source.Stream]int64
	records, filtered, deadLettered int64
}

// rewind forgets what came after the commit that one goes back to: its files
// are to be the branch's, and the records after it are to come again.
func (a *auditor) rewind(commit *pachyderm.Commit, d spoutcommit.Description) {
	a.report.Rewinds++
	then, ok := a.states[d.Restored]
	if !ok {
		a.report.problem(commit, "goes back to commit %s, which does not count.", d.Restored)
		return
	}
	a.files, a.positions = a.filesOf[d.Restored], maps.Clone(then.positions)
	a.report.Records, a.report.Filtered, a.report.DeadLettered = then.records, then.filtered, then.deadLettered
	for stream, seen := range a.seen {
		if a.ever[stream] == nil {
			a.ever[stream] = map[int64]bool{}
		}
		maps.Copy(a.ever[stream], seen)
		a.seen[stream] = maps.Clone(a.ever[stream])
		maps.DeleteFunc(a.seen[stream], func(offset int64, _ bool) bool { return offset >= a.positions[stream] })
	}
}

// foreign takes over what a user has made of the files, perhaps inside of a
// commit that Pachyderm had left open. A commit of Pachyderm's own may also
// empty the branch until it is repaired.
func (a *auditor) foreign(ctx context.Context, commit *pachyderm.Commit) error {
	list, err := a.branch.Files(ctx, commit.ID)
	if err != nil || commit.Auto && len(list) == 0 {
		return err
	}
	a.files = byPath(list)
	a.filesOf[commit.ID] = a.files
	return nil
}

// schemaFolder is where schemas of a registry are beside the data; they are not
// counted in descriptions.
func (a *auditor) schemaFolder() string {
	if a.settings != nil {
		return "/" + a.settings.SchemaRegistry.Folder + "/"
	}
	return "/_schemas/"
}

func byPath(list []pachyderm.File) map[string]pachyderm.File {
	files := make(map[string]pachyderm.File, len(list))
	for _, file := range list {
		files[file.Path] = file
	}
	return files
}

// compareFiles returns the files that a commit added, and checks that it has
// kept the others.
func (a *auditor) compareFiles(ctx context.Context, commit *pachyderm.Commit, d spoutcommit.Description) (added []pachyderm.File, err error) {
	list, err := a.branch.Files(ctx, commit.ID)
	if err != nil {
		return nil, err
	}
	now := byPath(list)
	for _, file := range list {
		switch before, ok := a.files[file.Path]; {
		case !ok && strings.HasPrefix(file.Path, a.schemaFolder()):
		case !ok:
			added = append(added, file)
		case before.Hash != file.Hash || before.Size != file.Size:
			a.report.problem(commit, "has changed the file %s of an earlier commit.", file.Path)
		}
	}
	for path := range a.files {
		if _, ok := now[path]; !ok {
			a.report.problem(commit, "has lost the file %s of an earlier commit.", path)
		}
	}
	a.files, a.filesOf[commit.ID] = now, now
	if d.Reason == spoutcommit.ReasonRepair {
		a.report.Repairs++
		if len(added) > 0 {
			a.report.problem(commit, "is a repair, but has added %d files.", len(added))
		}
		if before := a.filesOf[d.Restored]; len(before) != len(now) {
			a.report.problem(commit, "is a repair, but has brought back %d of %d files.", len(now), len(before))
		}
	}
	var bytes int64
	for _, file := range added {
		bytes += file.Size
	}
	if len(added) != d.Files || bytes != d.Bytes {
		a.report.problem(commit, "has added %d files of %d bytes, but its description says %d of %d.", len(added), bytes, d.Files, d.Bytes)
	}
	return added, nil
}

// entries are the records of a file.
func (a *auditor) entries(path string, content []byte) ([]Entry, error) {
	if a.settings != nil {
		return RecordsOf(*a.settings, path, content)
	}
	return Records(a.layout, path, content)
}

// read returns the records of files, per stream in the order of the paths.
func (a *auditor) read(ctx context.Context, commit *pachyderm.Commit, files []pachyderm.File) (map[source.Stream][]Entry, error) {
	out := map[source.Stream][]Entry{}
	for _, file := range files {
		content, err := a.branch.ReadFile(ctx, commit.ID, file.Path)
		if err != nil {
			return nil, err
		}
		entries, err := a.entries(file.Path, content)
		if err != nil {
			a.report.problem(commit, "has a file that cannot be read, %s: %v.", file.Path, err)
		}
		last := map[source.Stream]int64{}
		for _, e := range entries {
			if before, ok := last[e.Stream]; ok && e.Offset >= 0 && e.Offset < before {
				a.report.Reordered++
			}
			last[e.Stream] = e.Offset
			out[e.Stream] = append(out[e.Stream], e)
		}
	}
	return out, nil
}

// compareRecords holds a commit's records against the source.
func (a *auditor) compareRecords(commit *pachyderm.Commit, d spoutcommit.Description, got map[source.Stream][]Entry) error {
	after, err := a.truth.Offsets(d.Position)
	if err != nil {
		return fmt.Errorf("commit %s: %w", commit.ID, err)
	}
	for stream, to := range after {
		if lines := got[stream]; slices.ContainsFunc(lines, func(e Entry) bool { return e.Offset < 0 }) {
			got[stream] = joinLines(a.truth.Records(stream, a.positions[stream], to), lines)
		}
	}
	counts := map[Fate]int64{}
	for stream, entries := range got {
		for _, e := range entries {
			counts[e.Fate]++
		}
		if _, ok := after[stream]; !ok {
			a.report.problem(commit, "has %d records of %s, which its position does not name.", len(entries), a.name(stream))
		}
	}
	if d.Read != d.Written+d.Filtered+d.DeadLettered+d.Redelivered || d.Written != counts[Written] || d.DeadLettered != counts[DeadLettered] {
		a.report.problem(commit, "says that of %[1]d records %[2]d were written, %[3]d filtered and %[4]d dead-lettered, but in its files are %[5]d and %[6]d dead letters.",
			d.Read, d.Written, d.Filtered, d.DeadLettered, counts[Written], counts[DeadLettered])
	}
	a.report.Records += counts[Written]
	a.report.DeadLettered += counts[DeadLettered]
	a.report.Filtered += d.Filtered
	if has := a.earlier + a.report.Records; d.Total != nil && d.Total.Records != has {
		a.report.problem(commit, "says that the branch has %d records, which are %d.", d.Total.Records, has)
	}
	var read int64
	if m, ok := a.truth.(Moves); ok && m.Moved() {
		a.positions = maps.Clone(after)
	}
	for stream, to := range after {
		from, known := a.positions[stream]
		if !known && a.startsGiven && d.Reason == spoutcommit.ReasonStart {
			from = to
		}
		if to < from {
			a.report.problem(commit, "goes back in %s, from offset %d to %d.", a.name(stream), from, to)
		}
		want := a.truth.Records(stream, from, to)
		read += int64(len(want))
		if problem := a.compareStream(stream, want, got[stream]); problem != "" {
			a.report.problem(commit, "differs from the source in %s, offsets %d to %d: %s.", a.name(stream), from, to-1, problem)
		}
		a.positions[stream] = to
	}
	if read != d.Read-d.Redelivered {
		a.report.problem(commit, "says that it has read %d records, but the source has %d from where the commit before it ends to where it ends.", d.Read, read)
	}
	return nil
}

// joinLines puts the lines of a value together that holds newlines: nothing but
// the source tells such a value from several.
func joinLines(want, got []Entry) (joined []Entry) {
	var lines []Entry
	for _, e := range got {
		if e.Offset < 0 {
			lines = append(lines, e)
		} else {
			joined = append(joined, e)
		}
	}
	for _, e := range want {
		if e.Fate != Written {
			continue
		}
		n := min(strings.Count(e.Value, "\n")+1, len(lines))
		if n == 0 {
			break
		}
		one := lines[0]
		for _, more := range lines[1:n] {
			one.Value += "\n" + more.Value
		}
		joined, lines = append(joined, one), lines[n:]
	}
	return append(joined, lines...)
}

// compareStream returns what is wrong with one stream's records in a commit.
// They may be spread over files; within each they are in order (see read).
func (a *auditor) compareStream(stream source.Stream, want, got []Entry) (problem string) {
	want = slices.DeleteFunc(slices.Clone(want), func(e Entry) bool { return e.Fate == Filtered })
	got = slices.Clone(got)
	slices.SortStableFunc(got, func(a, b Entry) int { return cmp.Compare(a.Offset, b.Offset) })
	seen := a.seen[stream]
	if seen == nil {
		seen = map[int64]bool{}
		a.seen[stream] = seen
	}
	for i, e := range got {
		if e.Offset < 0 && i < len(want) {
			e.Offset = want[i].Offset // a format without offsets: they are what the order says
		}
		if seen[e.Offset] {
			a.report.Duplicated++
		}
		seen[e.Offset] = true
		if problem == "" && (i >= len(want) || want[i].Offset != e.Offset || want[i].Fate != e.Fate || !sameValue(want[i].Value, e.Value)) {
			problem = fmt.Sprintf("record %d of %d in the files is %s", i+1, len(got), shown(e))
			if i < len(want) {
				problem += ", and should be " + shown(want[i])
			} else {
				problem += fmt.Sprintf(", and the source has only %d", len(want))
			}
		}
	}
	if problem == "" && len(got) != len(want) {
		problem = fmt.Sprintf("the files have %d records, and the source has %d", len(got), len(want))
	}
	return problem
}

// shown is a record in a message.
func shown(e Entry) string {
	value := fmt.Sprintf("%.60q", e.Value)
	if e.Offset < 0 {
		return value
	}
	return fmt.Sprintf("offset %d with the value %s", e.Offset, value)
}

// name is a stream in a message.
func (a *auditor) name(s source.Stream) string {
	text := a.layout.Of(s.Name, s.Partition)
	if s.Generation > 0 {
		text += fmt.Sprintf(" (of the %s as it was made again for the %d. time)", a.layout.Stream, s.Generation)
	}
	return text
}

// sameValue compares as jsonl files keep values: JSON may have lost the white
// space around it and, if it was on several lines, between its tokens.
func sameValue(want, got string) bool {
	if want == got {
		return true
	}
	var a, b bytes.Buffer
	return json.Compact(&a, []byte(want)) == nil && json.Compact(&b, []byte(got)) == nil && a.String() == b.String()
}

// finish counts the records that are in no commit.
func (a *auditor) finish() {
	starts := a.truth.Starts()
	for stream, end := range a.truth.Ends() {
		for _, e := range a.truth.Records(stream, starts[stream], end) {
			if e.Fate != Filtered && !a.seen[stream][e.Offset] {
				a.report.Lost++
			}
		}
	}
}
