// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheMonitoringGuideIsUpToDate(t *testing.T) {
	var guide bytes.Buffer
	if err := writeMonitoringGuide(&guide); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(filepath.Join("..", "..", "docs", "guides", "monitoring.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != guide.String() {
		t.Error("docs/guides/monitoring.md differs from what runner/ingest says: run make generate")
	}
	for line := range strings.Lines(guide.String()) {
		if columns := strings.Count(line, "|") - 1; strings.HasPrefix(line, "| `spout_") && columns != 4 {
			t.Errorf("%d columns: %s", columns, line)
		}
	}
}
