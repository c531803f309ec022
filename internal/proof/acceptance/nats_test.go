// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/natstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

// TestNATSExample applies the example of NATS. Messages come while the runners are
// killed, and everything is there once, and acknowledged in the end.
func TestNATSExample(t *testing.T) {
	c := cluster.Start(t)
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "nats"))); err != nil {
		t.Fatal(err)
	}
	s := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "reader", "nats-secret" })
	_, js := s.Connect(t, client.UserInfo("reader", "nats-secret"))
	for name, policy := range map[string]jetstream.RetentionPolicy{"ORDERS": jetstream.LimitsPolicy, "JOBS": jetstream.WorkQueuePolicy} {
		subjects := map[string]string{"ORDERS": "orders.>", "JOBS": "jobs.>"}[name]
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subjects}, Retention: policy}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := built.cli.NewWorkspace(dir, built.provider, providerVersion, map[string]string{"PACHD_ADDRESS": c.Address()})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("image = %q\nforce_destroy = true\nservers = [%q]\ncredentials = { username = \"reader\", password = \"nats-secret\" }\n", image, s.Address())
	if err := w.Write("terraform.tfvars", text); err != nil {
		t.Fatal(err)
	}
	var override string // pods share the machine's ports here
	for _, spout := range []string{"orders", "jobs"} {
		override += fmt.Sprintf("resource \"pachyderm_spout\" %q {\n  runner = { http_port = 0 }\n}\n", spout)
	}
	if err := w.Write("ports_override.tf", override); err != nil {
		t.Fatal(err)
	}
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Destroy(context.Background()); err != nil {
			t.Errorf("destroy: %v", err)
		}
	}()
	if err := w.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	planIsEmpty(t, w)

	truths := map[string]map[string]bool{"orders": {}, "jobs": {}} // values, by spout
	publish := func(spout, subject string, n int) {
		t.Helper()
		value := fmt.Sprintf(`{"n":%d}`, n)
		if _, err := js.Publish(t.Context(), subject, []byte(value)); err != nil {
			t.Fatal(err)
		}
		if spout != "" {
			truths[spout][value] = true
		}
	}
	for n := range 300 {
		publish("orders", fmt.Sprintf("orders.eu.%d", n%2), 2*n)
		publish("", "orders.us", 2*n) // which is not read
		publish("jobs", "jobs.mail", 2*n+1)
		if n%100 == 50 {
			for _, spout := range []string{"orders", "jobs"} {
				if err := c.KillUserCode(pachyderm.DefaultProject, spout, syscall.SIGKILL); err != nil {
					t.Log(err) // it is away already
				}
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	for spout, truth := range truths {
		var found map[string]int
		await(t, "all messages in "+spout, func() (bool, error) {
			found = valuesIn(t, c, spout)
			return len(found) >= len(truth), nil
		})
		for value := range truth {
			if found[value] != 1 {
				t.Errorf("%s has %s %d times", spout, value, found[value])
			}
		}
		if len(found) != len(truth) {
			t.Errorf("%s has %d values, should be %d", spout, len(found), len(truth))
		}
	}
	await(t, "all acknowledged", func() (bool, error) {
		stream, err := js.Stream(t.Context(), "JOBS")
		return err == nil && stream.CachedInfo().State.Msgs == 0, nil
	})
}

// valuesIn counts the values in the files of a spout of NATS.
func valuesIn(t *testing.T, c *cluster.Cluster, spout string) map[string]int {
	t.Helper()
	branch := newClient(t, c).Branch(pachyderm.DefaultProject, spout, "master")
	found := map[string]int{}
	head, err := branch.Head(t.Context())
	if err != nil || head == nil || head.Finished.IsZero() {
		return found
	}
	files, err := branch.Files(t.Context(), head.ID)
	if err != nil {
		return found
	}
	for _, file := range files {
		content, err := branch.ReadFile(t.Context(), head.ID, file.Path)
		if err != nil {
			return found
		}
		entries, err := audit.Records(settings.LayoutOf("nats", ""), file.Path, content)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			found[e.Value]++
		}
	}
	return found
}
