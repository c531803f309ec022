// SPDX-License-Identifier: Apache-2.0

//go:build readers && linux

package readers

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// spout has the runner's loop read a source into the commits of a Pachyderm in
// this process.
type spout struct {
	t        *testing.T
	settings settings.Settings
	pachyd   *pachtest.Server
	ended    chan error
	stop     context.CancelFunc
}

// startSpout starts it; it ends with the test.
func startSpout(t *testing.T, s settings.Settings, driver func(settings.Settings, source.Options) (source.Source, error)) *spout {
	t.Helper()
	s.Batch.MaxAge = settings.Duration(100 * time.Millisecond)
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	p := &spout{t: t, settings: s, pachyd: pachtest.New(t), ended: make(chan error, 1)}
	outside := p.client(p.pachyd.Address())
	if _, err := outside.PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{Pipeline: &pps.Pipeline{Project: &pfs.Project{Name: "default"}, Name: "files"},
		Transform: &pps.Transform{Image: "runner", Cmd: []string{"/spout-runner"}}, Spout: &pps.Spout{}}); err != nil {
		t.Fatal(err)
	}
	sidecar, log := p.client(p.pachyd.Sidecar("default", "files")), hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Warn})
	in, err := ingest.New(ingest.Config{Settings: s, Client: sidecar, Branch: sidecar.Branch("default", "files", "master"), Writer: "writer", Log: log, Metrics: ingest.NewMetrics(),
		NewSource: func() (source.Source, error) {
			return driver(s, source.Options{Memory: ingest.SourceShare(s), Log: log})
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.ended <- in.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return p
}

func (p *spout) client(address string) *pachyderm.Client {
	p.t.Helper()
	parsed, err := pachyderm.ParseAddress(address)
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := pachyderm.Connect(pachyderm.Options{Address: parsed, UserAgent: "readers"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() }) //nolint:errcheck // the test is over
	return c
}

// await waits until n records are in finished commits.
func (p *spout) await(n int64) {
	p.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		written := int64(0)
		for _, c := range p.pachyd.Commits("default", "files", "master") {
			if d, ours, err := spoutcommit.ParseDescription(c.Description); err == nil && ours && c.Finished && c.Error == "" {
				written += d.Written
			}
		}
		if written >= n {
			return
		}
		select {
		case err := <-p.ended:
			p.t.Fatalf("the loop has ended after %d of %d records: %v", written, n, err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d of %d records are written", written, n)
		}
	}
}

// files writes what the newest commit has below a folder, each file of its
// records in order, and returns their paths.
func (p *spout) files(below string) (list []string) {
	p.t.Helper()
	all := p.pachyd.Commits("default", "files", "master")
	newest := all[len(all)-1]
	folder := p.t.TempDir()
	for _, name := range newest.Paths() {
		if !strings.HasPrefix(strings.TrimPrefix(name, "/"), below+"/") {
			continue
		}
		content, ok := newest.File(name)
		if !ok {
			p.t.Fatalf("%s has no content", name)
		}
		file := filepath.Join(folder, fmt.Sprintf("%03d-%s", len(list), path.Base(name)))
		if err := os.WriteFile(file, content, 0o600); err != nil {
			p.t.Fatal(err)
		}
		list = append(list, file)
	}
	slices.Sort(list)
	return list
}
