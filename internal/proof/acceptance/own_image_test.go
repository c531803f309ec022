// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
)

// TestOwnImage applies the example with code of its own, kills that again and
// again, and pauses it; every number is there once.
func TestOwnImage(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w, err := built.cli.NewWorkspace(t.TempDir(), built.provider, providerVersion, map[string]string{"PACHD_ADDRESS": c.Address()})
	if err != nil {
		t.Fatal(err)
	}
	project := newProject(t, c)
	for _, name := range []string{"main.tf", "spout.sh"} {
		text, err := os.ReadFile(filepath.Join(root, "examples", "own-image", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(name, strings.Replace(string(text), "sleep 2\n", "sleep 0.1\n", 1)); err != nil {
			t.Fatal(err)
		}
	}
	// The image is this machine, whose pachctl is not where an image would have it.
	pause := func(paused bool) {
		t.Helper()
		if err := w.Write("here_override.tf", fmt.Sprintf("resource \"pachyderm_spout\" \"numbers\" {\n  project = %q\n  paused  = %t\n\n  transform = {\n    image = var.image\n"+
			"    cmd   = [\"/bin/sh\", \"-c\", file(\"${path.module}/spout.sh\")]\n  }\n  env = { PATH = \"%s:/usr/bin:/bin\" }\n}\n",
			project, paused, filepath.Dir(c.PachctlPath()))); err != nil {
			t.Fatal(err)
		}
		if err := w.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.Apply(t.Context(), tfexec.Var("image=debian:12")); err != nil {
			t.Fatal(err)
		}
	}
	files := func() int {
		out, _ := c.Pachctl(t.Context(), "glob", "file", "numbers@master:/numbers/*", "--project", project) // or nothing yet
		return strings.Count(out, ".txt")
	}
	more := func() {
		t.Helper()
		had := files()
		await(t, "more files", time.Minute, func() (bool, error) { return files() > had+2, nil })
	}
	pause(false)
	more()
	for range 3 {
		if err := c.KillUserCode(project, "numbers", syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		more()
	}
	pause(true)
	pause(false)
	more()
	pause(true)

	n := files()
	next := 0
	for at := range n {
		name := fmt.Sprintf("%012d-%012d.txt", at*100, at*100+99)
		text, err := c.Pachctl(t.Context(), "get", "file", "numbers@master:/numbers/"+name, "--project", project)
		if err != nil {
			t.Fatalf("%s of %d files: %v", name, n, err)
		}
		for _, line := range strings.Fields(text) {
			if line != fmt.Sprint(next) {
				t.Fatalf("%s has %s, not %d", name, line, next)
			}
			next++
		}
	}
	if next != n*100 {
		t.Errorf("%d numbers in %d files", next, n)
	}
	if err := w.Destroy(t.Context(), tfexec.Var("image=debian:12")); err != nil {
		t.Fatal(err)
	}
}
