// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"fmt"
	"testing"
)

// TestWrittenSchemas: however many schemas a registry has, few are kept in mind.
func TestWrittenSchemas(t *testing.T) {
	t.Parallel()
	s := &schemas{written: map[string]bool{}}
	for n := range 3 * maxWritten {
		if name := fmt.Sprint("schema ", n); !s.isNew(name) || s.isNew(name) {
			t.Fatalf("%s is not written once", name)
		}
	}
	if len(s.written) > maxWritten {
		t.Errorf("%d are kept in mind", len(s.written))
	}
}
