// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Pod is a worker pod.
type Pod struct {
	Name, Project, Pipeline string
	Labels                  map[string]string
	IP                      string // a loopback address of its own
	SidecarPort             int    // where its sidecar pachd listens
	Containers              []Container
}

// Container is the state of a container of a Pod.
type Container struct {
	Name     string
	PID      int // of its first process; 0 if it doesn't run
	Restarts int
	Waiting  string // why it doesn't run, such as ErrImagePull; "" if it runs or has just exited
	Message  string // about Waiting
	LastExit *Exit  // how it ended last; nil if it never did
}

// Running says whether the container's process is there.
func (c Container) Running() bool { return c.PID != 0 }

// Exit is the end of a container's process.
type Exit struct {
	Code            int // 128 and the signal's number if one killed it
	Began, Finished time.Time
}

// kubelet runs pods. Its lock is never held while the store's is waited for.
type kubelet struct {
	cfg           Config
	store         *store
	images        *images
	statusChanged func(pod object) // called with the store's lock held

	mu      sync.Mutex
	pods    map[string]*pod // by namespace/name
	slots   map[int]bool    // taken; a pod's slot gives its ports
	changed chan struct{}   // closed, and replaced, when something has changed
	ended   sync.WaitGroup  // of pods
}

func newKubelet(cfg Config, st *store, images *images) *kubelet {
	if cfg.command == nil {
		cfg.command = sandbox.command
	}
	return &kubelet{cfg: cfg, store: st, images: images, pods: map[string]*pod{}, slots: map[int]bool{}, changed: make(chan struct{})}
}

// pod is a pod on the kubelet.
type pod struct {
	namespace, name string
	object          object // as created
	dir             string
	port            int // first of its ports
	ip              string
	began           time.Time
	stop            chan struct{} // closed when it shall end
	containers      []*container

	volumesMu sync.Mutex
	volumes   map[string]string // folders by name, once they are all there
}

// container is one of a pod's. The lock guards what changes.
type container struct {
	name string
	spec object

	mu    sync.Mutex
	state Container
	since time.Time     // when its process was last started
	ended chan struct{} // closed when that process has ended
}

// portsPerPod is the number of ports set aside for a pod. In a real cluster pods have addresses of their own and all use
// the same ports.
const portsPerPod = 10

func (p *pod) workerPort() int           { return p.port }
func (p *pod) sidecarPublicPort() int    { return p.port + 1 }
func (p *pod) sidecarPort() int          { return p.port + 3 }
func (p *pod) sidecarMetricsPort() int   { return p.port + 4 }
func (p *pod) workerMetricsPort() int    { return p.port + 5 }
func (p *pod) sidecarS3GatewayPort() int { return p.port + 6 }

// start takes on a new pod. The store's lock is held, so it doesn't block.
func (k *kubelet) start(o object) {
	p := &pod{
		namespace: textAt(o, "metadata", "namespace"), name: nameOf(o), object: o,
		dir: filepath.Join(k.cfg.PodDir, nameOf(o)), ip: loopback, began: time.Now(), stop: make(chan struct{}),
	}
	isWorker := false
	for _, spec := range listAt(o, "spec", "containers") {
		c := &container{name: textAt(spec, "name"), spec: spec}
		c.state = Container{Name: c.name, Waiting: "ContainerCreating"}
		isWorker = isWorker || c.name == UserContainer
		p.containers = append(p.containers, c)
	}
	if !isWorker { // such as the one pachd makes to see whether it may
		for _, c := range p.containers {
			c.state.Waiting, c.since = "", p.began
			c.state.PID = -1
		}
		go k.publish(p)
		return
	}
	k.mu.Lock()
	slot := 1
	for k.slots[slot] {
		slot++
	}
	k.slots[slot] = true
	k.pods[p.namespace+"/"+p.name] = p
	k.ended.Add(1)
	k.mu.Unlock()
	p.port = k.cfg.PortBase + portsPerPod*slot
	p.ip = fmt.Sprintf("127.1.%d.%d", p.port>>8, p.port&0xff)
	go func() {
		defer k.ended.Done()
		if err := k.run(p); err != nil {
			k.cfg.Log.Printf("pod %s: %v", p.name, err)
		}
		k.mu.Lock()
		delete(k.slots, slot)
		k.mu.Unlock()
	}()
}

// stop ends a pod. The store's lock is held, so it doesn't wait for that.
func (k *kubelet) stop(namespace, name string) {
	k.mu.Lock()
	p := k.pods[namespace+"/"+name]
	delete(k.pods, namespace+"/"+name)
	k.mu.Unlock()
	if p != nil {
		close(p.stop)
	}
}

// stopAll ends every pod and waits until their processes are gone.
func (k *kubelet) stopAll() {
	k.mu.Lock()
	for name, p := range k.pods {
		close(p.stop)
		delete(k.pods, name)
	}
	k.mu.Unlock()
	k.ended.Wait()
}

// run runs a pod until it is stopped. Its logs stay, its volumes don't.
func (k *kubelet) run(p *pod) error {
	if p.unschedulable() {
		k.publish(p)
		<-p.stop
		return nil
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	defer k.forward(p)()
	k.publish(p)
	var containers sync.WaitGroup
	for _, c := range p.containers {
		containers.Go(func() { k.supervise(p, c) })
	}
	containers.Wait()
	for _, c := range p.containers {
		sandbox{Dir: p.sandboxDir(c)}.cleanUp()
	}
	return os.RemoveAll(filepath.Join(p.dir, volumesDir))
}

// unschedulable says that the node is not one that the pod selects.
func (p *pod) unschedulable() bool {
	for name, value := range at(p.object, "spec", "nodeSelector") {
		if nodeLabels[name] != value {
			return true
		}
	}
	return false
}

// list returns the worker pods that have not been told to stop, by name.
func (k *kubelet) list() []Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []Pod
	for _, p := range k.pods {
		pod := Pod{Name: p.name, Project: p.label("pipelineProject"), Pipeline: p.label("pipelineName"), Labels: p.labels(), IP: p.ip,
			SidecarPort: p.sidecarPort()}
		for _, c := range p.containers {
			c.mu.Lock()
			pod.Containers = append(pod.Containers, c.state)
			c.mu.Unlock()
		}
		out = append(out, pod)
	}
	slices.SortFunc(out, func(a, b Pod) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// await returns the first pod that satisfies the condition.
func (k *kubelet) await(ctx context.Context, condition func(Pod) bool) (Pod, error) {
	for {
		k.mu.Lock()
		changed := k.changed
		k.mu.Unlock()
		for _, pod := range k.list() {
			if condition(pod) {
				return pod, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Pod{}, fmt.Errorf("waiting for a pod: %w", context.Cause(ctx))
		}
	}
}

func (k *kubelet) notify() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.changed)
	k.changed = make(chan struct{})
}

func (p *pod) sandboxDir(c *container) string { return filepath.Join(p.dir, "root-"+c.name) }

// labels are those by which services select the pod.
func (p *pod) labels() map[string]string {
	out := map[string]string{}
	for name, value := range at(p.object, "metadata", "labels") {
		out[name] = fmt.Sprint(value)
	}
	return out
}

func (p *pod) label(name string) string { return textAt(p.object, "metadata", "labels", name) }

// signal sends a signal to a container. After SIGKILL it waits for its end.
func (k *kubelet) signal(podName, containerName string, sig syscall.Signal) error {
	k.mu.Lock()
	p := k.pods[k.cfg.Namespace+"/"+podName]
	k.mu.Unlock()
	if p == nil {
		return fmt.Errorf("no pod %s", podName)
	}
	i := slices.IndexFunc(p.containers, func(c *container) bool { return c.name == containerName })
	if i < 0 {
		return fmt.Errorf("pod %s has no container %s", podName, containerName)
	}
	ended, err := p.containers[i].signal(sig)
	if err != nil {
		return fmt.Errorf("container %s of pod %s: %w", containerName, podName, err)
	}
	if sig == syscall.SIGKILL {
		<-ended
	}
	return nil
}

// signal returns what is closed when the signalled process has ended.
func (c *container) signal(sig syscall.Signal) (ended <-chan struct{}, err error) {
	c.mu.Lock() // so that the process is not reaped meanwhile, and its pid given to another
	defer c.mu.Unlock()
	if !c.state.Running() {
		return nil, os.ErrProcessDone
	}
	return c.ended, syscall.Kill(-c.state.PID, sig) // the group: the kernel keeps most signals from an init
}

func (k *kubelet) logPath(pod, container string) string {
	return filepath.Join(k.cfg.PodDir, filepath.Base(pod), filepath.Base(container)+".log")
}

// publish writes a pod's status to its object.
func (k *kubelet) publish(p *pod) {
	defer k.notify()
	k.store.Lock()
	defer k.store.Unlock()
	if o := k.store.get(podsIn(p.namespace), p.name); o != nil {
		o = clone(o)
		o["status"] = p.status()
		k.statusChanged(k.store.put(podsIn(p.namespace), o))
	}
}

// status describes a pod as a kubelet does, or a scheduler.
func (p *pod) status() object {
	if p.unschedulable() {
		return object{"phase": "Pending", "conditions": []any{object{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
			"message": "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."}}}
	}
	phase, ready := "Running", "True"
	var statuses []any
	for _, c := range p.containers {
		c.mu.Lock()
		status, running, never := c.status(), c.state.Running(), c.since.IsZero()
		c.mu.Unlock()
		if !running {
			ready = "False"
		}
		if never {
			phase = "Pending"
		}
		statuses = append(statuses, status)
	}
	var conditions []any
	for _, condition := range [][2]string{{"Initialized", "True"}, {"Ready", ready}, {"ContainersReady", ready}, {"PodScheduled", "True"}} {
		conditions = append(conditions, object{"type": condition[0], "status": condition[1]})
	}
	return object{"phase": phase, "podIP": p.ip, "hostIP": loopback, "startTime": timestamp(p.began),
		"containerStatuses": statuses, "conditions": conditions}
}

func (c *container) status() object {
	running := c.state.Running()
	out := object{"name": c.name, "image": c.spec["image"], "imageID": "", "ready": running, "started": running,
		"restartCount": c.state.Restarts, "lastState": object{}}
	var terminated object
	if exit := c.state.LastExit; exit != nil {
		reason := "Error"
		if exit.Code == 0 {
			reason = "Completed"
		}
		terminated = object{"terminated": object{"exitCode": exit.Code, "reason": reason,
			"startedAt": timestamp(exit.Began), "finishedAt": timestamp(exit.Finished)}}
		out["lastState"] = terminated
	}
	switch {
	case running:
		out["state"] = object{"running": object{"startedAt": timestamp(c.since)}}
	case c.state.Waiting != "":
		out["state"] = object{"waiting": object{"reason": c.state.Waiting, "message": c.state.Message}}
	default:
		out["state"] = terminated
	}
	return out
}
