// SPDX-License-Identifier: Apache-2.0

//go:build acceptance && linux

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// TestRabbitMQExample applies the example of RabbitMQ. The runners are
// killed and the node is restarted while messages come, and all are there: once those of the super
// stream and those that have an id.
func TestRabbitMQExample(t *testing.T) {
	n, err := rabbitmqcluster.Start(t.Context(), rabbitmqcluster.Options{})
	if errors.Is(err, rabbitmqcluster.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	for _, name := range []string{"orders", "payments"} {
		if err := n.Queue("quorum", name, nil); err != nil {
			t.Fatal(err)
		}
	}
	partitions, err := n.SuperStream("clicks", 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"add_user", "reader", "only-reads"}, {"set_permissions", "reader", "^$", "^$", "^(orders|payments|clicks.*)$"}} {
		if _, err := n.Control(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}

	c := cluster.Start(t)
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "rabbitmq"))); err != nil {
		t.Fatal(err)
	}
	w, err := built.cli.NewWorkspace(dir, built.provider, providerVersion, map[string]string{"PACHD_ADDRESS": c.Address()})
	if err != nil {
		t.Fatal(err)
	}
	_, amqpPort, err := net.SplitHostPort(n.AMQP())
	if err != nil {
		t.Fatal(err)
	}
	_, streamPort, err := net.SplitHostPort(n.Stream())
	if err != nil {
		t.Fatal(err)
	}
	variables := fmt.Sprintf("hosts = [%q]\namqp_port = %s\nstream_port = %s\ntls = false\nusername = \"reader\"\npassword = \"only-reads\"\nimage = %q\nforce_destroy = true\n", n.Host, amqpPort, streamPort, image)
	if err := w.Write("terraform.tfvars", variables); err != nil {
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

	const each = 300
	publish := func(from int) {
		t.Helper()
		for _, name := range partitions {
			p, err := n.AwaitPublisher(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			var messages [][]byte
			for i := range each {
				messages = append(messages, rabbitmqcluster.Message(fmt.Appendf(nil, `{"to":%q,"n":%d}`, name, from+i)))
			}
			err = p.Publish(messages...)
			p.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
		connection, err := n.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close() //nolint:errcheck // all is confirmed
		channel, err := connection.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if err := channel.Confirm(false); err != nil {
			t.Fatal(err)
		}
		for i := range each {
			for _, name := range []string{"orders", "payments"} {
				value := fmt.Sprintf(`{"to":%q,"n":%d}`, name, from+i)
				confirmation, err := channel.PublishWithDeferredConfirmWithContext(t.Context(), "", name, true, false,
					amqp.Publishing{MessageId: value, Body: []byte(value), DeliveryMode: amqp.Persistent})
				if err != nil {
					t.Fatal(err)
				}
				if !confirmation.Wait() {
					t.Fatal("refused")
				}
			}
		}
	}
	publish(0)
	for _, name := range []string{"orders", "clicks"} {
		if err := c.KillUserCode("default", name, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
	publish(each)
	n.Shutdown()
	if err := n.RestartWith(t.Context(), partitions...); err != nil {
		t.Fatal(err)
	}
	publish(2 * each)

	for _, name := range []string{"orders", "clicks"} {
		branch := newClient(t, c).Branch("default", name, "master")
		var written int64
		for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
			written = 0
			last, _, err := ingest.LastCommit(t.Context(), branch)
			if err != nil {
				t.Fatal(err)
			}
			if last != nil {
				err := branch.Ancestry(t.Context(), last.ID, func(commit *pachyderm.Commit) bool {
					if d, ours, err := spoutcommit.ParseDescription(commit.Description); err == nil && ours && commit.Error == "" && !commit.Finished.IsZero() {
						written += d.Written
					}
					return true
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if written >= 2*3*each {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d messages are in the commits", name, written)
			}
		}
		if written != 2*3*each {
			t.Errorf("%s: %d messages are in the commits, %d were sent", name, written, 2*3*each)
		}
		if name == "clicks" {
			continue
		}
		head, err := branch.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		files, err := branch.Files(t.Context(), head.ID)
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, file := range files {
			content, err := branch.ReadFile(t.Context(), head.ID, file.Path)
			if err != nil {
				t.Fatal(err)
			}
			all += string(content)
		}
		for _, queue := range []string{"orders", "payments"} {
			for i := range 3 * each {
				if got := strings.Count(all, fmt.Sprintf(`"value":{"to":%q,"n":%d}`, queue, i)); got != 1 {
					t.Errorf("message %d of %s is there %d times", i, queue, got)
				}
			}
		}
	}
}
