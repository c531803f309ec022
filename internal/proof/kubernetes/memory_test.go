// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// TestPodMemory: with a limit of just what the guide says for the default
// memory_budget, nothing is killed under the heaviest load of each format.
func TestPodMemory(t *testing.T) {
	c, l, _ := start(t)
	limit := settings.Default().ContainerMemory()
	for _, format := range []struct {
		name, compression string
		record            int // bytes; raw makes a file of each
	}{
		{"lines", "none", 1 << 10},
		{"lines", "gzip", 1 << 10},
		{"jsonl", "zstd", 1 << 10},
		{"raw", "none", 64 << 10},
		{"avro", "zstd", 1 << 10},
		{"parquet", "zstd", 1 << 10},
	} {
		t.Run(format.name+"-"+format.compression, func(t *testing.T) {
			name := "memory-" + format.name + "-" + format.compression
			w := written(t, c, spout(name, "4m", fmt.Sprintf(`file = { format = %q, compression = %q }
  resource_requests = { cpu = 0, memory = "%[3]d" }
  resource_limits   = { memory = "%[3]d" }`, format.name, format.compression, limit)))
			if said, err := apply(t, w); err != nil || strings.Contains(said, "Warning") {
				t.Fatal(said)
			}
			post(t, l, name, line(format.record))
			pod := podOf(t, l, name)
			pid := runnerOf(t, c, name)
			load(t.Context(), pod, format.record, 2)
			if now := runnerOf(t, c, name); now != pid {
				t.Error("the runner is another process than before")
			}
			for _, s := range podOf(t, l, name).Status.ContainerStatuses {
				if s.RestartCount > 0 || kills(l, s) > 0 {
					t.Errorf("container %s was started again %d times (%+v), and %d of its processes were killed for memory", s.Name, s.RestartCount, s.LastState.Terminated, kills(l, s))
				}
			}
			used := peaks(l, podOf(t, l, name))
			t.Logf("the containers took at most: %s", used)
			if used[cluster.UserContainer] < int(settings.Default().MemoryBudget)/2 {
				t.Errorf("the load was no load: %s", used)
			}
		})
	}
}

// TestPodMemoryTooSmall: a limit that is too small is warned of by the plan. A
// runner that is killed for it is said to be, with the limit and what to do; so
// is a spout that cannot even start.
func TestPodMemoryTooSmall(t *testing.T) {
	t.Parallel()
	c, l, _ := start(t)
	for name, test := range map[string]struct {
		limit string
		said  []string // by the apply
		load  bool
	}{
		"small":     {limit: "160Mi", said: []string{"Memory limit below what the runner may take", `"160Mi" is less than 448`}, load: true},
		"much-less": {limit: "24Mi", said: []string{"Memory limit below what the runner may take", "does not say why its pod does not work", `more memory than resource_limits.memory = "24Mi" allows. Raise the limit to 448MiB`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			name := "limit-" + name
			w := written(t, c, spout(name, "90s", fmt.Sprintf(`resource_requests = { cpu = 0, memory = "16Mi" }
  resource_limits   = { memory = %q }`, test.limit))+`
data "pachyderm_spout" "this" {
  name = pachyderm_spout.this.name
}
output "last_error" {
  value = data.pachyderm_spout.this.last_error
}
output "reason" {
  value = data.pachyderm_spout.this.reason
}
`)
			said, err := apply(t, w)
			t.Logf("%.3000s", said)
			for _, want := range test.said {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %s", want)
				}
			}
			if !test.load {
				if err == nil {
					t.Error("it is said to have started")
				}
				return
			}
			if err != nil {
				t.Fatal("it has not even started")
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var sending sync.WaitGroup
			sending.Go(func() {
				for ctx.Err() == nil {
					if pods, err := l.Pods(ctx, "default", "pipelineName="+name); err == nil && len(pods) > 0 {
						load(ctx, pods[0], 1<<10, 1)
					}
				}
			})
			defer sending.Wait()
			defer stop()
			eventually(t, "the spout says why its runner ends", func(context.Context) error {
				if err := w.Apply(ctx); err != nil {
					return err
				}
				out, err := w.Output(ctx)
				if err != nil {
					return err
				}
				if text := string(out["last_error"].Value); !strings.Contains(text, "signal: killed") || !strings.Contains(text, "resource_limits.memory") || !strings.Contains(text, test.limit) || !strings.Contains(text, "448MiB") {
					return fmt.Errorf("last_error is %s, the reason %s", text, out["reason"].Value)
				}
				t.Logf("%s", out["last_error"].Value)
				return nil
			})
		})
	}
}

// line is a record of about so many bytes.
func line(size int) string {
	return `{"text":"` + strings.Repeat("0123456789abcdef", size/16) + "\"}\n"
}

// load sends as much to a spout as it takes: half of the senders records of a
// size, the others one as large as can be. What they are answered is no matter.
func load(ctx context.Context, pod kubernetes.Pod, record, each int) {
	const senders, body = 16, 7 << 20
	bodies := []string{strings.Repeat(line(record), body/record), line(body)}
	patient := http.Client{Timeout: time.Minute, Transport: &http.Transport{}}
	defer patient.CloseIdleConnections()
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for range each {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+pod.Status.PodIP+":8080/in", strings.NewReader(bodies[sender%2]))
				if err != nil {
					return
				}
				resp, err := patient.Do(req)
				if err != nil {
					continue
				}
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
}

func runnerOf(t *testing.T, c *cluster.Cluster, name string) int {
	t.Helper()
	pid, err := c.AwaitUserCode(t.Context(), "default", name)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// usage is how much memory containers took, in bytes.
type usage map[string]int

func (u usage) String() string {
	return fmt.Sprintf("%s %d MiB, %s %d MiB", cluster.UserContainer, u[cluster.UserContainer]>>20, cluster.StorageContainer, u[cluster.StorageContainer]>>20)
}

// peaks says how much memory the containers of a pod have had at most, their
// files in memory included.
func peaks(l *kubernetes.Lab, pod kubernetes.Pod) usage {
	out := usage{}
	for _, s := range pod.Status.ContainerStatuses {
		out[s.Name], _ = strconv.Atoi(ofGroup(l, s, "memory", "memory.max_usage_in_bytes", "memory.peak"))
	}
	return out
}

// kills counts the processes of a container that were killed for memory. Of a
// container whose first process lives on, Kubernetes does not say it.
func kills(l *kubernetes.Lab, s kubernetes.ContainerStatus) int {
	for line := range strings.Lines(ofGroup(l, s, "memory", "memory.oom_control", "memory.events")) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(count))
			return n
		}
	}
	return 0
}
