// SPDX-License-Identifier: Apache-2.0

// Package rsstest holds code to the memory that it was given, as the kernel
// counts it: the resident set of a process of its own. What else a test needs,
// such as a server that misbehaves, stays in the test's process and does not
// count.
//
//	func TestHostileServer(t *testing.T) {
//		if rsstest.Child(t) {
//			read(t, os.Getenv("SERVER")) // what is measured
//			return
//		}
//		server := startHostileServer(t)
//		rsstest.Run(t, rsstest.Limits{Budget: 16 << 20, Within: time.Minute}, "SERVER="+server.Address())
//	}
package rsstest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Variables of the child: the test that it is to run, the file for its
// figures, and the budget.
const (
	childTest   = "RSSTEST_CHILD"
	childFile   = "RSSTEST_FILE"
	childBudget = "RSSTEST_BUDGET"
)

// Limits are what a child may take.
type Limits struct {
	Budget int64         // of the code that is measured; see [Most]
	Within time.Duration // for all that the child does
}

// Most returns the most memory that a process with a budget may take: a
// quarter more, and what the program itself takes.
func Most(budget int64) int64 { return budget/4*5 + 64<<20 }

// Child says whether this is the process that is measured, and measures it up
// to the end of the test. As the runner does, it has the garbage collector
// mind the budget.
func Child(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childTest) != t.Name() {
		return false
	}
	budget, err := strconv.ParseInt(os.Getenv(childBudget), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	debug.SetMemoryLimit(budget/4*5 + 32<<20)
	began := time.Now()
	t.Cleanup(func() {
		peak, err := Peak(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		figures := fmt.Sprintf("%d %d", peak, time.Since(began))
		if err := os.WriteFile(os.Getenv(childFile), []byte(figures), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	return true
}

// Run runs the test again in a process of its own, in which [Child] is true,
// with further variables, and fails if that fails or exceeds its limits.
func Run(t *testing.T, limits Limits, env ...string) {
	t.Helper()
	if _, err := Peak(os.Getpid()); err != nil {
		t.Skip(err)
	}
	file := filepath.Join(t.TempDir(), "figures")
	ctx, cancel := context.WithTimeout(context.Background(), limits.Within)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+exactly(t.Name()), "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), append(env, childTest+"="+t.Name(), childFile+"="+file, childBudget+"="+strconv.FormatInt(limits.Budget, 10))...)
	output, failure := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("it took more than %v:\n%s", limits.Within, output)
	}
	figures, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("no figures, was Child called, or did it end early (%v)? %v:\n%s", failure, err, output)
	}
	var peak int64
	var elapsed time.Duration
	if _, err := fmt.Sscan(string(figures), &peak, (*int64)(&elapsed)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d MiB of memory, %.2f s", peak>>20, elapsed.Seconds())
	if failure != nil {
		t.Errorf("%v:\n%s", failure, output)
	}
	if most := Most(limits.Budget); peak > most {
		t.Errorf("%d MiB of memory were taken, %d at most are allowed with a budget of %d", peak>>20, most>>20, limits.Budget>>20)
	}
}

// exactly returns the regular expression of a test's name for -test.run.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// Peak returns the most memory that a process has had so far. It is an error
// if the process has ended, or the kernel does not tell.
func Peak(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("the kernel does not tell the memory of processes: %w", err)
	}
	found := highWater.FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	kib, err := strconv.ParseInt(string(found[1]), 10, 64)
	return kib << 10, err
}
