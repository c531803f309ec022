// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubernetes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// client is the administrator's way to the API server.
type client struct {
	http    http.Client
	address string
}

func newClient(pki, address string) (*client, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "admin.crt"), filepath.Join(pki, "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &client{address: address, http: http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}, ForceAttemptHTTP2: true}}}, nil
}

func (c *client) do(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.address+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %.500s", method, path, resp.Status, text)
	}
	return text, nil
}

func (c *client) get(ctx context.Context, path string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, path)
}

// Pod is a pod, with what tests ask for.
type Pod struct {
	Metadata struct {
		Name, Namespace, UID string
		Labels, Annotations  map[string]string
		DeletionTimestamp    *time.Time
	}
	Spec   json.RawMessage
	Status struct {
		Phase, Reason, Message, PodIP string
		Conditions                    []struct{ Type, Status, Reason, Message string }
		ContainerStatuses             []ContainerStatus
		InitContainerStatuses         []ContainerStatus
	}
}

// ContainerStatus is what the kubelet says of a container.
type ContainerStatus struct {
	Name, ContainerID, ImageID string
	Ready                      bool
	RestartCount               int
	State, LastState           struct {
		Waiting    *struct{ Reason, Message string }
		Running    *struct{ StartedAt time.Time }
		Terminated *Terminated
	}
}

// Terminated is the end of a container.
type Terminated struct {
	Reason                string
	ExitCode              int
	StartedAt, FinishedAt time.Time
}

// Pods returns the pods of a namespace that have the labels, as kubectl's option --selector takes them.
func (l *Lab) Pods(ctx context.Context, namespace, selector string) ([]Pod, error) {
	text, err := l.client.get(ctx, "/api/v1/namespaces/"+namespace+"/pods?labelSelector="+selector)
	if err != nil {
		return nil, err
	}
	var list struct{ Items []Pod }
	return list.Items, json.Unmarshal(text, &list)
}

// DeletePod deletes a pod with so many seconds of grace; less than 0 means what the pod itself asks for.
func (l *Lab) DeletePod(ctx context.Context, namespace, name string, grace int) error {
	path := "/api/v1/namespaces/" + namespace + "/pods/" + name
	if grace >= 0 {
		path += fmt.Sprintf("?gracePeriodSeconds=%d", grace)
	}
	_, err := l.client.do(ctx, http.MethodDelete, path)
	return err
}

// Log returns what a container has logged since it was last started.
func (l *Lab) Log(ctx context.Context, namespace, pod, container string) ([]byte, error) {
	return l.client.get(ctx, "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/log?container="+container)
}

// Await waits until check succeeds.
func Await(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// ContainerPID returns the first process of a container, which a status names as containerd://ID.
func (l *Lab) ContainerPID(containerID string) (int, error) {
	id := strings.TrimPrefix(containerID, "containerd://")
	text, err := os.ReadFile(filepath.Join("/run/containerd/io.containerd.runtime.v2.task/k8s.io", filepath.Base(id), "init.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Tasks returns the first processes of the running containers of a name, whatever Kubernetes knows of them.
func (l *Lab) Tasks(ctx context.Context, container string) ([]int, error) {
	out, err := l.ctr(ctx, "containers", "list", "--quiet", fmt.Sprintf("labels.%q==%q", "io.kubernetes.container.name", container))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, id := range strings.Fields(out) {
		if pid, err := l.ContainerPID(id); err == nil && fileExists(fmt.Sprintf("/proc/%d/exe", pid)) && syscall.Kill(pid, 0) == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// FollowLog returns a file that a container's log is written to, as it comes, until the pod ends.
func (l *Lab) FollowLog(namespace, pod, container string) (string, error) {
	path := l.path("log", namespace+"_"+pod+"_"+container+".log")
	l.mu.Lock()
	defer l.mu.Unlock()
	if fileExists(path) {
		return path, nil
	}
	cmd := exec.Command(l.KubectlPath(), "--kubeconfig="+l.kubeconfig, "logs", "--follow", "--namespace="+namespace, pod, "--container="+container)
	so, err := l.Log(context.Background(), namespace, pod, container)
	if err != nil {
		return "", err
	}
	s, err := child.StartServer(cmd, path)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	return path, Await(ctx, func(context.Context) error { // or its reader would miss what has been logged
		info, err := os.Stat(path)
		if err == nil && info.Size() < int64(len(so)) {
			err = fmt.Errorf("%s does not come: %s", path, s.LogTail(1))
		}
		return err
	})
}
