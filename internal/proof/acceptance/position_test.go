// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
