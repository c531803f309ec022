// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/pages"
)

// TestPachctlOfThePages has pachctl say what it knows of each of its commands
// that a page shows. It refuses flags that it does not know before that.
func TestPachctlOfThePages(t *testing.T) {
	t.Parallel()
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	commands, err := pages.Commands(filepath.Clean(root))
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.Start(t)
	tried := 0
	for _, command := range commands {
		if command.Name() != "pachctl" {
			continue
		}
		tried++
		out, err := c.Pachctl(t.Context(), append(append([]string{}, command.Words[1:]...), "--help")...)
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		_, usage, _ := strings.Cut(out, "Usage:")
		for _, word := range command.Words[1:3] { // as list commit
			if !strings.Contains(strings.SplitN(strings.TrimSpace(usage), "\n", 2)[0], word) && word != "--pipeline" {
				t.Errorf("%s: pachctl explains something else: %s", command, out)
			}
		}
	}
	if tried < 10 {
		t.Errorf("%d commands only", tried)
	}
}
