// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/kubesim"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
)

// LabVariable names the lab that tests run in: kubernetes for a real one, and nothing for the single-machine cluster.
const LabVariable = "LAB"

// WantsKubernetes says whether tests are to run in a real Kubernetes.
func WantsKubernetes() bool { return os.Getenv(LabVariable) == "kubernetes" }

// Isolate runs this program again in namespaces of its own if it is to have a real Kubernetes, after all was built that
// this takes, and returns its exit code. If ran is false the program goes on: it needs no Kubernetes, or is inside.
func Isolate(ctx context.Context) (code int, ran bool) {
	if !WantsKubernetes() || kubernetes.Inside() {
		return 0, false
	}
	err := kubernetes.CheckPackages() // before minutes are spent on building
	if err == nil {
		err = BuildForKubernetes(ctx)
	}
	if err == nil {
		code, err = kubernetes.Isolate()
	}
	if err != nil {
		say(os.Stderr, "%v", err)
		code = max(code, 1)
	}
	return code, true
}

// IsolateAfter is Isolate for a program that builds others. Nothing can be fetched inside, so it does that before, too, in
// a folder that is deleted.
func IsolateAfter(ctx context.Context, build func(dir string) error) (code int, ran bool) {
	if !WantsKubernetes() || kubernetes.Inside() {
		return 0, false
	}
	dir, err := os.MkdirTemp("", "spout-programs-")
	if err == nil {
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
		err = build(dir)
	}
	if err != nil {
		say(os.Stderr, "%v", err)
		return 1, true
	}
	return Isolate(ctx)
}

// BuildForKubernetes builds, or finds, the programs of Kubernetes and of Pachyderm in it.
func BuildForKubernetes(ctx context.Context) error {
	if _, err := kubernetes.Programs(ctx, os.Stderr); err != nil {
		return err
	}
	for _, set := range []programSet{localSet, imageSet} {
		if _, err := build(ctx, set, set.programs, os.Stderr); err != nil {
			return err
		}
	}
	_, err := findPostgres(ctx, os.Stderr)
	return err
}

// nodePortPachd is the port of the node, also of its loopback address, at which Pachyderm's chart has pachd.
const nodePortPachd = 30650

// workerUser is the user that Pachyderm's images run as.
const workerUser = "1000"

//go:embed pachyderm.yaml
var manifests string

// startInKubernetes starts Kubernetes, and Pachyderm in it. PostgreSQL and etcd run beside it, as where they are managed
// elsewhere.
func (c *Cluster) startInKubernetes(ctx context.Context) error {
	var err error
	if c.postgresBin, err = findPostgres(ctx, c.opts.Log); err != nil {
		return err
	}
	images, err := build(ctx, imageSet, imageSet.programs, c.opts.Log)
	if err != nil {
		return err
	}
	programs, err := kubernetes.Programs(ctx, c.opts.Log)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.makeDir(); err != nil {
		return fmt.Errorf("folder of the cluster: %w", err)
	}
	c.listen = []string{loopback, kubernetes.NodeIP}
	servers, serversCtx := errgroup.WithContext(ctx)
	servers.Go(func() error { return c.startPostgres(serversCtx) })
	servers.Go(func() error { return c.startEtcd(serversCtx) })
	servers.Go(func() error {
		var err error
		options := kubernetes.Options{Programs: programs, Etcd: filepath.Join(c.programs.Dir, "etcd"), Log: c.opts.Log}
		if c.opts.BackOff < time.Second { // somebody kills containers many times
			options.BackOff = time.Second
		}
		c.lab, err = kubernetes.Start(serversCtx, options)
		return err
	})
	if err := servers.Wait(); err != nil {
		return err
	}
	for name, dir := range c.opts.Images {
		if err := c.SetImage(name, dir); err != nil {
			return err
		}
	}
	if err := c.setPachydermImages(images, programs); err != nil {
		return err
	}
	storage := c.storage() // which pachd and its sidecars write, whoever they run as
	if err := errors.Join(os.MkdirAll(storage, 0o777), os.Chmod(storage, 0o777)); err != nil {
		return err
	}
	text, err := c.manifests()
	if err != nil {
		return err
	}
	if _, err := c.lab.KubectlInput(ctx, text, "apply", "-f", "-"); err != nil {
		return fmt.Errorf("installing Pachyderm: %w", err)
	}
	if err := c.awaitPachd(ctx); err != nil {
		return err
	}
	say(c.opts.Log, "Pachyderm %s in Kubernetes is ready at %s after %s", c.Version(), c.Address(), time.Since(began).Round(100*time.Millisecond))
	return nil
}

func (c *Cluster) manifests() (string, error) {
	var out bytes.Buffer
	t, err := template.New("pachyderm").Parse(manifests)
	if err != nil {
		return "", err
	}
	err = t.Execute(&out, map[string]any{
		"Version": c.Version(), "Storage": c.storage(), "NodeIP": kubernetes.NodeIP, "Etcd": portEtcd, "Postgres": portPostgres,
		"User": postgresUser, "Password": postgresPassword, "Database": databasePachd, "Identity": databaseIdentity, "NodePort": nodePortPachd,
		"RunAs": workerUser,
	})
	return out.String(), err
}

// setPachydermImages gives the registry Pachyderm's images, made as their Dockerfiles say.
func (c *Cluster) setPachydermImages(programs, kube string) error {
	for name, files := range map[string]map[string]string{
		"pachyderm/pachd:" + c.Version(): {"/pachd": filepath.Join(programs, "pachd")},
		"pachyderm/worker:" + c.Version(): {"/app/init": filepath.Join(programs, "init"), "/app/worker": filepath.Join(programs, "worker"),
			"/app/pachctl": filepath.Join(programs, "pachctl"), "/app/pachtf": filepath.Join(kube, "contained"), // only jobs that load tables run it
			"/app/dumb-init-amd64": filepath.Join(kube, "contained"), "/app/dumb-init-arm64": filepath.Join(kube, "contained")},
	} {
		image, err := kubernetes.NewImage(c.lab.ImageDir(), files, kubernetes.ImageConfig{User: workerUser})
		if err != nil {
			return err
		}
		c.lab.SetImage(name, func() (*kubernetes.Image, error) { return image, nil })
	}
	return nil
}

// awaitPachd waits until pachd answers at its Service.
func (c *Cluster) awaitPachd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	err := kubernetes.Await(ctx, func(ctx context.Context) error { return healthy(ctx, strings.TrimPrefix(c.Address(), "grpc://")) })
	if err == nil {
		return nil
	}
	pods, _ := c.lab.Kubectl(context.WithoutCancel(ctx), "describe", "pods")
	logs, _ := c.lab.Kubectl(context.WithoutCancel(ctx), "logs", "deployment/pachd", "--tail=20")
	return fmt.Errorf("pachd isn't ready: %w\n%s\n%s", err, pods, logs)
}

// Kubernetes is the real Kubernetes that the cluster is in, or nil.
func (c *Cluster) Kubernetes() *kubernetes.Lab {
	if c == nil {
		return nil
	}
	return c.lab
}

// hostTools are what an image of this machine's own files has, in a real Kubernetes.
var hostTools = strings.Fields("perl sh bash awk base64 basename cat cp curl date dd dirname echo env expr false find grep head id kill ls mkdir mktemp mv printf ps rm sed seq sha256sum sleep sort stat tail tee test timeout touch tr true uname wc xargs")

// imageOf makes the image that a folder stands for: see Options.Images. What has nothing of its own gets a shell and the
// usual small programs.
func (c *Cluster) imageOf(dir string) (*kubernetes.Image, error) {
	if dir != HostFiles {
		return kubernetes.NewImage(c.lab.ImageDir(), map[string]string{"/": dir}, kubernetes.ImageConfig{User: "65532:65532"})
	}
	return ToolsImage(c.lab.ImageDir())
}

// ToolsImage makes an image of a shell and the usual small programs of this machine.
func ToolsImage(dir string) (*kubernetes.Image, error) {
	files := map[string]string{}
	for _, name := range hostTools {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, err
		}
		files["/bin/"+name] = real
		libraries, _ := exec.Command("ldd", real).Output() // a static program has none
		for line := range strings.Lines(string(libraries)) {
			for _, word := range strings.Fields(line) {
				if strings.HasPrefix(word, "/") {
					if files[word], err = filepath.EvalSymlinks(word); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	perl, _ := filepath.Glob("/usr/lib/*/perl-base")
	for _, dir := range perl {
		files[dir] = dir
	}
	return kubernetes.NewImage(dir, files, kubernetes.ImageConfig{Env: []string{"PATH=/bin:/usr/bin"}})
}

// KubernetesAddress is Address in a real Kubernetes.
func KubernetesAddress() string {
	return fmt.Sprintf("grpc://%s", net.JoinHostPort(loopback, fmt.Sprint(nodePortPachd)))
}

// scalePachd starts or ends pachd, as a crash would.
func (c *Cluster) scalePachd(ctx context.Context, replicas int) error {
	if _, err := c.lab.Kubectl(ctx, "scale", "deployment/pachd", fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		return err
	}
	if replicas > 0 {
		return c.awaitPachd(ctx)
	}
	if _, err := c.lab.Kubectl(ctx, "delete", "pods", "--selector=app=pachd", "--grace-period=0", "--force", "--wait=true"); err != nil {
		return err
	}
	return kubernetes.Await(ctx, func(ctx context.Context) error {
		tasks, err := c.lab.Tasks(ctx, "pachd")
		if err == nil && len(tasks) > 0 {
			err = fmt.Errorf("pachd still runs: %v", tasks)
		}
		return err
	})
}

// podsInKubernetes is Pods of a real Kubernetes.
func (c *Cluster) podsInKubernetes(project, pipeline string) ([]Pod, error) {
	list, err := c.lab.Pods(context.Background(), namespace, "component=worker")
	if err != nil {
		return nil, err
	}
	var out []Pod
	for _, p := range list {
		if p.Metadata.Labels["pipelineProject"] != project || p.Metadata.Labels["pipelineName"] != pipeline || p.Metadata.DeletionTimestamp != nil ||
			p.Status.Phase == "Failed" || p.Status.Phase == "Succeeded" { // evicted ones stay until they are deleted
			continue
		}
		pod := Pod{Name: p.Metadata.Name, Project: project, Pipeline: pipeline, Labels: p.Metadata.Labels, IP: p.Status.PodIP, SidecarPort: portPeer}
		for _, s := range p.Status.ContainerStatuses {
			container := Container{Name: s.Name, Restarts: s.RestartCount}
			switch {
			case s.State.Running != nil:
				if container.PID, err = c.lab.ContainerPID(s.ContainerID); err != nil {
					container.PID = 0 // it has just ended
				}
			case s.State.Waiting != nil:
				container.Waiting, container.Message = s.State.Waiting.Reason, s.State.Waiting.Message
			}
			if t := cmp.Or(s.State.Terminated, s.LastState.Terminated); t != nil {
				container.LastExit = &kubesim.Exit{Code: t.ExitCode, Began: t.StartedAt, Finished: t.FinishedAt}
			}
			pod.Containers = append(pod.Containers, container)
		}
		out = append(out, pod)
	}
	return out, nil
}

// signalContainer is KillContainer of a real Kubernetes.
func signalContainer(pod Pod, name string, sig syscall.Signal) error {
	for _, container := range pod.Containers {
		if container.Name != name || !container.Running() {
			continue
		}
		pid := container.PID
		if name == UserContainer && sig != syscall.SIGKILL { // process 1 passes on what it likes
			worker, ok := firstChild(pid)
			if !ok {
				return fmt.Errorf("worker of pod %s: %w", pod.Name, os.ErrProcessDone)
			}
			pid = worker.PID
		}
		return kill(pid, sig)
	}
	return fmt.Errorf("container %s of pod %s: %w", name, pod.Name, os.ErrProcessDone)
}

// object is one of the API server's.
type object = map[string]any

// startSidecarPod is StartSidecar of a real Kubernetes: a pod of the sidecar alone, as the pipeline's controller has it.
func (c *Cluster) startSidecarPod(ctx context.Context, project, pipeline string) (address string, stop func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var spec object
	err = kubernetes.Await(ctx, func(ctx context.Context) (err error) {
		spec, err = c.podSpec(ctx, project, pipeline)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	containers, _ := spec["containers"].([]any)
	spec["containers"] = slices.DeleteFunc(containers, func(c any) bool { o, _ := c.(object); return o["name"] != StorageContainer })
	delete(spec, "initContainers")
	name := fmt.Sprintf("sidecar-%d", c.sidecarCount.Add(1))
	manifest, err := json.Marshal(object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": name, "labels": object{"app": name}}, "spec": spec})
	if err != nil {
		return "", nil, err
	}
	if _, err := c.lab.KubectlInput(ctx, string(manifest), "create", "-f", "-"); err != nil {
		return "", nil, err
	}
	stop = func() { _ = c.lab.DeletePod(context.Background(), namespace, name, 0) } // an error means that it has gone
	err = kubernetes.Await(ctx, func(ctx context.Context) error {
		pods, err := c.lab.Pods(ctx, namespace, "app="+name)
		if err != nil || len(pods) == 0 || pods[0].Status.PodIP == "" {
			return cmp.Or(err, fmt.Errorf("the sidecar of %s/%s has no address", project, pipeline))
		}
		address = fmt.Sprintf("%s:%d", pods[0].Status.PodIP, portPeer)
		return healthy(ctx, address)
	})
	if err != nil {
		stop()
		return "", nil, err
	}
	return address, stop, nil
}

// podSpec returns what the newest controller of a pipeline makes pods of. It is an error that there is none yet.
func (c *Cluster) podSpec(ctx context.Context, project, pipeline string) (object, error) {
	text, err := c.lab.Kubectl(ctx, "get", "replicationcontrollers", "--selector=pipelineProject="+project+",pipelineName="+pipeline, "--output=json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Spec struct{ Template struct{ Spec object } }
		}
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("pipeline %s/%s has no replication controller", project, pipeline)
	}
	return list.Items[len(list.Items)-1].Spec.Template.Spec, nil
}
