// SPDX-License-Identifier: Apache-2.0

// Package figures is how the benchmarks report what they measured: as a table
// on the terminal, and as JSON for machines.
package figures

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Figure is one line of the table, and one object in the file.
type Figure struct {
	Name   string   `json:"name"`
	Value  float64  `json:"value"`
	Target *float64 `json:"target,omitempty"` // nil if there is none
	Better string   `json:"better"`           // Higher or Lower
	Unit   string   `json:"unit"`
}

// What is better.
const (
	Higher = "higher"
	Lower  = "lower"
)

// Target is a figure's target.
func Target(value float64) *float64 { return &value }

// Met says whether the figure reaches its target, if it has one.
func (f Figure) Met() bool {
	switch {
	case f.Target == nil:
		return true
	case f.Better == Lower:
		return f.Value <= *f.Target
	}
	return f.Value >= *f.Target
}

// Print writes the table.
func Print(w io.Writer, figures []Figure) {
	for _, f := range figures {
		target := ""
		if f.Target != nil {
			target = fmt.Sprintf("  (target %.2f)", *f.Target)
		}
		if !f.Met() {
			target += "  MISSED"
		}
		_, _ = fmt.Fprintf(w, "%-36s %9.2f %s%s\n", f.Name, f.Value, f.Unit, target)
	}
}

// Save puts figures into a file, in place of those of the same names, and
// returns all that the file then has. Benchmarks that run one after the other
// so share a file.
func Save(path string, measured []Figure) ([]Figure, error) {
	var all []Figure
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("figures in %s: %w", path, err)
	}
	for _, f := range measured {
		if i := slices.IndexFunc(all, func(other Figure) bool { return other.Name == f.Name }); i >= 0 {
			all[i] = f
		} else {
			all = append(all, f)
		}
	}
	if text, err = json.MarshalIndent(all, "", "  "); err != nil {
		return nil, err
	}
	return all, os.WriteFile(path, append(text, '\n'), 0o644)
}

// Median returns the value in the middle, the upper one of two.
func Median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
