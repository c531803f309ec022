// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestLifecycleUnderHarm pauses, resumes, updates and destroys a spout while its
// pod is deleted, the kubelet is killed, or the kubelet stands still: each apply
// ends as it should, no process of a pod outlives what was to end it, and no
// record is lost, doubled or out of order.
func TestLifecycleUnderHarm(t *testing.T) {
	c, l, _ := start(t)
	const name = "harmed"
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: name, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	configuration := func(age string, paused bool) string {
		return fmt.Sprintf(`
resource "pachyderm_spout" "this" {
  name          = %[1]q
  image         = %[2]q
  force_destroy = true
  paused        = %[3]t
  kafka         = { brokers = [%[4]s], topics = [%[1]q] }
  batch         = { max_age = %[5]q }
}
`, name, image, paused, broker.AddressList(), age)
	}
	w := written(t, c, configuration("300ms", false))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	truth, enough := produceOn(t, broker, name)
	for _, step := range []struct {
		what          string
		configuration string
		harm          func(t *testing.T, l *kubernetes.Lab, name string) (mend func())
		pods          int // in the end
	}{
		{"paused while its pod is deleted", configuration("300ms", true), deletePods, 0},
		{"resumed while the kubelet is killed", configuration("300ms", false), killKubelet, 1},
		{"updated while the kubelet is killed", configuration("260ms", false), killKubelet, 1},
		{"updated while its pod is deleted", configuration("250ms", false), deletePods, 1},
		{"updated while the kubelet stands still", configuration("200ms", false), stopKubelet, 1},
		{"paused while the kubelet stands still", configuration("200ms", true), stopKubelet, 0},
		{"resumed while the kubelet stands still", configuration("200ms", false), stopKubelet, 1},
	} {
		t.Run(strings.ReplaceAll(step.what, " ", "-"), func(t *testing.T) {
			began := time.Now()
			before := podNames(t, l, name)
			mend := step.harm(t, l, name)
			rewrite(t, w, step.configuration)
			applied := make(chan error, 1)
			go func() {
				said, err := apply(t, w)
				if err != nil {
					err = fmt.Errorf("%w: %.900s", err, said)
				}
				applied <- err
			}()
			eventually(t, "Kubernetes has the pods that were asked for", func(context.Context) error {
				now := podNames(t, l, name)
				if len(now) != step.pods || len(now) == 1 && slices.Equal(now, before) {
					return fmt.Errorf("the pods %v, after %v", now, before)
				}
				return nil
			})
			mend()
			if err := <-applied; err != nil {
				t.Fatal(err)
			}
			runs := processesOf(t, name, runnerProgram)
			if step.pods == 0 && len(runs) > 0 { // nothing may be written from here on
				t.Errorf("the runner runs after the apply: %v", runs)
			}
			eventually(t, "there are the processes that there should be", func(context.Context) error {
				runs, all := processesOf(t, name, runnerProgram), processesOf(t, name, "")
				if len(runs) != step.pods || step.pods == 0 && len(all) > 0 {
					return fmt.Errorf("the runners %v, of the processes %v", runs, all)
				}
				return nil
			})
			t.Logf("after %s", time.Since(began).Round(100*time.Millisecond))
		})
	}
	enough()
	branch := newClient(t, c).Branch("default", name, "master")
	eventually(t, "all is committed", func(ctx context.Context) error {
		head, err := branch.Head(ctx)
		if err != nil {
			return err
		}
		d, _, err := spoutcommit.ParseDescription(head.Description)
		if err != nil {
			return err
		}
		if reached, err := truth.Reached(d.Position); err != nil || !reached {
			return fmt.Errorf("not all, %w", err)
		}
		return nil
	})
	report, err := audit.Branch(t.Context(), branch, settings.LayoutOf("kafka", ""), truth)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if !report.OK() || report.Records != truth.Count() {
		t.Errorf("%d records were sent", truth.Count())
	}
	mend := stopKubelet(t, l, name)
	began := time.Now()
	rewrite(t, w, "")
	if said, err := apply(t, w); err != nil {
		t.Errorf("destroyed while the kubelet stands still: %s", said)
	}
	t.Logf("destroyed in %s", time.Since(began).Round(100*time.Millisecond))
	mend()
	eventually(t, "no process outlives a destroyed spout", func(context.Context) error {
		if all := processesOf(t, name, ""); len(all) > 0 {
			return fmt.Errorf("processes: %v", all)
		}
		return nil
	})
}

// produceOn sends ten records a second until enough is called.
func produceOn(t *testing.T, broker *kafkatest.Broker, topic string) (truth *audit.Produced, enough func()) {
	truth = audit.NewProduced(audit.OffsetsOf("kafka"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			err := broker.Produce(t.Context(), func(topic string, partition int32, offset int64, value string) {
				truth.Add(source.Stream{Name: topic, Partition: partition}, offset, value)
			}, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, `{"n":%d}`, n)})
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return truth, func() { cancel(); <-ended }
}

func deletePods(t *testing.T, l *kubernetes.Lab, name string) (mend func()) {
	kubectl(t, l, "delete", "pods", "--selector=pipelineName="+name, "--wait=false")
	return func() {}
}

// killKubelet kills it once it has something to do, and starts it again.
func killKubelet(t *testing.T, l *kubernetes.Lab, _ string) (mend func()) {
	return func() {
		if err := l.Restart(t.Context(), "kubelet"); err != nil {
			t.Error(err)
		}
	}
}

// stopKubelet has the kubelet stand still until it is mended.
func stopKubelet(t *testing.T, _ *kubernetes.Lab, _ string) (mend func()) {
	var pid int
	for _, p := range processes(t) {
		if filepath.Base(p.program) == "kubelet" {
			pid = p.pid
		}
	}
	if pid == 0 {
		t.Fatal("there is no kubelet")
	}
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(pid, s); err != nil {
			t.Errorf("%s to the kubelet: %v", s, err)
		}
	}
	signal(syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // if the test has failed
	return func() { signal(syscall.SIGCONT) }
}

const runnerProgram = "/spout-runner"

type process struct {
	pid     int
	program string
}

// processes are those of this lab, whose namespace they share.
func processes(t *testing.T) (all []process) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		command, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || len(command) == 0 {
			continue // it has ended
		}
		program, _, _ := bytes.Cut(command, []byte{0})
		all = append(all, process{pid, string(program)})
	}
	return all
}

// processesOf are those of a spout's pods, whatever Kubernetes knows of them, or
// those of them that run a program.
func processesOf(t *testing.T, name, program string) (found []process) {
	for _, p := range processes(t) {
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		if bytes.Contains(append([]byte{0}, environment...), []byte("\x00PPS_PIPELINE_NAME="+name+"\x00")) && (program == "" || p.program == program) {
			found = append(found, p)
		}
	}
	return found
}
