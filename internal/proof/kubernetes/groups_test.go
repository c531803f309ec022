// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
)

func userContainer(pod kubernetes.Pod) kubernetes.ContainerStatus {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == cluster.UserContainer {
			return s
		}
	}
	return kubernetes.ContainerStatus{}
}

// ofGroup reads a file of a container's control group, by the controller and its
// name in version 1, or its name in version 2. It is empty if the container has
// just ended.
func ofGroup(l *kubernetes.Lab, s kubernetes.ContainerStatus, controller, v1, v2 string) string {
	pid, err := l.ContainerPID(s.ContainerID)
	if err != nil {
		return ""
	}
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for group := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(group), ":", 3)
		if len(parts) != 3 || parts[1] != "" && !slices.Contains(strings.Split(parts[1], ","), controller) {
			continue
		}
		file := filepath.Join("/sys/fs/cgroup", parts[2], v2)
		if parts[1] != "" {
			file = filepath.Join("/sys/fs/cgroup", parts[1], parts[2], v1)
		}
		if text, err := os.ReadFile(file); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}
