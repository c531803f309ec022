// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestTableMarksWhatFallsShort(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	table(&out, []figure{
		{"rate", 50, 0, higher, "MB/s"},
		{"good", 0.95, 0.9, higher, "ratio"},
		{"small", 0.85, 0.9, higher, "ratio"},
		{"quick", 2.9, 3, lower, "ms"},
		{"slow", 3.1, 3, lower, "ms"},
	})
	for line := range strings.Lines(out.String()) {
		name, _, _ := strings.Cut(line, " ")
		if want := name == "small" || name == "slow"; strings.Contains(line, "MISSED") != want {
			t.Error(line)
		}
	}
}

func TestMeasurementsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range measurements {
		if m.name == "" || m.doc == "" || m.measure == nil || seen[m.name] {
			t.Errorf("%+v", m)
		}
		seen[m.name] = true
	}
}
