// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
)

// inKubernetes says that the spout is in a real Kubernetes.
func inKubernetes(c *campaign) bool { return c.inKubernetes() }

func (c *campaign) inKubernetes() bool { return c.Cluster.Kubernetes() != nil }

// kubernetesNamespace is Pachyderm's.
const kubernetesNamespace = "default"

// kubernetesFaults are what becomes of a spout by what Kubernetes does, or by
// what becomes of Kubernetes.
var kubernetesFaults = []fault{
	{name: "the pod deleted without grace", possible: inKubernetes, harm: func(ctx context.Context, s *spout) outcome {
		pod, err := s.kubernetesPod(ctx)
		if err == nil {
			err = s.Cluster.Kubernetes().DeletePod(ctx, kubernetesNamespace, pod.Metadata.Name, 0)
		}
		return s.note(err)
	}},
	{name: "the node drained", possible: inKubernetes, harm: func(ctx context.Context, s *spout) outcome {
		return s.note(s.untilGone(ctx, s.drain))
	}},
	{name: "the pod evicted for want of memory", possible: inKubernetes, harm: func(ctx context.Context, s *spout) outcome {
		lab := s.Cluster.Kubernetes()
		err := s.untilGone(ctx, func(ctx context.Context) error { return lab.LackMemory(ctx, true) })
		s.later(func() error { return lab.LackMemory(ctx, false) })
		return s.note(err)
	}},
	{name: "a restart of the kubelet", survives: true, possible: inKubernetes, harm: restartOf("kubelet")},
	{name: "a restart of the API server", possible: inKubernetes, harm: restartOf("kube-apiserver")},
	{name: "a restart of Kubernetes' etcd", possible: inKubernetes, harm: restartOf("etcd")},
}

func restartOf(server string) func(context.Context, *spout) outcome {
	return func(ctx context.Context, s *spout) outcome {
		s.later(func() error { return s.Cluster.Kubernetes().Restart(ctx, server) })
		return goOn
	}
}

// kubernetesPod is the pod that runs the spout.
func (s *spout) kubernetesPod(ctx context.Context) (kubernetes.Pod, error) {
	pods, err := s.Cluster.Kubernetes().Pods(ctx, kubernetesNamespace, "pipelineName="+s.name)
	if err != nil {
		return kubernetes.Pod{}, err
	}
	for _, pod := range pods {
		if pod.Status.Phase == "Running" && pod.Metadata.DeletionTimestamp == nil {
			return pod, nil
		}
	}
	return kubernetes.Pod{}, errors.New("the spout has no running pod")
}

// untilGone does something in the background, and returns once the spout's pod
// does not run any more.
func (s *spout) untilGone(ctx context.Context, do func(context.Context) error) error {
	pod, err := s.kubernetesPod(ctx)
	if err != nil {
		return err
	}
	s.later(func() error { return do(ctx) })
	waiting, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("pod %s has not gone within %s", pod.Metadata.Name, patience))
	defer cancel() // and not of what is done, which takes longer
	return poll(waiting, func() (bool, error) {
		now, err := s.kubernetesPod(waiting)
		return err != nil || now.Metadata.UID != pod.Metadata.UID, nil
	})
}

// drain takes everything off the node, as before maintenance, and lets it back
// after a while.
func (s *spout) drain(ctx context.Context) error {
	lab := s.Cluster.Kubernetes()
	_, err := lab.Kubectl(ctx, "drain", kubernetes.NodeName, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=2m")
	time.Sleep(stall)
	_, back := lab.Kubectl(context.WithoutCancel(ctx), "uncordon", kubernetes.NodeName)
	return errors.Join(err, back)
}

// inOwnFolder lets a spout's pod in a real Kubernetes see the campaign's folder
// where it is: its clock and what sources log in with are there.
func (s *spout) inOwnFolder(dir string) string {
	if !s.inKubernetes() {
		return ""
	}
	return fmt.Sprintf(`[{"op":"add","path":"/volumes/-","value":{"name":"campaign","hostPath":{"path":%[1]q}}},`+
		`{"op":"add","path":"/containers/0/volumeMounts/-","value":{"name":"campaign","mountPath":%[1]q}}]`, dir)
}
