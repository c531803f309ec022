// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestNewlines: a value with newlines is not several, nor does it hide what is
// lost or changed.
func TestNewlines(t *testing.T) {
	t.Parallel()
	stream := source.Stream{Name: "t"}
	entries := func(offset int64, values ...string) (list []Entry) {
		for i, value := range values {
			list = append(list, Entry{Stream: stream, Offset: max(offset+int64(i)*min(offset+1, 1), -1), Value: value})
		}
		return list
	}
	want := entries(0, "a", "b\nc\n", "d")
	for content, same := range map[string]bool{"a\nb\nc\n\nd\n": true, "a\nb\nc\nd\n": false, "a\nb\nc\n\n": false, "a\nb\nX\n\nd\n": false, "a\nb\nc\n\nd\ne\n": false} {
		lines := entries(-1, strings.Split(strings.TrimSuffix(content, "\n"), "\n")...)
		a := &auditor{seen: map[source.Stream]map[int64]bool{}}
		if problem := a.compareStream(stream, want, joinLines(want, lines)); (problem == "") != same {
			t.Errorf("%q: %s", content, problem)
		}
	}
}
