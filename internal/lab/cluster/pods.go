// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/kubesim"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/proc"
)

// Pod is a pod of a pipeline.
type Pod = kubesim.Pod

// Container is a container of a Pod.
type Container = kubesim.Container

// HostFiles is what SetImage and Options.Images take for an image of which containers see this machine's files only.
const HostFiles = kubesim.HostFiles

// Names of a pod's containers.
const (
	UserContainer    = kubesim.UserContainer    // the worker, which runs the user's command
	StorageContainer = kubesim.StorageContainer // the sidecar pachd
)

// SetImage says which folder stands for an image from now on; see Options.Images.
func (c *Cluster) SetImage(name, dir string) error {
	if c.lab != nil {
		c.lab.SetImage(name, func() (*kubernetes.Image, error) { return c.imageOf(dir) })
		return nil
	}
	return c.kube.SetImage(name, dir)
}

// RemoveImage takes SetImage back: the image cannot be pulled any more.
func (c *Cluster) RemoveImage(name string) {
	if c.lab != nil {
		c.lab.RemoveImage(name)
		return
	}
	c.kube.RemoveImage(name)
}

// Pods returns the pods of a pipeline, of which a running spout has one.
func (c *Cluster) Pods(project, pipeline string) []Pod {
	if c.lab != nil {
		pods, err := c.podsInKubernetes(project, pipeline)
		if err != nil {
			say(c.opts.Log, "pods of %s/%s: %v", project, pipeline, err)
		}
		return pods
	}
	var out []Pod
	for _, pod := range c.kube.Pods() {
		if pod.Project == project && pod.Pipeline == pipeline {
			out = append(out, pod)
		}
	}
	return out
}

// PodLog returns what a container has logged so far, also after the pod has gone.
func (c *Cluster) PodLog(pod, container string) ([]byte, error) {
	if c.lab != nil {
		return c.lab.Log(context.Background(), namespace, pod, container)
	}
	return os.ReadFile(c.kube.LogPath(pod, container))
}

// UserLogPath returns the file with the log of a pipeline's worker, which includes what the user's command prints.
func (c *Cluster) UserLogPath(project, pipeline string) (string, error) {
	pod, err := c.pod(project, pipeline)
	if err != nil {
		return "", err
	}
	if c.lab != nil {
		return c.lab.FollowLog(namespace, pod.Name, UserContainer)
	}
	return c.kube.LogPath(pod.Name, UserContainer), nil
}

// UserCodePIDs returns the processes that run a pipeline's transform.cmd itself. There are none while the worker waits
// before it runs a failed command again, which takes 5 to 22 seconds.
func (c *Cluster) UserCodePIDs(project, pipeline string) ([]int, error) {
	var out []int
	for _, pod := range c.Pods(project, pipeline) {
		for _, container := range pod.Containers {
			if container.Name != UserContainer || !container.Running() {
				continue
			}
			out = append(out, commandsIn(container.PID)...)
		}
	}
	return out, nil
}

// commandsIn returns what the worker runs in the container of process init. The worker is init's first child; others are
// what an earlier command has left behind.
func commandsIn(init int) (pids []int) {
	worker, ok := firstChild(init)
	if !ok {
		return nil
	}
	for _, p := range proc.Children(worker.PID) {
		pids = append(pids, p.PID)
	}
	return pids
}

// userCodePoll is how often AwaitUserCode looks: the kernel tells nobody that a process has got a child.
const userCodePoll = 20 * time.Millisecond

// AwaitUserCode waits until a pipeline's transform.cmd runs, and returns its process.
func (c *Cluster) AwaitUserCode(ctx context.Context, project, pipeline string) (pid int, err error) {
	tick := time.NewTicker(userCodePoll)
	defer tick.Stop()
	for {
		pids, err := c.UserCodePIDs(project, pipeline)
		if err != nil {
			return 0, err
		}
		if len(pids) > 0 {
			return pids[0], nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for the command of %s/%s: %w", project, pipeline, context.Cause(ctx))
		}
	}
}

// KillUserCode sends a signal to a pipeline's transform.cmd, not to the worker that runs it. The error is
// os.ErrProcessDone while the command doesn't run. After SIGKILL it returns once the process has ended.
func (c *Cluster) KillUserCode(project, pipeline string, sig syscall.Signal) error {
	pids, err := c.UserCodePIDs(project, pipeline)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return fmt.Errorf("the command of %s/%s: %w", project, pipeline, os.ErrProcessDone)
	}
	for _, pid := range pids {
		if err := kill(pid, sig); err != nil {
			return fmt.Errorf("the command of %s/%s: %w", project, pipeline, err)
		}
	}
	return nil
}

// KillContainer sends a signal to a container's program: the worker of UserContainer, the sidecar pachd of
// StorageContainer. SIGKILL ends everything in the container, and KillContainer then returns once it has ended. A
// container that ends is started again, after a back-off if it does so often.
func (c *Cluster) KillContainer(project, pipeline, container string, sig syscall.Signal) error {
	pod, err := c.pod(project, pipeline)
	if err != nil {
		return err
	}
	if c.lab != nil {
		return signalContainer(pod, container, sig)
	}
	return c.kube.Signal(pod.Name, container, sig)
}

// DeletePod deletes a pipeline's pod as kubectl would. Another takes its place.
func (c *Cluster) DeletePod(project, pipeline string) error {
	pod, err := c.pod(project, pipeline)
	if err != nil {
		return err
	}
	if c.lab != nil {
		return c.lab.DeletePod(context.Background(), namespace, pod.Name, -1)
	}
	return c.kube.DeletePod(pod.Name)
}

func (c *Cluster) pod(project, pipeline string) (Pod, error) {
	pods := c.Pods(project, pipeline)
	if len(pods) == 0 {
		return Pod{}, fmt.Errorf("pipeline %s/%s has no pod", project, pipeline)
	}
	return pods[0], nil
}

// AwaitPod waits until a pipeline has a pod that satisfies the condition, and returns it.
func (c *Cluster) AwaitPod(ctx context.Context, project, pipeline string, condition func(Pod) bool) (Pod, error) {
	if c.lab != nil {
		var found Pod
		err := kubernetes.Await(ctx, func(context.Context) error {
			pods := c.Pods(project, pipeline)
			for _, pod := range pods {
				if condition(pod) {
					found = pod
					return nil
				}
			}
			return fmt.Errorf("no pod of %s/%s is as awaited: %+v", project, pipeline, pods)
		})
		return found, err
	}
	return c.kube.Await(ctx, func(pod Pod) bool {
		return pod.Project == project && pod.Pipeline == pipeline && condition(pod)
	})
}
