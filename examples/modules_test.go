// SPDX-License-Identifier: Apache-2.0

package examples_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestModules runs the tests that the modules come with, which need no Pachyderm.
func TestModules(t *testing.T) {
	tests, err := filepath.Glob("modules/*/tests")
	if err != nil || len(tests) == 0 {
		t.Fatal("no module has tests", err)
	}
	cli := find(t)
	cliConfig := overrideProvider(t)
	for _, folder := range tests {
		module := filepath.Dir(folder)
		t.Run(filepath.Base(module), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir() // nothing is left behind here
			if err := os.CopyFS(dir, os.DirFS(module)); err != nil {
				t.Fatal(err)
			}
			terraform(t, cli, cliConfig, dir, "test", "-no-color")
		})
	}
}
