// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
)

// TestTeamsExample applies the example of two teams. The pipeline downstream of
// a spout then counts every record of its topic.
func TestTeamsExample(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: "orders", Partitions: 2},
		kafkatest.Topic{Name: "refunds", Partitions: 1}, kafkatest.Topic{Name: "devices.readings", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	examples := t.TempDir()
	for _, folder := range []string{"teams", "modules"} {
		if err := os.CopyFS(filepath.Join(examples, folder), os.DirFS(filepath.Join(root, "examples", folder))); err != nil {
			t.Fatal(err)
		}
	}
	w, err := built.cli.NewWorkspace(filepath.Join(examples, "teams"), built.provider, providerVersion, map[string]string{"PACHD_ADDRESS": c.Address()})
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := w.Write(name, text); err != nil {
			t.Fatal(err)
		}
	}
	write("terraform.tfvars", fmt.Sprintf("kafka = { brokers = [%s], tls = false }\nimage = %q\nforce_destroy = true\n", broker.AddressList(), image))
	// The example's batches and triggers are for days; a test has seconds.
	payments, err := os.ReadFile(filepath.Join(w.Dir, "payments.tf"))
	if err != nil {
		t.Fatal(err)
	}
	faster := strings.Replace(string(payments), "orders  = {}", `orders  = { batch = { max_age = "300ms" }, trigger = { commits = 1 } }`, 1)
	if faster == string(payments) {
		t.Fatal("payments.tf does not have the topic orders as it had")
	}
	write("payments.tf", faster)

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

	sent := 0
	for _, n := range []int{200, 100} {
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = &kgo.Record{Topic: "orders", Partition: int32(i % 2), Value: fmt.Appendf(nil, "order %d", sent+i)}
		}
		if err := broker.Produce(t.Context(), nil, records...); err != nil {
			t.Fatal(err)
		}
		sent += n
		await(t, fmt.Sprintf("the downstream pipeline has counted %d orders", sent), func() (bool, error) {
			text, err := c.Pachctl(t.Context(), "get", "file", "order-count@master:/count", "--project", "payments")
			if err == nil && strings.TrimSpace(text) != fmt.Sprint(sent) {
				err = fmt.Errorf("it has counted %s", strings.TrimSpace(text))
			}
			return err == nil, err
		})
	}
}
