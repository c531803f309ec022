// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/proc"
)

// Whose processor time it is, of the processes that make a commit.
const (
	shareRunner   = "runner"
	shareWorker   = "worker"
	shareSidecar  = "sidecar"
	sharePachd    = "pachd"
	sharePostgres = "postgres"
	shareEtcd     = "etcd"
)

var shares = []string{shareRunner, shareWorker, shareSidecar, sharePachd, sharePostgres, shareEtcd}

// spent is the processor time that each share has used since it was started.
type spent map[string]time.Duration

func (s spent) sum() (all time.Duration) {
	for _, d := range s {
		all += d
	}
	return all
}

func (s spent) since(before spent) spent {
	out := spent{}
	for name, d := range s {
		out[name] = d - before[name]
	}
	return out
}

// spentBelow adds up what the descendants of a process have used, those that
// have ended and been waited for included.
func spentBelow(root int) (spent, error) {
	all := map[int]proc.Process{}
	for _, p := range proc.All() {
		all[p.PID] = p
	}
	if len(all) == 0 {
		return nil, errors.New("the kernel does not tell the times of processes")
	}
	out := spent{}
	for pid, p := range all {
		below := false
		for at := p.Parent; at != 0 && !below; at = all[at].Parent {
			below = at == root
		}
		if share := shareOf(pid, p.Name); below && share != "" {
			out[share] += p.Used
		}
	}
	return out, nil
}

// shareOf says whose a process is; "" if it is nobody's that counts.
func shareOf(pid int, name string) string {
	switch name {
	case "spout-runner":
		return shareRunner
	case "worker", "dumb-init":
		return shareWorker
	case "postgres":
		return sharePostgres
	case "etcd":
		return shareEtcd
	case "pachd":
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // nothing if it has ended
		if bytes.Contains(line, []byte("sidecar")) {
			return shareSidecar
		}
		return sharePachd
	}
	return ""
}
