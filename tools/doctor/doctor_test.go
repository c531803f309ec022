// SPDX-License-Identifier: Apache-2.0

// Package doctor tests the script that says what a machine lacks.
package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// machine returns a folder for PATH that has the basic commands, and scripts
// that stand for others.
func machine(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sh", "awk", "sed", "head", "sort", "printf", "uname", "df", "ls", "id", "dirname"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func examine(t *testing.T, path string) (string, error) {
	t.Helper()
	cmd := exec.Command("sh", "doctor.sh")
	cmd.Env = []string{"PATH=" + path, "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	goOf := func(version string) string {
		return `case "$2" in GOVERSION) echo go` + version + ` ;; GOTOOLCHAIN) echo local ;; *) echo /cache ;; esac`
	}
	for name, c := range map[string]struct {
		programs map[string]string
		fails    bool
		says     []string
	}{
		"nothing": {nil, true, []string{"MISSING  Go ", "MISSING  git ", "2 missing without which nothing works"}},
		"an old Go": {map[string]string{"go": goOf("1.20"), "git": "echo git version 2"}, true,
			[]string{"needed for everything. This is 1.20, and does not fetch another by itself (GOTOOLCHAIN=local)"}},
		"what must be there": {map[string]string{"go": goOf("1.99.1"), "git": "echo git version 2"}, false,
			[]string{"ok       Go                     1.99.1", "missing  Java 17", "All that must be there is there"}},
		"an old Java": {map[string]string{"go": goOf("1.99.1"), "git": "echo git version 2", "java": `echo 'openjdk version "11.0.2"' >&2`, "apt-get": ""}, false,
			[]string{"This is 11. sudo apt-get install openjdk-17-jre-headless", "sudo apt-get install chromium"}},
		"a Java": {map[string]string{"go": goOf("1.99.1"), "git": "echo git version 2", "java": `echo 'openjdk version "21.0.2"' >&2`, "brew": ""}, false,
			[]string{"ok       Java                   21", "brew install maven"}},
	} {
		out, err := examine(t, machine(t, c.programs))
		if (err != nil) != c.fails {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for _, line := range c.says {
			if !strings.Contains(out, line) {
				t.Errorf("%s: it does not say %q:\n%s", name, line, out)
			}
		}
	}
}
