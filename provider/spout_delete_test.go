// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a spout has ingested is only deleted by those who say so.
func TestSpoutDataIsKept(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		i.must(i.apply(kafkaSpout(nil)))
		writeData(t, s, orders)
		if err := contains(errorsIn(i.destroy()), "holds data", "force_destroy", "keep_output_repo", "paused"); err != nil {
			t.Error(err)
		}
		if p := inspect(t, s, orders); p.Stopped || count(s, "DeletePipeline")+count(s, "StopPipeline") > 0 {
			t.Error("a refused destroy touched the spout")
		}
		// Data that are on the head no more count too.
		i.must(i.apply(kafkaSpout(object{"paused": true})))
		i.must(i.apply(kafkaSpout(nil)))
		if err := contains(errorsIn(i.destroy()), "holds data"); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		i.must(i.apply(kafkaSpout(object{"force_destroy": true})))
		i.must(i.destroy())
		if repos := s.Repos(""); len(repos) > 0 || !i.state.IsNull() {
			t.Errorf("there are still %v", repos)
		}

		kept := newInstance(t, s)
		kept.must(kept.apply(kafkaSpout(object{"keep_output_repo": true})))
		writeData(t, s, orders)
		kept.must(kept.destroy())
		if repos := s.Repos(""); !slices.Equal(repos, []string{"orders"}) || len(s.Pipelines("")) > 0 {
			t.Errorf("after keep_output_repo there are the repos %v", repos)
		}
		// The name cannot be used again.
		if err := contains(errorsIn(kept.apply(kafkaSpout(nil))), "Repo default/orders is in the way"); err != nil {
			t.Error(err)
		}
	})
}

// Files without content are data too; commits without files are none.
func TestSpoutEmptyFilesAreKept(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		i.must(i.apply(kafkaSpout(nil)))
		write(t, s, orders, "/done", "")
		if err := contains(errorsIn(i.destroy()), "holds data"); err != nil {
			t.Error(err)
		}
		once := newInstance(t, s, onlyOnce)
		once.must(once.importID("default/orders", nil))
		for _, f := range failures {
			fault := f.inject(s, "ListFile")
			if err := contains(errorsIn(once.destroy()), f.want); err != nil || fault.Fired() == 0 {
				t.Errorf("ListFile answers %s: %v", f.name, err)
			}
			fault.Remove()
		}
		i = newInstance(t, s)
		i.must(i.apply(kafkaSpout(object{"name": "fileless"})))
		write(t, s, pachyderm.PipelineID{Project: "default", Name: "fileless"}, "", "")
		i.must(i.destroy())
	})
}

// Data that come in while the destroy looks elsewhere are found too.
func TestSpoutDataWrittenWhileDestroying(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		i.must(i.apply(transformSpout(nil)))
		held := make(chan struct{})
		stop := s.Inject(pachtest.Fault{Method: "StopPipeline", Stall: held})
		go func() {
			<-stop.Reached()
			writeData(t, s, orders)
			close(held)
		}()
		if err := contains(errorsIn(i.destroy()), "holds data"); err != nil {
			t.Error(err)
		}
		if p := inspect(t, s, orders); p.Stopped {
			t.Error("the spout was left stopped")
		}
	})
}

// So are those of a worker that Pachyderm has not ended yet when it calls the
// spout paused.
func TestSpoutDataWrittenByTheLastWorker(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		i.must(i.apply(transformSpout(nil)))
		s.SetWorkers("default", "orders", 1)
		said := make(chan []*tfprotov6.Diagnostic, 1)
		go func() { said <- i.destroy() }()
		awaitPaused(t, s)
		awaitLooks(t, s, said, "its worker is there")
		writeData(t, s, orders)
		s.SetWorkers("default", "orders", 0)
		if err := contains(errorsIn(<-said), "holds data"); err != nil {
			t.Error(err)
		}
		if p := inspect(t, s, orders); p.Stopped {
			t.Error("the spout was left stopped")
		}
	})
}

// A spout that does not end is not destroyed, and goes on.
func TestSpoutDoesNotStop(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		deadlines := newDeadlines()
		i := newInstance(t, s, WithDeadlines(deadlines.within))
		i.must(i.apply(transformSpout(object{"timeouts": object{"delete": "7m"}})))
		s.SetWorkers("default", "orders", 1)
		said := make(chan []*tfprotov6.Diagnostic, 1)
		go func() { said <- i.destroy() }()
		awaitPaused(t, s)
		awaitLooks(t, s, said, "its worker is there")
		deadlines.pass(7 * time.Minute)
		if err := contains(errorsIn(<-said), "Cannot destroy", "has not stopped", "took too long", "1 of 1 workers"); err != nil {
			t.Error(err)
		}
		if p := inspect(t, s, orders); p.Stopped {
			t.Error("the spout was left stopped")
		}
	})
}

// A spout that others read is not destroyed, and goes on.
func TestSpoutReadByOthers(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		i.must(i.apply(kafkaSpout(nil)))
		readOrders(t, s)
		if err := contains(errorsIn(i.destroy()), "default/report", "runs on"); err != nil {
			t.Error(err)
		}
		if count(s, "StopPipeline")+count(s, "DeletePipeline") > 0 {
			t.Error("the spout was touched")
		}
		// Where the look did not find them, the server does, after it has stopped the spout.
		s.Inject(pachtest.Fault{Method: "InspectBranch", Before: status.Error(codes.NotFound, "branch not found")})
		if got := errorsIn(i.destroy()); got == "" {
			t.Error("it was destroyed")
		}
		if p := inspect(t, s, orders); p.Stopped {
			t.Error("the spout was left stopped")
		}
	})
}

// readOrders makes a pipeline that reads the output branch of orders.
func readOrders(t *testing.T, s *pachtest.Server) {
	t.Helper()
	report := &pps.CreatePipelineRequest{
		Pipeline:  &pps.Pipeline{Name: "report", Project: &pfs.Project{Name: "default"}},
		Transform: &pps.Transform{Image: "x", Cmd: []string{"y"}},
		Input:     &pps.Input{Pfs: &pps.PFSInput{Project: "default", Repo: "orders", Branch: "master", Glob: "/"}},
	}
	if _, err := client(t, s).PPS.CreatePipeline(t.Context(), report); err != nil {
		t.Fatal(err)
	}
}
