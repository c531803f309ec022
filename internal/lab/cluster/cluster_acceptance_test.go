// SPDX-License-Identifier: Apache-2.0

//go:build acceptance && linux

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	code := Main(m)
	if shared.cluster != nil {
		if left := processesOf(shared.cluster); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "processes are left after the cluster's end:\n%s\n", strings.Join(left, "\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// TestSpoutSurvives runs a spout of the real worker and has everything around it fail in turn.
func TestSpoutSurvives(t *testing.T) {
	c := Start(t)
	s := createSpout(t, c, "survives", "debian:12")
	s.awaitCommits("the first", 2)

	for _, fault := range []struct {
		name   string
		inject func() error
	}{
		{"killed worker", func() error { return c.KillContainer(s.project, s.name, UserContainer, syscall.SIGKILL) }},
		{"killed worker again", func() error { return c.KillContainer(s.project, s.name, UserContainer, syscall.SIGKILL) }},
		{"deleted pod", func() error { return c.DeletePod(s.project, s.name) }},
		{"restarted pachd", func() error { return c.RestartPachd(t.Context()) }},
		{"killed sidecar", func() error { return c.KillContainer(s.project, s.name, StorageContainer, syscall.SIGKILL) }},
		{"restarted PostgreSQL", func() error { return c.RestartPostgres(t.Context()) }},
		{"killed command", func() error { return c.KillUserCode(s.project, s.name, syscall.SIGKILL) }},
	} {
		s.awaitCommand()
		if err := fault.inject(); err != nil {
			t.Fatalf("%s: %v", fault.name, err)
		}
		s.awaitCommits("those after a "+fault.name, 2)
	}

	path, err := c.UserLogPath(s.project, s.name)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || !bytes.Contains(text, []byte("beginning to run user code")) {
		t.Errorf("%s is not the worker's log (%v)", path, err)
	}
}

// TestOtherMachinesReachNothing: with a spout running, whatever of the cluster listens does so on the loopback address.
func TestOtherMachinesReachNothing(t *testing.T) {
	if os.Getenv(programsVariable) != "" {
		t.Skip("programs that were built elsewhere listen on all interfaces; they are refused where there are any (checkExposure)")
	}
	c := Start(t)
	s := createSpout(t, c, "unreachable", "debian:12")
	s.awaitCommits("the first", 1)
	seen := map[string]bool{}
	for _, socket := range listeningSockets() {
		owner := socketOwner(socket.inode)
		for _, program := range []string{"pachd", "worker", "etcd", "postgres", fmt.Sprintf("(pid %d)", os.Getpid())} {
			if !strings.Contains(owner, program) {
				continue
			}
			seen[program] = true
			if !socket.loopback {
				t.Errorf("port %d%s can be reached from other machines", socket.port, owner)
			}
		}
	}
	if len(seen) != 5 {
		t.Errorf("sockets were seen of %v only", seen)
	}
	if err := checkExposure(); err != nil {
		t.Error(err)
	}
}

// TestBrowsersReachNothing: what a page of others may send to this machine's own addresses is refused.
func TestBrowsersReachNothing(t *testing.T) {
	Start(t)
	for path, port := range map[string]int{"/v3/kv/range": portEtcd, "/api/v1/namespaces/default/secrets": portKubernetes} {
		for _, host := range []string{"", "rebound.example"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr(port)+path, strings.NewReader(`{"key":"AA==","range_end":"AA=="}`))
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host // if it is one
			request.Header.Set("Origin", "http://page.example")
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode < 400 {
				t.Errorf("port %d, called %q, takes %s of a page: %s", port, host, path, answer.Status)
			}
			if err := answer.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestImage: a pod waits for its image, and has its files once there is one.
func TestImage(t *testing.T) {
	c := Start(t)
	folder := filepath.Join(t.TempDir(), "image")
	if err := c.SetImage("example.com/acceptance", folder); err != nil {
		t.Fatal(err)
	}
	defer c.RemoveImage("example.com/acceptance")
	s := createSpout(t, c, "image", "example.com/acceptance:1", "/acceptance-runner")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := c.AwaitPod(ctx, s.project, s.name, func(p Pod) bool {
		return len(p.Containers) > 0 && strings.HasPrefix(p.Containers[0].Waiting+p.Containers[len(p.Containers)-1].Waiting, "ErrImagePull")
	}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(folder, 0o755), os.WriteFile(filepath.Join(folder, "acceptance-runner"), []byte("#!/bin/sh\n"+s.script), 0o755)); err != nil {
		t.Fatal(err)
	}
	s.awaitCommits("the first", 1)
}

// TestSidecar writes a spout's output branch from outside its pod.
func TestSidecar(t *testing.T) {
	c := Start(t)
	s := createSpout(t, c, "outside", "debian:12", "sleep", "1000")
	address, stop, err := c.StartSidecar(t.Context(), s.project, s.name)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	_, port, _ := strings.Cut(address, ":")
	put := exec.CommandContext(t.Context(), c.PachctlPath(), "put", "file", s.name+"@master:/f", "-f", "-", "--project", s.project)
	put.Env = append(os.Environ(), "PACH_CONFIG="+c.ConfigPath(), "PACH_IN_WORKER=true", "PEER_PORT="+port)
	put.Stdin = strings.NewReader("text")
	if out, err := put.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if text, err := c.Pachctl(t.Context(), "get", "file", s.name+"@master:/f", "--project", s.project); text != "text" {
		t.Errorf("read back %q, %v", text, err)
	}
}

// spout is a pipeline whose command makes a commit every now and then.
type spout struct {
	t             *testing.T
	c             *Cluster
	project, name string
	script        string
}

// createSpout creates a spout; without a command it runs the script.
func createSpout(t *testing.T, c *Cluster, project, image string, command ...string) spout {
	t.Helper()
	s := spout{t: t, c: c, project: project, name: "ticks"}
	// It must not end with 0, or the worker takes the work for done.
	s.script = "while date | pachctl put file ticks@master:/$(date +%s%N) -f - --project " + project + "; do sleep 0.2; done; exit 1\n"
	if _, err := c.Pachctl(t.Context(), "create", "project", project); err != nil {
		t.Fatal(err)
	}
	transform := map[string]any{"image": image, "cmd": command}
	if len(command) == 0 {
		transform["cmd"], transform["stdin"] = []string{"/bin/sh"}, []string{s.script}
	}
	spec, err := json.Marshal(map[string]any{
		"pipeline": map[string]any{"name": s.name, "project": map[string]any{"name": project}}, "spout": map[string]any{}, "transform": transform})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PachctlInput(t.Context(), string(spec), "create", "pipeline", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := c.Pachctl(context.Background(), "delete", "pipeline", s.name, "--project", project, "--force"); err != nil {
			t.Error(err)
		}
	})
	return s
}

// poll is how often Pachyderm is asked how things are.
const poll = 100 * time.Millisecond

// awaitCommits waits for so many more user commits than there are.
func (s spout) awaitCommits(what string, more int) {
	s.t.Helper()
	began, have := time.Now(), s.commits()
	s.await(what+" commits", 2*time.Minute, func() bool { return s.commits() >= have+more })
	s.t.Logf("%s %d commits: after %s", what, more, time.Since(began).Round(10*time.Millisecond))
}

// awaitCommand waits until the user's command runs.
func (s spout) awaitCommand() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := s.c.AwaitUserCode(ctx, s.project, s.name); err != nil {
		s.t.Fatal(err)
	}
}

func (s spout) await(what string, within time.Duration, seen func() bool) {
	s.t.Helper()
	deadline, tick := time.After(within), time.NewTicker(poll)
	defer tick.Stop()
	for !seen() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("%s: not seen within %s", what, within)
		}
	}
}

func (s spout) commits() int {
	out, err := s.c.Pachctl(s.t.Context(), "list", "commit", s.name+"@master", "--project", s.project)
	if err != nil {
		return 0 // pachd may just be gone
	}
	return strings.Count(out, " USER ")
}

// processesOf lists the processes that have to do with a cluster.
func processesOf(c *Cluster) []string {
	var out []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, environ := range files {
		dir := filepath.Dir(environ)
		if dir == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		env, _ := os.ReadFile(environ)
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if bytes.Contains(append(env, command...), []byte(c.Dir())) {
			out = append(out, dir+": "+string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
		}
	}
	return out
}
