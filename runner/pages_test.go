// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/pages"
)

// TestCommandsOfThePages parses each command of the runner that a page shows,
// also those that kubectl runs in a pod.
func TestCommandsOfThePages(t *testing.T) {
	t.Setenv("PPS_PROJECT_NAME", "default") // as in a pod
	t.Setenv("PPS_PIPELINE_NAME", "orders")
	shown, err := pages.Commands("..")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, command := range shown {
		at := slices.IndexFunc(command.Words, func(word string) bool { return strings.TrimPrefix(word, "/") == "spout-runner" })
		if at < 0 {
			continue
		}
		var c commands
		selected, err := kong.Must(&c, kong.Vars{"podConfig": podConfigDefault()}).Parse(command.Words[at+1:])
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		seen[selected.Command()] = true
	}
	for _, want := range []string{"check", "position rewind", "position show <[project/]pipeline[@branch]>", "position verify <[project/]pipeline[@branch]>"} {
		if !seen[want] {
			t.Errorf("no page shows %s; seen: %v", want, seen)
		}
	}
}

// TestTheGuideListsEveryCommand compares the guide's table, which is written by
// hand, with the commands that there are.
func TestTheGuideListsEveryCommand(t *testing.T) {
	guide, err := os.ReadFile("../internal/gendoc/runner.md.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var c commands
	leaves := kong.Must(&c, kong.Name("/spout-runner"), kong.Vars{"podConfig": podConfigDefault()}).Model.Leaves(true)
	if len(leaves) < 5 {
		t.Fatalf("there are %d commands only", len(leaves))
	}
	for _, leaf := range leaves {
		name := strings.TrimSuffix(leaf.FullPath(), " run") // the default
		if !strings.Contains(string(guide), "\n| `"+name+"` |") {
			t.Errorf("internal/gendoc/runner.md.tmpl does not list %s", name)
		}
	}
}
