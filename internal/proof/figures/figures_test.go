// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchmarksShareAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bench.json")
	runner := []Figure{{"rate", 0.95, Target(0.9), Higher, "ratio"}, {"MB", 70, nil, Higher, "MB/s"}}
	if all, err := Save(path, runner); err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	all, err := Save(path, []Figure{{"writes", 0, Target(0), Lower, "calls"}, {"MB", 80, nil, Higher, "MB/s"}})
	if err != nil || len(all) != 3 || all[1].Value != 80 || all[2].Target == nil || *all[2].Target != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := os.WriteFile(path, []byte("no figures"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Save(path, runner); err == nil || !strings.Contains(err.Error(), path) {
		t.Error("what was in the file is lost:", err)
	}
}

func TestMissedTargetsShow(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	Print(&table, []Figure{
		{"high enough", 0.9, Target(0.9), Higher, "ratio"}, {"low enough", 1.5, Target(1.5), Lower, "ratio"}, {"without target", 7, nil, Lower, "s"},
		{"too low", 0.8, Target(0.9), Higher, "ratio"}, {"too high", 1, Target(0), Lower, "calls"},
	})
	for _, line := range strings.Split(strings.TrimSpace(table.String()), "\n") {
		if missed := strings.HasPrefix(line, "too "); missed != strings.HasSuffix(line, "MISSED") {
			t.Error(line)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	if m := Median([]int{9, 1, 5}); m != 5 {
		t.Error(m)
	}
}
