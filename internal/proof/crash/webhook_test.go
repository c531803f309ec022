// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/webhook"
)

// The side of webhooks knows what it has sent, and finds what is missing and
// what is there twice.
func TestWebhookSide(t *testing.T) {
	t.Parallel()
	s := &spout{campaign: &campaign{Options: Options{Log: io.Discard}, kind: kind{name: "webhook"}, began: time.Now()}}
	made, err := startWebhook(t.Context(), s, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.side = made
	defer made.close() //nolint:errcheck // it never fails
	all := s.settings()
	all.HTTPPort = 0
	if err := all.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := all.ValidateSecrets(); err != nil {
		t.Fatal(err)
	}
	server := pachtest.New(t)
	client, err := connect(server.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // the test is over
	_, err = client.PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{Pipeline: &pps.Pipeline{Project: &pfs.Project{Name: "default"}, Name: "spout"},
		Transform: &pps.Transform{Image: "runner", Cmd: []string{"/spout-runner"}}, Spout: &pps.Spout{}})
	if err != nil {
		t.Fatal(err)
	}
	sidecar, err := connect(server.Sidecar("default", "spout"))
	if err != nil {
		t.Fatal(err)
	}
	defer sidecar.Close() //nolint:errcheck // the test is over
	in, err := ingest.New(ingest.Config{Settings: all, Client: sidecar, Branch: sidecar.Branch("default", "spout", "master"), Writer: "w", Log: hclog.NewNullLogger(), Metrics: ingest.NewMetrics(),
		NewSource: func() (source.Source, error) {
			return webhook.Make(all, source.Options{Memory: ingest.SourceShare(all), Log: hclog.NewNullLogger()})
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() { ended <- in.Run(running) }()
	made.produce(ctx, rand.New(rand.NewPCG(1, 0)), 100)
	if err := made.settle(ctx); err != nil {
		t.Fatal(err)
	}
	if reached, err := made.reached(spoutcommit.Description{}); err != nil || !reached || made.known() != 100 {
		t.Errorf("%d events are known, %v", made.known(), err)
	}
	stop()
	<-ended //nolint:errcheck // it was ended
	branch := client.Branch("default", "spout", "master")
	report, err := made.audit(ctx, branch)
	if err != nil || !report.OK() || report.Records != 100 {
		t.Fatalf("%v %v", report, err)
	}
	// What was sent and is nowhere is lost.
	w := made.(*webhookSide)
	w.mu.Lock()
	w.answered["another"] = true
	w.sent++
	w.mu.Unlock()
	if report, err := made.audit(ctx, branch); err != nil || report.Lost != 1 {
		t.Errorf("%v %v", report, err)
	}
}
