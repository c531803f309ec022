// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

// TestPodDeleted: Pachyderm's pods have no time to end in. One that was given
// some ends within it, with nothing left open, and what was not answered is
// committed when it is sent again.
func TestPodDeleted(t *testing.T) {
	t.Parallel()
	c, l, _ := start(t)
	const name, grace = "deleted", 20
	w := written(t, c, strings.NewReplacer(`"300ms"`, `"1s"`, `body = "ndjson"`, `body = "ndjson", id = "value:n"`).Replace(
		spout(name, "4m", fmt.Sprintf(`pod_patch = jsonencode([{ op = "replace", path = "/terminationGracePeriodSeconds", value = %d }])`, grace))))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	post(t, l, name, "{\"n\":0}\n")
	pod, pid := podOf(t, l, name), runnerOf(t, c, name)
	if !strings.Contains(string(pod.Spec), fmt.Sprintf(`"terminationGracePeriodSeconds":%d`, grace)) {
		t.Errorf("the pod has another grace: %s", pod.Spec)
	}
	unanswered := make(chan error, 1)
	go func() {
		resp, err := client.Post("http://"+pod.Status.PodIP+":8080/in", "application/x-ndjson", strings.NewReader("{\"n\":1}\n"))
		if err == nil {
			err = resp.Body.Close()
		}
		unanswered <- err
	}()
	began := time.Now()
	if err := l.DeletePod(t.Context(), "default", pod.Metadata.Name, -1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is gone", func(ctx context.Context) error {
		if slices.Contains(podNames(t, l, name), pod.Metadata.Name) || syscall.Kill(pid, 0) == nil {
			return fmt.Errorf("it is there, with process %d", pid)
		}
		return nil
	})
	took := time.Since(began)
	t.Logf("gone after %s; the request that was on its way: %v", took.Round(100*time.Millisecond), <-unanswered)
	if took > grace*time.Second {
		t.Errorf("it took longer than its grace of %d s", grace)
	}
	post(t, l, name, "{\"n\":1}\n") // as its sender does that was not answered
	branch, got := newClient(t, c).Branch("default", name, "master"), map[string]int{}
	eventually(t, "its commits are finished, and can be read", func(ctx context.Context) error {
		head, err := branch.Head(ctx)
		if err != nil {
			return err
		}
		unfinished, err := branch.Unfinished(ctx, head.ID, func(c *pachyderm.Commit) bool { return !c.Auto })
		if err != nil || len(unfinished) > 0 {
			return fmt.Errorf("commits that are open: %v, %w", unfinished, err)
		}
		entries, err := audit.InCommit(ctx, branch, head.ID, settings.LayoutOf("webhook", ""))
		for _, e := range entries {
			got[e.Value]++
		}
		return err
	})
	if got[`{"n":0}`] != 1 || got[`{"n":1}`] != 1 {
		t.Errorf("records: %v", got)
	}
}

// podNames are the pods of a spout that are not on their way out.
func podNames(t *testing.T, l *kubernetes.Lab, name string) (names []string) {
	pods, err := l.Pods(t.Context(), "default", "pipelineName="+name)
	if err != nil {
		t.Error(err)
	}
	for _, p := range pods {
		if p.Metadata.DeletionTimestamp == nil {
			names = append(names, p.Metadata.Name)
		}
	}
	return names
}
