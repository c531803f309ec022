// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestCPULimit: a spout works with half of a processor, which the kernel gives
// it, and Go does not start more threads than that is good for.
func TestCPULimit(t *testing.T) {
	t.Parallel()
	c, l, _ := start(t)
	const name = "half"
	w := written(t, c, spout(name, "4m", `resource_requests = { cpu = 0.1 }
  resource_limits   = { cpu = 0.5 }`))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	post(t, l, name, strings.Repeat(`{"text":"half of a processor is enough"}`+"\n", 10_000))
	pod := podOf(t, l, name)
	quota, period := ofGroup(l, userContainer(pod), "cpu", "cpu.cfs_quota_us", "cpu.max"), ofGroup(l, userContainer(pod), "cpu", "cpu.cfs_period_us", "cpu.max")
	if quota != "50000" && quota != "50000 100000" {
		t.Errorf("the kernel gives it %s us of %s", quota, period)
	}
	resp, err := client.Get("http://" + pod.Status.PodIP + ":9464/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^go_sched_gomaxprocs_threads (\d+)$`).FindSubmatch(page)
	if found == nil {
		t.Fatal("the metrics do not tell how many threads Go uses")
	}
	// Go takes two at least.
	if threads, _ := strconv.Atoi(string(found[1])); threads > 2 {
		t.Errorf("Go uses %d threads for half of a processor", threads)
	}
}
