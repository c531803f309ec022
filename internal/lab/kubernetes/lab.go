// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// Ports of the node.
const (
	apiPort      = 6443
	etcdPort     = 2379
	etcdPeerPort = 2380
)

// Options say what a lab is made of.
type Options struct {
	Programs string // folder with the programs of Kubernetes: see Programs
	Etcd     string // the program etcd
	// BackOff is the longest time before a container that ends again and again is started again: one second at least.
	// Not set, it is what a kubelet has: 10 seconds at first, and up to 5 minutes.
	BackOff time.Duration
	Log     io.Writer
}

// Lab is a running Kubernetes of one node. There is one in a process that is Inside.
type Lab struct {
	opts       Options
	dir        string
	kubeconfig string
	registry   *registry
	client     *client

	mu      sync.Mutex
	servers map[string]*server // by name
	order   []string
}

// server is a program of the lab that can be started again as it was.
type server struct {
	*child.Server
	command func() *exec.Cmd
}

// Start starts Kubernetes and returns once its node is ready.
func Start(ctx context.Context, opts Options) (*Lab, error) {
	if !Inside() {
		return nil, errors.New("a real Kubernetes runs in namespaces of its own only: see Isolate")
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	l := &Lab{opts: opts, dir: os.Getenv(dirVariable), registry: newRegistry(), servers: map[string]*server{}}
	began := time.Now()
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting Kubernetes: %w", err), l.Stop())
	}
	say(opts.Log, "Kubernetes %s is ready after %s", Version, time.Since(began).Round(100*time.Millisecond))
	return l, nil
}

func (l *Lab) start(ctx context.Context) error {
	for _, dir := range []string{"log", "images", "pod-logs", "kubelet", "volume-plugins", "certs"} {
		if err := os.MkdirAll(l.path(dir), 0o755); err != nil {
			return err
		}
	}
	if err := l.writeFiles(); err != nil {
		return err
	}
	if err := l.registry.listen(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	pause, err := NewImage(l.path("images"), map[string]string{"/pause": filepath.Join(l.opts.Programs, "contained")}, ImageConfig{User: "65535", Entrypoint: []string{"/pause"}})
	if err != nil {
		return err
	}
	l.SetImage(pauseImage, func() (*Image, error) { return pause, nil })
	if err := l.launch("containerd", func() *exec.Cmd { return exec.Command("containerd", "--config", l.path("containerd.toml")) }); err != nil {
		return err
	}
	if err := l.launch("etcd", l.etcd); err != nil {
		return err
	}
	if err := l.await(ctx, "etcd", func(ctx context.Context) error {
		return l.get(ctx, fmt.Sprintf("http://127.0.0.1:%d/health", etcdPort))
	}); err != nil {
		return err
	}
	if err := l.launch("kube-apiserver", l.apiServer); err != nil {
		return err
	}
	if l.client, err = newClient(l.path("pki"), apiAddress); err != nil {
		return err
	}
	if err := l.await(ctx, "kube-apiserver", func(ctx context.Context) error { _, err := l.client.get(ctx, "/readyz"); return err }); err != nil {
		return err
	}
	for name, command := range map[string]func() *exec.Cmd{"kube-controller-manager": l.controllerManager, "kube-scheduler": l.scheduler, "kubelet": l.kubelet, "kube-proxy": l.proxy} {
		if err := l.launch(name, command); err != nil {
			return err
		}
	}
	if err := l.await(ctx, "kubelet", l.nodeReady); err != nil {
		return err
	}
	return l.await(ctx, "kube-controller-manager", func(ctx context.Context) error { // no pod is taken before
		_, err := l.client.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
		return err
	})
}

const pauseImage = "lab.local/pause:1"

func (l *Lab) path(elements ...string) string {
	return filepath.Join(append([]string{l.dir}, elements...)...)
}

func (l *Lab) launch(name string, command func() *exec.Cmd) error {
	cmd := command()
	cmd.Dir = "/"
	if cmd.Env == nil {
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "TMPDIR=" + os.TempDir()}
	}
	s, err := child.StartServer(cmd, l.path("log", name+".log"))
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.servers[name] == nil {
		l.order = append(l.order, name)
	}
	l.servers[name] = &server{s, command}
	return nil
}

// Times that servers are given.
const (
	readyTimeout = 2 * time.Minute
	readyPoll    = 100 * time.Millisecond
	stopGrace    = 5 * time.Second
)

// await returns once check succeeds, or fails with the end of the log if the server ends or takes too long.
func (l *Lab) await(ctx context.Context, name string, check func(context.Context) error) error {
	l.mu.Lock()
	s := l.servers[name]
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.Ended():
			return fmt.Errorf("%s ended while it was starting (%w):\n%s", name, s.Err(), s.LogTail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s isn't ready: %w:\n%s", name, errors.Join(context.Cause(ctx), err), s.LogTail(20))
		case <-tick.C:
		}
	}
}

func (l *Lab) get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

func (l *Lab) nodeReady(ctx context.Context) error {
	text, err := l.client.get(ctx, "/api/v1/nodes/"+NodeName)
	if err != nil {
		return err
	}
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(text, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status != "True" {
			return fmt.Errorf("the node is not ready: %s", c.Message)
		}
		if c.Type == "Ready" {
			return nil
		}
	}
	return errors.New("the node has not said yet how it is")
}

// Stop ends the servers. What containers run ends with the namespaces at the latest.
func (l *Lab) Stop() error {
	l.mu.Lock()
	order := slices.Clone(l.order)
	l.mu.Unlock()
	slices.Reverse(order)
	for _, name := range order {
		l.mu.Lock()
		s := l.servers[name]
		l.mu.Unlock()
		s.End(syscall.SIGKILL, stopGrace)
	}
	return l.registry.server.Close()
}

// Restart kills a server of the lab, such as etcd, kube-apiserver or kubelet, and starts it again. Pods run on meanwhile.
func (l *Lab) Restart(ctx context.Context, name string) error {
	l.mu.Lock()
	s := l.servers[name]
	l.mu.Unlock()
	if s == nil {
		return fmt.Errorf("there is no server %s", name)
	}
	s.End(syscall.SIGKILL, stopGrace)
	if err := l.launch(name, s.command); err != nil {
		return err
	}
	return l.await(ctx, name, l.nodeReady)
}

// LackMemory has the kubelet find that the node lacks memory, or does not lack it any more: it goes by another threshold.
// While it lacks memory, the kubelet evicts a pod every 10 seconds, those first that take more than they have asked for.
func (l *Lab) LackMemory(ctx context.Context, lacks bool) error {
	if err := l.writeKubeletConfig(lacks); err != nil {
		return err
	}
	return l.Restart(ctx, "kubelet")
}

// LogPath is the log of a server.
func (l *Lab) LogPath(name string) string { return l.path("log", name+".log") }

// CopyLogs copies the logs of the servers and of pods to a folder that outlives the lab.
func (l *Lab) CopyLogs(dir string) error {
	var errs []error
	for _, name := range []string{"log", "pod-logs"} {
		errs = append(errs, os.CopyFS(filepath.Join(dir, name), os.DirFS(l.path(name))))
	}
	return errors.Join(errs...)
}

// Dir is the lab's folder, which is removed with it.
func (l *Lab) Dir() string { return l.dir }

// SetImage gives the registry, which stands for all registries, an image: under a name with a tag, or under all names that
// begin so. image is called for each pull.
func (l *Lab) SetImage(name string, image func() (*Image, error)) { l.registry.set(name, image) }

// RemoveImage takes SetImage back. What the node has pulled it keeps.
func (l *Lab) RemoveImage(name string) { l.registry.remove(name) }

// ForgetImage has the node forget an image that it has pulled.
func (l *Lab) ForgetImage(ctx context.Context, name string) error {
	_, err := l.ctr(ctx, "images", "rm", fullName(name))
	return err
}

// SetLogin has a registry ask for a user and password.
func (l *Lab) SetLogin(host, user, password string) {
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	l.registry.login[host] = user + ":" + password
}

// ImageDir is a folder for layers of images.
func (l *Lab) ImageDir() string { return l.path("images") }

func (l *Lab) ctr(ctx context.Context, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, "ctr", append([]string{"--address", containerdSocket, "--namespace", "k8s.io"}, args...)...))
}

// Kubeconfig is the administrator's.
func (l *Lab) Kubeconfig() string { return l.kubeconfig }

// KubectlPath is the program kubectl.
func (l *Lab) KubectlPath() string { return filepath.Join(l.opts.Programs, "kubectl") }

// Kubectl runs kubectl as the administrator and returns what it prints. An error holds what it says on stderr.
func (l *Lab) Kubectl(ctx context.Context, args ...string) (string, error) {
	return l.KubectlInput(ctx, "", args...)
}

// KubectlInput is Kubectl with something to read on stdin.
func (l *Lab) KubectlInput(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.KubectlPath(), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+l.kubeconfig)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	return output(cmd)
}

func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return string(out), fmt.Errorf("%s: %w", strings.Join(append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...), " "), err)
	}
	return string(out), nil
}
