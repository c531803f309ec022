// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestQuoted: what a server says is cut, has no secrets and no lines, and the
// error stays what it was.
func TestQuoted(t *testing.T) {
	t.Parallel()
	if same := source.Quoted(io.EOF, "secret"); source.Quoted(nil, "x") != nil || same.Error() != "EOF" || !errors.Is(same, io.EOF) {
		t.Error("what needs no change has some")
	}
	stop := &source.Stop{Err: fmt.Errorf("it says %s%s: %w", "secret\nforged", strings.Repeat("x", 1<<20), io.EOF)}
	err := source.Quoted(stop, "", "secret")
	if text := err.Error(); len(text) > 1000 || strings.Contains(text, "\n") || !strings.HasPrefix(text, "it says (secret) forgedxxx") {
		t.Errorf("%.100q of %d bytes", text, len(text))
	}
	if !source.IsStop(err) || !errors.Is(err, io.EOF) {
		t.Error("it is another error")
	}
}
