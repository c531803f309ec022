// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"errors"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestImages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m, err := newImages(map[string]string{"example.com/runner": dir, "example.com/": "", "example.com/runner:old": filepath.Join(dir, "none"), "debian:12": HostFiles})
	if err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]string{"example.com/runner:1": dir, "debian:12": ""} {
		if got, err := m.lookup(image); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", image, got, err, want)
		}
	}
	for _, image := range []string{"example.com/other:1", "example.com/runner:old", "never/heard:of"} {
		if _, err := m.lookup(image); err == nil {
			t.Errorf("%s can be pulled", image)
		}
	}
	m.remove("debian:12")
	if _, err := m.lookup("debian:12"); err == nil || !strings.Contains(err.Error(), "--image debian:12=FOLDER") {
		t.Errorf("after it was removed: %v", err)
	}
}

// TestCrashBackOff: a failing command is run again, the pod says so, and the hooks of workers are called in turn.
func TestCrashBackOff(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	var hooks []string
	cfg.WorkerStarts = func(w Worker) { hooks = append(hooks, "starts "+w.Project+"/"+w.Pipeline) }
	cfg.WorkerEnded = func(w Worker) { hooks = append(hooks, "ended "+w.Project+"/"+w.Pipeline) }
	k := startPod(t, cfg, "sh", "-c", "echo here; exit 3")
	pod := k.waitFor(func(s object) bool {
		restarts, _ := s["restartCount"].(float64)
		return restarts >= 2 && textAt(s, "state", "waiting", "reason") == "CrashLoopBackOff"
	})
	if code := at(pod, "lastState", "terminated")["exitCode"]; code != 3.0 {
		t.Errorf("exit code %v, want 3", code)
	}
	k.stopAll()
	if text, err := os.ReadFile(k.logPath("p", UserContainer)); !strings.Contains(string(text), "here") {
		t.Errorf("log: %q, %v", text, err)
	}
	if len(hooks) < 6 || !slices.Equal(hooks[:4], []string{"starts a/b", "ended a/b", "starts a/b", "ended a/b"}) {
		t.Errorf("hooks: %v", hooks)
	}
}

// TestSignal: a killed container comes back with a new pid and one restart more.
func TestSignal(t *testing.T) {
	t.Parallel()
	k := startPod(t, testConfig(t), "sleep", "60")
	running := func(restarts float64) func(object) bool {
		return func(s object) bool { return at(s, "state", "running") != nil && s["restartCount"] == restarts }
	}
	k.waitFor(running(0))
	before := k.list()[0].Containers[0].PID
	if err := k.signal("p", UserContainer, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	k.waitFor(running(1))
	c := k.list()[0].Containers[0]
	if c.PID == before || c.LastExit == nil || c.LastExit.Code != 128+9 {
		t.Errorf("pid %d after %d, exit %v", c.PID, before, c.LastExit)
	}
	k.stopAll()
	if err := k.signal("p", UserContainer, 0); err == nil {
		t.Error("a stopped pod can be signalled")
	}
	if err := syscall.Kill(c.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is left: %v", c.PID, err)
	}
}

// TestImagePull: a pod waits for its image, and runs once it is there.
func TestImagePull(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	folder := filepath.Join(t.TempDir(), "image")
	cfg.Images = map[string]string{"example.com/image": folder}
	k := startPod(t, cfg, "sleep", "60")
	k.waitFor(func(s object) bool { return textAt(s, "state", "waiting", "reason") == "ErrImagePull" })
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	k.waitFor(func(s object) bool { return at(s, "state", "running") != nil })
}

// TestNodeSelector: a pod that selects another node waits for one, and says so; one that selects this node runs.
func TestNodeSelector(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		selector object
		want     string
	}{
		"another": {object{"kubernetes.io/os": "linux", "disk": "ssd"}, "Unschedulable"},
		"this":    {object{"kubernetes.io/os": "linux"}, ""},
		"none":    {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			images, err := newImages(nil)
			if err != nil {
				t.Fatal(err)
			}
			k := newKubelet(testConfig(t), newStore(), images)
			seen := make(chan object, 1000)
			k.statusChanged = func(pod object) { seen <- clone(at(pod, "status")) }
			t.Cleanup(k.stopAll)
			k.store.Lock()
			spec := object{"terminationGracePeriodSeconds": 0, "containers": []any{object{"name": UserContainer, "image": "example.com/none:1"}}}
			if test.selector != nil {
				spec["nodeSelector"] = test.selector
			}
			k.start(clone(k.store.put(podsIn("default"), object{"metadata": object{"name": "p"}, "spec": spec})))
			k.store.Unlock()
			reason := ""
			status := <-seen
			for _, condition := range listAt(status, "conditions") {
				if condition["type"] == "PodScheduled" {
					reason, _ = condition["reason"].(string)
				}
			}
			if reason != test.want || status["phase"] != "Pending" {
				t.Errorf("%v", status)
			}
		})
	}
}

// TestSecretsAreTheUsersAlone: no other user of this machine can read what a pod is given.
func TestSecretsAreTheUsersAlone(t *testing.T) {
	t.Parallel()
	images, err := newImages(nil)
	if err != nil {
		t.Fatal(err)
	}
	k := newKubelet(testConfig(t), newStore(), images)
	k.store.Lock()
	k.store.put(secretsIn("default"), object{"metadata": object{"name": "login"}, "stringData": object{"password": "planted"}})
	k.store.Unlock()
	p := &pod{namespace: "default", name: "p", dir: t.TempDir(), object: object{"spec": object{"volumes": []any{
		object{"name": "login", "secret": object{"secretName": "login"}}}}}}
	volumes, err := k.makeVolumes(p)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(volumes["login"], "password")
	for path, want := range map[string]os.FileMode{file: 0o600, volumes["login"]: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if text, err := os.ReadFile(file); string(text) != "planted" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestPodsHaveAddresses: runners in two pods listen at addresses of their own, unless told otherwise.
func TestPodsHaveAddresses(t *testing.T) {
	t.Parallel()
	k := newKubelet(testConfig(t), newStore(), nil)
	p := &pod{namespace: "default", name: "p", ip: "127.1.82.18"}
	for want, env := range map[string][]any{p.ip: nil, "127.0.0.1": {object{"name": "SPOUT_HTTP_ADDRESS", "value": "127.0.0.1"}}} {
		got, err := k.environment(p, &container{name: UserContainer, spec: object{"env": env}})
		if err != nil || got["SPOUT_HTTP_ADDRESS"] != want {
			t.Errorf("%q, %v; want %q", got["SPOUT_HTTP_ADDRESS"], err, want)
		}
	}
	for source, want := range map[string]string{"webhook": p.ip, "kafka": ""} { // which would refuse it
		got, err := k.environment(p, &container{name: UserContainer, spec: object{"env": []any{object{"name": "SPOUT_SOURCE", "value": source}}}})
		if err != nil || got["SPOUT_WEBHOOK_ADDRESS"] != want {
			t.Errorf("a runner of %s takes requests at %q, %v; want %q", source, got["SPOUT_WEBHOOK_ADDRESS"], err, want)
		}
	}
}

// TestSandbox runs a command in real namespaces: it sees its image and volumes, even inside folders of the host, and the
// host sees neither.
func TestSandbox(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := CheckSandbox(dir); err != nil {
		t.Skip(err)
	}
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	write("image/tool", "#!/bin/sh\necho tool $$; cat /data/deep/file /etc/kubesim-test/secret /etc/kubesim-conf; ls /etc/passwd\n")
	write("image/etc/kubesim-conf", "conf\n")
	write("data/file", "file\n")
	write("secret/secret", "secret\n")
	s := sandbox{Dir: filepath.Join(dir, "box"), Image: filepath.Join(dir, "image"), Args: []string{"/tool"}, Env: []string{"PATH=/usr/bin:/bin"},
		Binds: []bind{{filepath.Join(dir, "data"), "/data/deep"}, {filepath.Join(dir, "secret"), "/etc/kubesim-test"}}}
	cmd, err := s.command()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if want := "tool 1\nfile\nsecret\nconf\n/etc/passwd\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
	if _, err := os.Lstat("/etc/kubesim-test"); err == nil {
		t.Error("the host's /etc was changed")
	}
	s.cleanUp()
	if _, err := os.Lstat(s.Dir); err == nil {
		t.Error("folders are left")
	}
}

func testConfig(t *testing.T) Config {
	return Config{
		Addr: "127.0.0.1:1", Namespace: "default", PachdPod: "pachd-0", PostgresPassword: "pw", PodDir: t.TempDir(),
		PortBase: 29000, Images: map[string]string{"example.com/image": HostFiles}, BackOff: 10 * time.Millisecond, Log: log.New(t.Output(), "", 0),
		command: func(s sandbox) (*exec.Cmd, error) { return exec.Command(s.Args[0], s.Args[1:]...), nil },
	}
}

// testKubelet runs one pod, named p, and reports the states of its user container.
type testKubelet struct {
	*kubelet
	t      *testing.T
	states chan object
}

func startPod(t *testing.T, cfg Config, command ...any) testKubelet {
	images, err := newImages(cfg.Images)
	if err != nil {
		t.Fatal(err)
	}
	k := testKubelet{newKubelet(cfg, newStore(), images), t, make(chan object, 1000)}
	k.statusChanged = func(pod object) {
		select {
		case k.states <- clone(listAt(pod, "status", "containerStatuses")[0]):
		default: // the test has seen what it wanted
		}
	}
	t.Cleanup(k.stopAll)
	k.store.Lock()
	defer k.store.Unlock()
	k.start(clone(k.store.put(podsIn("default"), object{
		"metadata": object{"name": "p", "labels": object{"pipelineProject": "a", "pipelineName": "b"}},
		"spec": object{"terminationGracePeriodSeconds": 0, "containers": []any{
			object{"name": UserContainer, "image": "example.com/image:1", "command": command,
				"env": []any{object{"name": "PATH", "value": os.Getenv("PATH")}}}}},
	})))
	return k
}

func (k testKubelet) waitFor(seen func(status object) bool) object {
	k.t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case s := <-k.states:
			if seen(s) {
				return s
			}
		case <-timeout:
			k.t.Fatal("not seen in time")
		}
	}
}
