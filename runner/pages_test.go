// SPDX-License-Identifier: Apache-2.0

package main

import (
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
