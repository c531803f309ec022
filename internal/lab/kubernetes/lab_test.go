// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
)

func TestMain(m *testing.M) {
	_ = os.Setenv(cluster.LabVariable, "kubernetes")
	before := traces()
	if code, ran := cluster.Isolate(context.Background()); ran {
		after := traces()
		for what := range after {
			if !before[what] && !anotherLabs(what) && traces()[what] { // another lab may just have ended
				fmt.Println("FAIL: the lab has left", what)
				code = 1
			}
		}
		os.Exit(code)
	}
	code := m.Run()
	if shared.lab != nil {
		if err := shared.lab.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

var labName = regexp.MustCompile(`kubernetes-lab-[0-9]+`)

// anotherLabs says that a trace is that of a lab that runs side by side with this one.
func anotherLabs(what string) bool {
	lock, err := os.Open(filepath.Join(os.TempDir(), labName.FindString(what), "lock"))
	if err != nil {
		return false
	}
	defer lock.Close() //nolint:errcheck // and with it the lock
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// traces are what a lab could leave on the machine.
func traces() map[string]bool {
	found := map[string]bool{}
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), "kubernetes-lab-*"))
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/kubernetes-lab-*")
	groups2, _ := filepath.Glob("/sys/fs/cgroup/kubernetes-lab-*")
	state, _ := filepath.Glob("/var/lib/cni/*")
	logs, _ := filepath.Glob("/var/log/containers/*")
	spaces, _ := filepath.Glob("/run/netns/*")
	for _, path := range slices.Concat(folders, groups, groups2, state, logs, spaces) {
		found[path] = true
	}
	for what, command := range map[string][]string{"network device": {"ip", "-o", "link"}, "firewall rule": {"iptables-save"}, "mount": {"cat", "/proc/self/mounts"}, "process": {"ps", "-eo", "args"}} {
		out, _ := exec.Command(command[0], command[1:]...).Output()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "kubernetes-lab-") || what == "firewall rule" && strings.HasPrefix(line, "-A ") || what == "network device" && strings.Contains(line, "lab-") {
				found[what+" "+strings.TrimSpace(line)] = true
			}
		}
	}
	for _, name := range []string{"vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet"} {
		value, _ := os.ReadFile("/proc/sys/" + name)
		found[fmt.Sprintf("the kernel's setting %s=%s", name, strings.TrimSpace(string(value)))] = true
	}
	return found
}

var shared struct {
	sync.Once
	lab *kubernetes.Lab
	err error
}

// start returns the lab of these tests.
func start(t *testing.T) *kubernetes.Lab {
	t.Helper()
	shared.Do(func() {
		ctx := context.Background() // the lab outlives the test
		var programs cluster.Programs
		if programs, shared.err = cluster.FindPrograms(ctx, os.Stderr); shared.err != nil {
			return
		}
		var kube string
		if kube, shared.err = kubernetes.Programs(ctx, os.Stderr); shared.err != nil {
			return
		}
		shared.lab, shared.err = kubernetes.Start(ctx, kubernetes.Options{Programs: kube, Etcd: filepath.Join(programs.Dir, "etcd"), Log: os.Stderr})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.lab
}

// setTools gives the registry an image with busy hands: the programs that containers of these tests run.
func setTools(t *testing.T, l *kubernetes.Lab, name string) *kubernetes.Image {
	t.Helper()
	image, err := cluster.ToolsImage(l.ImageDir())
	if err != nil {
		t.Fatal(err)
	}
	l.SetImage(name, func() (*kubernetes.Image, error) { return image, nil })
	return image
}

// apply creates what a manifest says, and deletes it with the test.
func apply(t *testing.T, l *kubernetes.Lab, manifest any) {
	t.Helper()
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.KubectlInput(t.Context(), string(text), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := l.KubectlInput(context.Background(), string(text), "delete", "--grace-period=0", "--force", "--wait=false", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
}

type object = map[string]any

// pod is a pod of one container that runs a shell script.
func pod(name, image, script string) object {
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": name, "labels": object{"app": name}}, "spec": object{
		"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
		"containers": []any{object{"name": "main", "image": image, "command": []string{"/bin/sh", "-c", script}}}}}
}

// await waits until a pod is as awaited.
func await(t *testing.T, l *kubernetes.Lab, name string, as func(kubernetes.Pod) bool) kubernetes.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var found kubernetes.Pod
	err := kubernetes.Await(ctx, func(ctx context.Context) error {
		pods, err := l.Pods(ctx, "default", "app="+name)
		if err != nil {
			return err
		}
		for _, p := range pods {
			if as(p) {
				found = p
				return nil
			}
		}
		return fmt.Errorf("pods: %+v", pods)
	})
	if err != nil {
		events, _ := l.Kubectl(context.Background(), "describe", "pod", name)
		t.Fatalf("%v\n%s", err, events)
	}
	return found
}

func ended(p kubernetes.Pod) bool { return p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" }

// TestPodReachesTheLab: a pod runs to its end, has reached what listens on the lab's loopback addresses and the API server at
// its Service, and its log can be read.
func TestPodReachesTheLab(t *testing.T) {
	l := start(t)
	setTools(t, l, "tools.example:1")
	script := ""
	for _, host := range []string{"127.0.0.1", "127.98.76.54"} {
		listener, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() //nolint:errcheck // the test is over
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("from " + host + "\n"))
				_ = conn.Close()
			}
		}()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		script += "exec 3<>/dev/tcp/" + host + "/" + port + "; cat <&3; "
	}
	script += "exec 4<>/dev/tcp/$KUBERNETES_SERVICE_HOST/$KUBERNETES_SERVICE_PORT && echo connected; id -u"
	p := pod("reaches", "tools.example:1", "exec bash -c '"+script+"'")
	apply(t, l, p)
	state := await(t, l, "reaches", ended)
	log, err := l.Log(t.Context(), "default", "reaches", "main")
	if state.Status.Phase != "Succeeded" || err != nil || string(log) != "from 127.0.0.1\nfrom 127.98.76.54\nconnected\n0\n" {
		t.Errorf("the pod %s and logged %q, %v", state.Status.Phase, log, err)
	}
}

// TestService: a Service of a pod can be reached from the lab and from another pod.
func TestService(t *testing.T) {
	l := start(t)
	setTools(t, l, "tools.example:1")
	apply(t, l, object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "answers"}, "spec": object{
		"selector": object{"app": "answers"}, "clusterIP": "10.96.0.77", "ports": []any{object{"port": 80, "targetPort": 8080}}}})
	image := setTools(t, l, "tools.example:1")
	_ = image
	apply(t, l, pod("answers", "tools.example:1", "exec "+answer))
	await(t, l, "answers", func(p kubernetes.Pod) bool { return p.Status.Phase == "Running" })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := kubernetes.Await(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", "10.96.0.77:80")
		if err != nil {
			return err
		}
		return conn.Close()
	}); err != nil {
		t.Error(err)
	}
	apply(t, l, pod("asks", "tools.example:1", "exec bash -c 'exec 3<>/dev/tcp/10.96.0.77/80 && echo reached'"))
	await(t, l, "asks", ended)
	if log, err := l.Log(t.Context(), "default", "asks", "main"); err != nil || string(log) != "reached\n" {
		t.Errorf("another pod logged %q, %v", log, err)
	}
}

// answer listens at port 8080.
const answer = `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die $!; while ($c = $s->accept) { print $c "hello\n"; close $c }'`

// TestPulls: an image is had by tag and by digest, and with a password where one is asked for; what isn't there, and
// what is for another processor, is told as everywhere.
func TestPulls(t *testing.T) {
	l := start(t)
	image := setTools(t, l, "registry.example/tools:1")
	setTools(t, l, kubernetes.RegistryName+"/tools:1")
	l.SetLogin(kubernetes.RegistryName, "puller", "secret")
	foreign, err := kubernetes.NewImage(l.ImageDir(), map[string]string{"/bin/sh": "/bin/sh"}, kubernetes.ImageConfig{Architecture: "s390x"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetImage("foreign.example/tools:1", func() (*kubernetes.Image, error) { return kubernetes.NewIndex(foreign) })
	if _, err := l.Kubectl(t.Context(), "create", "secret", "docker-registry", "puller", "--docker-server="+kubernetes.RegistryName, "--docker-username=puller", "--docker-password=secret"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		image, secret, waiting string
	}{
		"tag":     {"registry.example/tools:1", "", ""},
		"digest":  {"registry.example/tools@" + image.Digest(), "", ""},
		"missing": {"registry.example/tools:2", "", "ErrImagePull"},
		"login":   {kubernetes.RegistryName + "/tools:1", "puller", ""},
		"refused": {kubernetes.RegistryName + "/tools:1", "", "ErrImagePull"},
		"foreign": {"foreign.example/tools:1", "", "ErrImagePull"},
		"invalid": {"registry.example/Tools:1", "", "InvalidImageName"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pod("pull-"+name, test.image, "echo ran")
			if test.secret != "" {
				p["spec"].(object)["imagePullSecrets"] = []any{object{"name": test.secret}}
			}
			if name == "refused" { // the node has it from the pod with the secret
				p["spec"].(object)["containers"].([]any)[0].(object)["imagePullPolicy"] = "Always"
			}
			apply(t, l, p)
			state := await(t, l, "pull-"+name, func(p kubernetes.Pod) bool {
				return ended(p) || len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
					p.Status.ContainerStatuses[0].State.Waiting.Reason != "ContainerCreating"
			})
			if test.waiting == "" && state.Status.Phase != "Succeeded" {
				t.Errorf("the pod is %+v", state.Status)
			}
			if test.waiting != "" {
				got := state.Status.ContainerStatuses[0].State.Waiting
				if got == nil || got.Reason != test.waiting && !(test.waiting == "ErrImagePull" && got.Reason == "ImagePullBackOff") {
					t.Errorf("it waits for %+v, not %s", got, test.waiting)
				} else {
					t.Logf("%s: %s", got.Reason, got.Message)
				}
			}
		})
	}
}

// TestLimits: a container that takes more memory than its limit is killed, and the status says so.
func TestLimits(t *testing.T) {
	l := start(t)
	setTools(t, l, "tools.example:1")
	p := pod("hungry", "tools.example:1", `x=1234567890; while :; do x="$x$x"; done`)
	p["spec"].(object)["containers"].([]any)[0].(object)["resources"] = object{"limits": object{"memory": "32Mi"}}
	apply(t, l, p)
	state := await(t, l, "hungry", ended)
	if len(state.Status.ContainerStatuses) == 0 || state.Status.ContainerStatuses[0].State.Terminated == nil || state.Status.ContainerStatuses[0].State.Terminated.Reason != "OOMKilled" {
		t.Errorf("the container ended so: %+v", state.Status.ContainerStatuses)
	}
}

// TestNowhere: a pod that asks for more than the node has waits, and is told why.
func TestNowhere(t *testing.T) {
	l := start(t)
	p := pod("large", "tools.example:1", "exit 1")
	p["spec"].(object)["containers"].([]any)[0].(object)["resources"] = object{"requests": object{"memory": "1Ti"}}
	apply(t, l, p)
	await(t, l, "large", func(p kubernetes.Pod) bool {
		for _, c := range p.Status.Conditions {
			if c.Type == "PodScheduled" && c.Reason == "Unschedulable" && strings.Contains(c.Message, "Insufficient memory") {
				return true
			}
		}
		return false
	})
}

// TestRestarts: pods run on while a server of the node is started again.
func TestRestarts(t *testing.T) {
	l := start(t)
	setTools(t, l, "tools.example:1")
	apply(t, l, pod("steady", "tools.example:1", "exec sleep 1000"))
	before := await(t, l, "steady", func(p kubernetes.Pod) bool {
		return p.Status.Phase == "Running" && len(p.Status.ContainerStatuses) == 1
	})
	for _, name := range []string{"kubelet", "kube-apiserver", "etcd"} {
		if err := l.Restart(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	after := await(t, l, "steady", func(p kubernetes.Pod) bool { return p.Status.Phase == "Running" })
	if a, b := before.Status.ContainerStatuses[0], after.Status.ContainerStatuses[0]; a.ContainerID != b.ContainerID || b.RestartCount != 0 {
		t.Errorf("the container was %+v and is %+v", a, b)
	}
}

// TestEvicted: a node that lacks memory evicts a pod, and takes pods again once it does not.
func TestEvicted(t *testing.T) {
	l := start(t)
	setTools(t, l, "tools.example:1")
	running := func(p kubernetes.Pod) bool { return p.Status.Phase == "Running" }
	p := pod("evicted", "tools.example:1", "exec sleep 1000")
	p["spec"].(object)["containers"].([]any)[0].(object)["resources"] = object{"requests": object{"memory": "10Ki"}} // one that asks for nothing is refused by a kubelet that is started again
	apply(t, l, p)
	await(t, l, "evicted", running)
	if err := l.LackMemory(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	state := await(t, l, "evicted", ended)
	if err := l.LackMemory(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if state.Status.Reason != "Evicted" || !strings.Contains(state.Status.Message, "low on resource: memory") {
		t.Errorf("the pod ended so: %+v", state.Status)
	}
	apply(t, l, pod("after", "tools.example:1", "exec sleep 1000"))
	await(t, l, "after", running)
}

// holdVariable has TestHold hold a lab.
const holdVariable = "KUBERNETES_LAB_HOLD"

// TestHold is no test: it runs a pod in a lab until it is killed. See TestKilled.
func TestHold(t *testing.T) {
	if os.Getenv(holdVariable) == "" {
		t.Skip("it is for TestKilled")
	}
	l := start(t)
	setTools(t, l, "tools.example:1")
	apply(t, l, pod("held", "tools.example:1", "exec sleep 1000"))
	await(t, l, "held", func(p kubernetes.Pod) bool { return p.Status.Phase == "Running" })
	fmt.Println("held " + l.Dir())
	select {}
}

// TestKilled: when the outer process is killed, everything in the lab ends, and the next lab removes the folder and the
// control groups.
func TestKilled(t *testing.T) {
	start(t) // so that everything is built
	outer := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", append(args, "-test.timeout=5m")...)
		cmd.Stderr = os.Stderr
		for _, v := range os.Environ() {
			if !strings.HasPrefix(v, "KUBERNETES_LAB_") {
				cmd.Env = append(cmd.Env, v)
			}
		}
		return cmd
	}
	first := outer("-test.run=^TestHold$")
	first.Env = append(first.Env, holdVariable+"=1")
	said, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(first); err != nil {
		t.Fatal(err)
	}
	dir := ""
	for lines := bufio.NewScanner(said); dir == "" && lines.Scan(); {
		if _, after, ok := strings.Cut(lines.Text(), "held "); ok {
			dir = after
		}
	}
	left := func() (out []string) {
		for what := range traces() {
			if strings.Contains(what, filepath.Base(dir)) {
				out = append(out, what)
			}
		}
		processes, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, file := range processes {
			if text, _ := os.ReadFile(file); dir != "" && strings.Contains(string(text), dir) {
				out = append(out, file)
			}
		}
		return out
	}
	if dir == "" || len(left()) < 3 {
		t.Fatalf("it does not run in %q: %v", dir, left())
	}
	t.Logf("%d processes, folders, control groups and mounts", len(left()))
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := kubernetes.Await(ctx, func(context.Context) error {
		for _, what := range left() {
			if strings.HasPrefix(what, "/proc/") || strings.HasPrefix(what, "process ") {
				return fmt.Errorf("there still is %s", what)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if out, err := outer("-test.run=^$").Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if still := left(); len(still) > 0 {
		t.Errorf("after the next lab there are %v", still)
	}
}
