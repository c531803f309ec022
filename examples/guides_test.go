// SPDX-License-Identifier: Apache-2.0

package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTheGuidesConfigurationsAreFormattedAndValid checks what the guides show
// as whole configurations, in blocks of "terraform"; parts are in "hcl".
func TestTheGuidesConfigurationsAreFormattedAndValid(t *testing.T) {
	guides, err := filepath.Glob("../templates/guides/*.md")
	if err != nil || len(guides) == 0 {
		t.Fatal("there are no guides", err)
	}
	cli := find(t)
	cliConfig := overrideProvider(t)
	block := regexp.MustCompile("(?s)```(terraform|hcl)\n(.*?)```")
	for _, guide := range guides {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range block.FindAllSubmatch(text, -1) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "main.tf"), found[2], 0o644); err != nil {
				t.Fatal(err)
			}
			t.Log(guide)
			terraform(t, cli, cliConfig, dir, "fmt", "-check", "-diff")
			if string(found[1]) == "terraform" {
				terraform(t, cli, cliConfig, dir, "validate", "-no-color")
			}
		}
	}
}
