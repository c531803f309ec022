// SPDX-License-Identifier: Apache-2.0

// Package proc reads what Linux tells of processes.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// TicksPerSecond is the unit of the kernel's times of processes; it is the same for all programs on Linux.
const TicksPerSecond = 100

// Process is what /proc/PID/stat says of a process.
type Process struct {
	PID    int
	Name   string
	Parent int
	Ended  bool          // and its parent has not waited for it
	Used   time.Duration // processor time, with that of children that have ended and been waited for
	Start  int64         // ticks from the start of the machine to that of the process
}

// Fields of /proc/PID/stat behind the name, see proc_pid_stat(5).
const (
	stateField, parentField  = 0, 1
	firstUsed, behindLastUse = 11, 15
	startField               = 19
)

// Read returns a process; it is not ok if there is none.
func Read(pid int) (p Process, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	_, rest, _ := bytes.Cut(text, []byte("("))
	end := bytes.LastIndexByte(rest, ')') // the name may hold anything
	if end < 0 {
		return p, false
	}
	fields := strings.Fields(string(rest[end+1:]))
	if len(fields) <= startField {
		return p, false
	}
	numbers := make([]int64, startField+1) // of what is none, 0
	for i := range numbers {
		numbers[i], _ = strconv.ParseInt(fields[i], 10, 64)
	}
	p = Process{PID: pid, Name: string(rest[:end]), Parent: int(numbers[parentField]), Ended: fields[stateField] == "Z" || fields[stateField] == "X", Start: numbers[startField]}
	for _, ticks := range numbers[firstUsed:behindLastUse] {
		p.Used += time.Duration(ticks) * time.Second / TicksPerSecond
	}
	return p, true
}

// Runs says whether there is a process that has not ended.
func Runs(pid int) bool {
	p, ok := Read(pid)
	return ok && !p.Ended
}

// All returns all processes.
func All() (list []Process) {
	names, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a good one
	for _, name := range names {
		if pid, err := strconv.Atoi(filepath.Base(name)); err == nil {
			if p, ok := Read(pid); ok {
				list = append(list, p)
			}
		}
	}
	return list
}

// Children returns the processes that a process has started and that have not ended.
func Children(parent int) (list []Process) {
	for _, p := range All() {
		if p.Parent == parent && !p.Ended {
			list = append(list, p)
		}
	}
	return list
}
