// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestLinksThatLeadNowhere(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"README.md": "# Top\n\n[a](docs/a.md) [b](docs/none.md) [c](docs/a.md#second-part) [d](docs/a.md#none) [e](#top) [f](https://example.com/none)\n" +
			"[g](docs) `[h](none.md)` [i](docs/a.md#made) [j](/docs/a.md \"title\")\n\n```md\n[k](none.md)\n# Not a heading\n```\n\n[l](#not-a-heading)\n",
		"docs/a.md": "# A\n\n## Second *part*\n\n<a id=\"made\"></a>\n\n[up](../README.md) [m](../none.md)\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "-C", dir, "init", "-q").CombinedOutput(); err != nil {
		t.Skipf("git: %v %s", err, out)
	}
	var out bytes.Buffer
	broken, err := run(dir, &out)
	if err != nil {
		t.Fatal(err)
	}
	want := `README.md:3: docs/none.md is not there
README.md:3: docs/a.md#none is no heading there
README.md:11: #not-a-heading is no heading there
docs/a.md:7: ../none.md is not there
`
	if out.String() != want || broken != 4 {
		t.Errorf("%d links, not 4:\n%s", broken, out.String())
	}
}
