// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// runner runs a command of the runner's binary at this desk, outside of any pod.
func (s *spout) runner(arguments ...string) (out string, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(built.image, "spout-runner"), arguments...)
	cmd.Env = []string{"PACHD_ADDRESS=" + s.cluster.Address()}
	var problems strings.Builder
	cmd.Stderr = &problems
	text, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(text) + problems.String(), cmd.ProcessState.ExitCode()
}

// TestPosition: what a branch holds, and its comparison with Kafka, from
// anywhere with access to the cluster.
func TestPosition(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 4)
	s.produce(2000)
	s.awaitAll()
	name := s.project + "/" + s.name

	text, code := s.runner("position", "show", name)
	if code != 0 || !strings.Contains(text, ": 2000 records in ") || !strings.Contains(text, "NEXT OFFSET") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	text, code = s.runner("position", "show", name, "--json")
	var held struct {
		Records  int64
		Position []struct {
			Next int64 `json:"next_offset"`
		}
	}
	if err := json.Unmarshal([]byte(text), &held); err != nil || code != 0 || held.Records != 2000 || len(held.Position) != 4 {
		t.Errorf("exit code %d, %v:\n%s", code, err, text)
	}
	text, code = s.runner("position", "verify", name)
	if code != 0 || !strings.Contains(text, "the same") || !strings.Contains(text, "records 2000, lost 0, duplicated 0, reordered 0") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if text, code = s.runner("position", "verify", name+"x"); code != 2 {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

// TestRewind goes back to an older commit under a running spout, which reads
// again what came after it, and then undoes that.
func TestRewind(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 4)
	s.produce(2000)
	s.awaitAll()
	older, _, err := ingest.LastCommit(t.Context(), s.branch)
	if err != nil {
		t.Fatal(err)
	}
	s.produce(3000)
	s.awaitAll()
	newest, _, err := ingest.LastCommit(t.Context(), s.branch)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.branch.Files(t.Context(), newest.ID)
	if err != nil {
		t.Fatal(err)
	}
	sidecar, stopSidecar, err := s.cluster.StartSidecar(t.Context(), s.project, s.name)
	if err != nil {
		t.Fatal(err)
	}
	defer stopSidecar()
	rewind := func(arguments ...string) string {
		t.Helper()
		out, err := s.podCommand(t.Context(), sidecar, append([]string{"position", "rewind"}, arguments...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if text := rewind("--to", older.ID); !strings.Contains(text, "would go back to commit "+older.ID) || !strings.Contains(text, "with 3000 records") || !strings.Contains(text, "add --apply") {
		t.Error(text)
	}
	if head, err := s.branch.Head(t.Context()); err != nil || head.ID != newest.ID {
		t.Errorf("the head is %v, not %s, %v", head, newest.ID, err)
	}
	t.Log(rewind("--time", older.Finished.Add(time.Millisecond).Format(time.RFC3339Nano), "--apply"))
	s.produce(100) // the runner finds out, and is started again by Pachyderm
	s.awaitAll()
	if report := s.audit(); report.Rewinds != 1 {
		t.Errorf("%s", report)
	}
	name := s.project + "/" + s.name
	if text, code := s.runner("position", "show", name); code != 0 || !strings.Contains(text, ": 5100 records in ") || !strings.Contains(text, "were left behind by a rewind") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if text, code := s.runner("position", "verify", name); code != 0 || !strings.Contains(text, "records 5100, lost 0, duplicated 0, reordered 0") {
		t.Errorf("exit code %d:\n%s", code, text)
	}

	t.Log(rewind("--to", newest.ID, "--apply"))
	head, err := s.branch.NewestReadable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if files, err := s.branch.Files(t.Context(), head.ID); err != nil || !slices.Equal(files, all) {
		t.Errorf("the head has %d files and not the %d of the commit, %v", len(files), len(all), err)
	}
	s.produce(100)
	s.awaitAll()
	if report := s.audit(); report.Rewinds != 2 {
		t.Errorf("%s", report)
	}
}
