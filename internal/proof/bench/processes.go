// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
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

// ticksPerSecond is in what the kernel tells times of processes; it is the same
// for all programs on Linux.
const ticksPerSecond = 100

// spentBelow adds up what the descendants of a process have used, those that
// have ended and been waited for included.
func spentBelow(root int) (spent, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return nil, fmt.Errorf("the kernel does not tell the times of processes: %w", err)
	}
	type process struct {
		parent int
		name   string
		used   time.Duration
	}
	all := map[int]process{}
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		name, fields, err := statOf(pid)
		if err != nil { // it has ended
			continue
		}
		const parent, first, last = 1, 11, 15 // of the fields: times of its own, and of children that it has waited for
		p := process{name: name}
		if p.parent, err = strconv.Atoi(fields[parent]); err != nil {
			return nil, err
		}
		for _, field := range fields[first:last] {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return nil, err
			}
			p.used += time.Duration(ticks) * time.Second / ticksPerSecond
		}
		all[pid] = p
	}
	out := spent{}
	for pid, p := range all {
		below := false
		for at := p.parent; at != 0 && !below; at = all[at].parent {
			below = at == root
		}
		if share := shareOf(pid, p.name); below && share != "" {
			out[share] += p.used
		}
	}
	return out, nil
}

// statOf returns the name of a process, and the fields that follow it in what
// the kernel tells, from its state on.
func statOf(pid int) (name string, fields []string, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", nil, err
	}
	_, rest, _ := bytes.Cut(text, []byte("("))
	end := bytes.LastIndexByte(rest, ')') // the name may hold anything
	if end < 0 {
		return "", nil, fmt.Errorf("process %d has ended", pid)
	}
	return string(rest[:end]), strings.Fields(string(rest[end+1:])), nil
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
