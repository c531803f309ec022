// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheGuideExplainsEachFigure: what the table prints has a row in
// docs/guides/performance.
func TestTheGuideExplainsEachFigure(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../../templates/guides/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	// Names are written out in the code, some with a size of records behind.
	name := regexp.MustCompile(`(?:\{Name: |lower\()"([a-z_]+)[a-zA-Z0-9_]*"`)
	found := 0
	for _, entry := range entries {
		code, err := os.ReadFile(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		for _, m := range name.FindAllSubmatch(code, -1) {
			found++
			if !strings.Contains(string(guide), "`"+string(m[1])) {
				t.Errorf("the guide does not explain %s", m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d figures only", found)
	}
}
