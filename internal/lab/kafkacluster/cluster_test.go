// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package kafkacluster

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/proc"
)

// TestEndsWithItsProcess kills the process that has started a cluster. The
// kernel ends the brokers with it.
func TestEndsWithItsProcess(t *testing.T) {
	const variable = "KAFKACLUSTER_TEST_CHILD"
	if os.Getenv(variable) != "" {
		c, err := Start(t.Context(), Options{Brokers: 1})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("broker %d %s\n", c.Broker(1).server.PID(), c.dir)
		select {} // until it is killed
	}
	self := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestEndsWithItsProcess$")
	self.Env = append(os.Environ(), variable+"=1")
	out, err := self.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir, all string
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		all += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "broker ") {
			if _, err := fmt.Sscanf(lines.Text(), "broker %d %s", &pid, &dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	if pid == 0 {
		t.Fatalf("the child started no broker:\n%s", all)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // nobody else does once the child is killed
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the broker does not run: %v", err)
	}
	if err := self.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = self.Wait() // it was killed
	for deadline := time.Now().Add(30 * time.Second); proc.Runs(pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the broker has outlived the process that started it")
		}
	}
}
