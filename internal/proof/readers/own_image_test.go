// SPDX-License-Identifier: Apache-2.0

//go:build readers

package readers

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// The spout of examples/own-image is killed again and again, while it waits and
// while a commit is open; each number is in a good commit once.
func TestTheSpoutOfOwnCode(t *testing.T) {
	example := filepath.Join("..", "..", "..", "examples", "own-image")
	needs, err := os.ReadFile(filepath.Join(example, "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	python, err := installPython(t.Context(), string(needs))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(example, "spout.py"))
	if err != nil {
		t.Fatal(err)
	}
	spout := filepath.Join(t.TempDir(), "spout.py")
	if err := os.WriteFile(spout, bytes.Replace(text, []byte("time.sleep(2)"), []byte("time.sleep(0.05)"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"2.6.0", "2.11.6"} {
		t.Run(version, func(t *testing.T) { tryOwnCode(t, version, python, spout) })
	}
}

func tryOwnCode(t *testing.T, version, python, spout string) {
	server := pachtest.New(t, pachtest.WithVersion(version))
	address, err := pachyderm.ParseAddress(server.Address())
	if err != nil {
		t.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: address, UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // it has done its work
	if _, err := client.PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{
		Pipeline:  &pps.Pipeline{Project: &pfs.Project{Name: "default"}, Name: "numbers"},
		Transform: &pps.Transform{Image: "numbers", Cmd: []string{"python3"}}, Spout: &pps.Spout{},
	}); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.Sidecar("default", "numbers"), "grpc://"))
	if err != nil {
		t.Fatal(err)
	}
	good := func() (n int, newest pachtest.CommitState) {
		for _, c := range server.Commits("default", "numbers", "master") {
			if c.Error == "" && c.Finished && strings.HasPrefix(c.Description, `numbers {"next"`) {
				n, newest = n+1, c
			}
		}
		return n, newest
	}
	for life := range 6 {
		var said bytes.Buffer
		ctx, kill := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, python, spout)
		cmd.Env = []string{"PEER_PORT=" + port, "PPS_PROJECT_NAME=default", "PPS_PIPELINE_NAME=numbers"}
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		had, _ := good()
		n, deadline := had, time.Now().Add(time.Minute)
		for n < had+3 && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
			n, _ = good()
		}
		for open := life%3 != 0; open && time.Now().Before(deadline); { // is killed in the middle of a commit
			all := server.Commits("default", "numbers", "master")
			open = !all[len(all)-1].Open
		}
		kill() // with SIGKILL
		_ = cmd.Wait()
		if n < had+3 {
			t.Fatalf("life %d made %d commits:\n%s", life, n-had, &said)
		}
	}
	left := 0
	for _, c := range server.Commits("default", "numbers", "master") {
		if c.Error == "left behind" {
			left++
		}
	}
	if left == 0 {
		t.Error("it was never killed in the middle of a commit")
	}
	n, newest := good()
	paths, next := newest.Paths(), 0
	for _, path := range paths {
		content, _ := newest.File(path)
		for _, line := range strings.Fields(string(content)) {
			if line != strconv.Itoa(next) {
				t.Fatalf("%s has %s, not %d", path, line, next)
			}
			next++
		}
	}
	if next != n*100 || len(paths) != n {
		t.Errorf("%d numbers in %d files of %d commits", next, len(paths), n)
	}
}
