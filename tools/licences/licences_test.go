// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheToolsAreListed(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-module", "..", "-tests", "./image"}, &out, t.Output()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "github.com/google/go-containerregistry") || !strings.Contains(out.String(), "Apache-2.0") {
		t.Errorf("listed:\n%s", out.String())
	}
}

// A module under terms that nobody has looked at fails the check, by its name.
func TestAnUnknownLicenceFails(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module example.com/program\n\ngo 1.26\n\nrequire example.com/odd v1.0.0\n\nreplace example.com/odd => ./odd\n",
		"main.go":     "package main\n\nimport _ \"example.com/odd\"\n\nfunc main() {}\n",
		"odd/go.mod":  "module example.com/odd\n\ngo 1.26\n",
		"odd/odd.go":  "package odd\n",
		"odd/LICENSE": "All rights reserved.\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := run(t.Context(), []string{"-module", dir, "-tests"}, t.Output(), t.Output())
	if err == nil || !strings.Contains(err.Error(), "example.com/odd v1.0.0") {
		t.Error(err)
	}
}
