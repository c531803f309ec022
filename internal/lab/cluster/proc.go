// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childrenOf returns the live child processes of pid.
func childrenOf(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var out []int
	for _, path := range stats {
		candidate, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		if state, parent := processState(candidate); parent == pid && state != zombie {
			out = append(out, candidate)
		}
	}
	return out, nil
}

func alive(pid int) bool {
	state, _ := processState(pid)
	return state != "" && state != zombie
}

// zombie is the state of a process that has ended and that its parent hasn't waited for.
const zombie = "Z"

// processState returns the state and the parent of a process, or nothing if it isn't there.
func processState(pid int) (state string, parent int) {
	fields := processStat(pid)
	if fields == nil {
		return "", 0
	}
	const stateField, parentField = 0, 1
	parent, err := strconv.Atoi(fields[parentField])
	if err != nil {
		return "", 0
	}
	return fields[stateField], parent
}

// startOf returns when a process started, in no known unit.
func startOf(pid int) int64 {
	fields := processStat(pid)
	const startField = 19
	if len(fields) <= startField {
		return math.MaxInt64
	}
	start, err := strconv.ParseInt(fields[startField], 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return start
}

// processStat returns the fields of /proc/PID/stat from the state on, or nil if the process isn't there.
func processStat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, found := bytes.Cut(text, []byte("("))
	end := bytes.LastIndexByte(rest, ')') // the name may hold anything
	if !found || end < 0 {
		return nil
	}
	return strings.Fields(string(rest[end+1:]))
}

// kill signals a process that is no child of this one, and after SIGKILL waits for its end.
func kill(pid int, sig syscall.Signal) error {
	process, err := os.FindProcess(pid) // holds on to this very process, even if its pid is given to another
	if err != nil {
		return err
	}
	defer func() { _ = process.Release() }()
	if err := process.Signal(sig); err != nil || sig != syscall.SIGKILL {
		return err
	}
	tick := time.NewTicker(userCodePoll)
	defer tick.Stop()
	for alive(pid) && process.Signal(syscall.Signal(0)) == nil {
		<-tick.C // a killed process ends soon, whatever it does
	}
	return nil
}
