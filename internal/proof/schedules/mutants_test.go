// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is a mistake: a file below runner, and what is replaced in it.
type mutant struct{ file, old, new string }

// mutants are mistakes that the ingester could have. Each replaces a piece of
// its code. What the schedules do not notice, they do not check.
var mutants = map[string]mutant{
	"the parent of a commit is not checked": {
		"ingest/commit.go", "if started.ParentID != c.head {", "if false {"},
	"commits are acknowledged before they are FINISHED": {
		"ingest/commit.go", "if _, err := c.awaitCounting(ctx, id); err != nil {", "if _, err := c.Branch.Inspect(ctx, id); err != nil {"},
	"a rejected commit is taken for a good one": {
		"ingest/wait.go", `err == nil && commit.Error != ""`, `false`},
	"a commit is finished before its parent counts": {
		"ingest/commit.go", "if c.confirmed != nil {", "if false {"},
	"an open head is finished, not rolled back": {
		"ingest/recover.go", `in.Branch.RollBack(ctx, c.ID, "superseded by "+in.Writer)`, `in.Branch.Finish(ctx, c.ID, "")`},
	"an open head is left alone": {
		"ingest/recover.go", "if !c.Open() {", "if true {"},
	"lost files are not brought back": {
		"ingest/recover.go", "} else if lost {", "} else if false && lost {"},
	"the position of a commit that was rolled back counts": {
		"ingest/recover.go", "if c.Error != \"\" {\n\t\t\treturn true\n\t\t}", ""},
	"the position is that before the batch's last records": {
		"ingest/batch.go", "end := &batchEnd{reason: reason, position: b.source.Position(),", "end := &batchEnd{reason: reason, position: b.behind(),"},
	"the newer writer gives way": {
		"ingest/recover.go", "own != 0 && d.NewerThan(", "own != 0 && !d.NewerThan("},
	"all that is read is kept": {
		"ingest/batch.go", "} else if b.memory >= b.share {", "} else if false {"},
	"filtered records are not counted": {
		"ingest/filing.go", "b.counts.filtered++", ""},
	"a start is not committed": {
		"ingest/ingest.go", "if !bytes.Equal(src.Position(), from.position) {", "if false && !bytes.Equal(src.Position(), from.position) {"},
}

// behind is what a mutant needs.
const behind = `
func (b *batcher) behind() json.RawMessage { defer func() { b.last = b.source.Position() }(); if b.last == nil { b.last = b.source.Position() }; return b.last }
`

// mutate returns the file that a mutant is made of, and its text with the mistake.
func (m mutant) mutate() (path, text string, err error) {
	if path, err = filepath.Abs(filepath.Join("..", "..", "..", "runner", m.file)); err != nil {
		return "", "", err
	}
	original, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	if strings.Count(string(original), m.old) != 1 {
		return "", "", fmt.Errorf("%s does not have %q once: mend this test", m.file, m.old)
	}
	text = strings.Replace(string(original), m.old, m.new, 1)
	if strings.Contains(m.new, "b.behind()") {
		text = strings.Replace(text, "type batcher struct {", "type batcher struct {\n\tlast json.RawMessage", 1) + behind
	}
	return path, text, nil
}

// TestMutants plants each mistake and expects that the schedules find it.
func TestMutants(t *testing.T) {
	t.Parallel()
	compile := os.Getenv("MUTANTS") != "" && os.Getenv("SEED") == ""
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, text, err := m.mutate()
			if err != nil {
				t.Fatal(err)
			}
			if !compile {
				t.Skip("it compiles the runner for each mistake: set MUTANTS=1, as make test-schedules does")
			}
			expectFound(t, path, text)
		})
	}
}

// expectFound runs schedules of a runner one of whose files has another text.
func expectFound(t *testing.T, path, text string) {
	t.Helper()
	dir := t.TempDir()
	replacement, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	table, err := json.Marshal(map[string]map[string]string{"Replace": {path: replacement}})
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{replacement: []byte(text), overlay: table} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-run", "^TestSchedules$", "-count=1", ".")
	cmd.Env = append(os.Environ(), "SCHEDULES=3000", "MUTANTS=")
	out, err := cmd.CombinedOutput()
	at := bytes.LastIndex(out, []byte("seed "))
	switch {
	case err == nil:
		t.Error("3000 schedules have not noticed")
	case at < 0 || !bytes.Contains(out, []byte("Again: SEED=")):
		t.Errorf("the mutant does not run: %v\n%s", err, out)
	default:
		found, _, _ := strings.Cut(string(out[at:]), "\n            Again")
		t.Logf("found: %.300s", found)
	}
}
