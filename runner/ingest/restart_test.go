// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// What Pachyderm and its users do to the branch while no runner runs.

var name = &pps.Pipeline{Project: &pfs.Project{Name: project}, Name: pipeline}

func (b *bench) stopPipeline() {
	b.t.Helper()
	if _, err := b.main.PPS.StopPipeline(b.t.Context(), &pps.StopPipelineRequest{Pipeline: name}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) startPipeline() {
	b.t.Helper()
	if _, err := b.main.PPS.StartPipeline(b.t.Context(), &pps.StartPipelineRequest{Pipeline: name}); err != nil {
		b.t.Fatal(err)
	}
}

// newIngested is a bench whose branch holds n records of each stream.
func newIngested(t *testing.T, version string, n int) *bench {
	t.Helper()
	b := newBench(t, version)
	b.ingest(n)
	return b
}

// ingest produces n more records to each stream and runs an ingester until all are in.
func (b *bench) ingest(n int) {
	b.t.Helper()
	b.log.produce(n)
	b.ingestAll()
}

// ingestAll runs an ingester until all is in, and ends it.
func (b *bench) ingestAll() {
	b.t.Helper()
	stop, ended := b.run()
	b.awaitAll()
	b.end(stop, ended)
}

// stopAndStart stops the pipeline, changes files as users may while it is stopped, and starts it again.
func (b *bench) stopAndStart(changes ...*pfs.ModifyFileRequest) {
	b.t.Helper()
	b.stopPipeline()
	if len(changes) > 0 {
		b.modify(changes...)
	}
	b.startPipeline()
}

// headFiles lists the paths that readers of the branch see.
func (b *bench) headFiles() []string {
	b.t.Helper()
	last, _, err := ingest.LastCommit(b.t.Context(), b.branch())
	if err != nil || last == nil {
		b.t.Fatal("no commit", err)
	}
	files, err := b.branch().Files(b.t.Context(), last.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	var paths []string
	for _, file := range files {
		paths = append(paths, file.Path)
	}
	return paths
}

// modify changes files on the branch as a user does with pachctl while the spout is stopped.
func (b *bench) modify(requests ...*pfs.ModifyFileRequest) {
	b.t.Helper()
	stream, err := b.main.PFS.ModifyFile(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	repo := &pfs.Repo{Project: &pfs.Project{Name: project}, Name: pipeline, Type: pfs.UserRepoType}
	commit := &pfs.Commit{Repo: repo, Branch: &pfs.Branch{Repo: repo, Name: "master"}}
	for _, request := range append([]*pfs.ModifyFileRequest{{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: commit}}}, requests...) {
		if err := stream.Send(request); err != nil {
			b.t.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		b.t.Fatal(err)
	}
}

func put(path string) *pfs.ModifyFileRequest {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{Path: path,
		Source: &pfs.AddFile_Raw{Raw: &types.BytesValue{Value: []byte("by hand")}}}}}
}

func remove(path string) *pfs.ModifyFileRequest {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_DeleteFile{DeleteFile: &pfs.DeleteFile{Path: path}}}
}

// TestOpenBelowTheHead: the pod died with a commit open, and Pachyderm has put
// one of its own on top, or several. Nothing above is ever finished unless
// what is below is closed.
func TestOpenBelowTheHead(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newIngested(t, version, 40)
		sidecar := b.connect(b.server.Sidecar(project, pipeline)).Branch(project, pipeline, "master")
		if _, err := sidecar.Start(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			b.stopAndStart()
		}
		b.ingest(40)
		if report := b.audit(); report.Records != 240 || report.RolledBack != 1 {
			t.Error(report)
		}
	})
}

// TestOpenBelowAUsersCommit: on 2.6 a user's commit may be FINISHED on top of
// one that a pod has left open, with an empty one of Pachyderm's own between.
func TestOpenBelowAUsersCommit(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newIngested(t, version, 40)
		sidecar := b.connect(b.server.Sidecar(project, pipeline)).Branch(project, pipeline, "master")
		left, err := sidecar.Start(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		b.stopAndStart()
		b.stopAndStart(put("/by-hand.txt"))
		b.ingest(40)
		if c, err := b.branch().Inspect(t.Context(), left); err != nil || c.Open() || c.Error == "" {
			t.Errorf("the commit that was left open: %+v, %v", c, err)
		}
		if report := b.audit(); report.Records != 240 {
			t.Error(report)
		}
	})
}

// TestChangedBeforeTheStart: what users have put into the branch before a
// runner has ever run is kept, too, when 2.6 empties the head.
func TestChangedBeforeTheStart(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newBench(t, version)
		b.stopAndStart(put("/by-hand.txt"))
		b.ingest(1)
		if files := b.headFiles(); len(files) != 4 || files[0] != "/by-hand.txt" {
			t.Errorf("a file that was put by hand is gone: %v", files)
		}
		b.audit()
	})
}

// TestSquashedBelow: a commit that says nothing, as Pachyderm's own or a
// user's, does not stay the newest: squashing the one below would take the
// position away and leave the data.
func TestSquashedBelow(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newIngested(t, version, 40)
		last, d, err := ingest.LastCommit(t.Context(), b.branch())
		if err != nil {
			t.Fatal(err)
		}
		b.stopAndStart(put("/by-hand.txt"))
		stop, ended := b.run()
		waitFor(t, "a commit on top says the position", func() bool {
			newest, says, err := ingest.LastCommit(t.Context(), b.branch())
			return err == nil && newest.ID != last.ID && string(says.Position) == string(d.Position)
		})
		b.end(stop, ended)
		if _, err := b.main.PFS.SquashCommitSet(t.Context(), &pfs.SquashCommitSetRequest{CommitSet: &pfs.CommitSet{ID: last.ID}}); err != nil {
			t.Fatal(err)
		}
		before := b.headFiles()
		b.ingest(1)
		if files := b.headFiles(); len(files) != len(before)+3 {
			t.Errorf("before the squash %v, after %v", before, files)
		}
	})
}

// TestInterruptedRepair: a repair that fails halfway is done again.
func TestInterruptedRepair(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"FinishCommit", "AddFileSet", "StartCommit", "CreateFileSet"} {
		for _, lose := range []bool{false, true} {
			b := newIngested(t, "2.6.0", 40)
			before := b.headFiles()
			b.stopAndStart()
			fault := pachtest.Fault{Method: method, Side: pachtest.Sidecar, LoseReply: lose}
			if !lose {
				fault.Before = status.Error(codes.Unavailable, "the sidecar is going down")
			}
			injected := b.server.Inject(fault)
			b.ingest(1)
			if injected.Fired() != 1 {
				t.Errorf("%s: the fault did not happen", method)
			}
			if report := b.audit(); report.Repairs != 1 {
				t.Errorf("%s, reply lost %v: %s", method, lose, report)
			}
			if after := b.headFiles(); len(after) <= len(before) {
				t.Errorf("%s, reply lost %v: %d files became %d", method, lose, len(before), len(after))
			}
		}
	}
}

// TestUsersChanges: what users do while the spout is stopped stands.
func TestUsersChanges(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newIngested(t, version, 40)
		b.stopAndStart(put("/by-hand.txt"))
		b.ingest(1)
		if files := b.headFiles(); len(files) < 4 || !strings.Contains(strings.Join(files, " "), "/by-hand.txt") {
			t.Errorf("a file that was put by hand is gone: %v", files)
		}
		if report := b.audit(); report.Records != 123 {
			t.Error(report)
		}

		b.stopAndStart(remove("/t/"), remove("/by-hand.txt"))
		b.ingest(1)
		if files := b.headFiles(); len(files) != 3 {
			t.Errorf("files that were deleted by hand are back: %v", files)
		}
	})
}

// TestCollision: a commit that Pachyderm rejects each time ends with a way out.
func TestCollision(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	b.stopPipeline()
	b.modify(put("/t")) // where the runner wants a folder
	b.log.produce(1)
	_, ended := b.run()
	err := <-ended
	if !source.IsStop(err) || !strings.Contains(err.Error(), "collision") || !strings.Contains(err.Error(), "SPOUT_FILE_PATH") {
		t.Error(err)
	}
}

// TestNewStreams: where a stream that is new to the source begins is fixed
// before anything else happens.
func TestNewStreams(t *testing.T) {
	t.Parallel()
	b := newIngested(t, "2.6.0", 10)
	b.log.mu.Lock()
	b.log.partitions = append(b.log.partitions, nil)
	b.log.mu.Unlock()
	stop, ended := b.run()
	waitFor(t, "a commit names the new stream", func() bool {
		_, d, err := ingest.LastCommit(t.Context(), b.branch())
		return err == nil && d.Reason == spoutcommit.ReasonStart && strings.Contains(string(d.Position), `"3":0`)
	})
	b.end(stop, ended)
	b.audit()
}

// TestUnreadableDescription: a finished commit of another release needs an operator.
func TestUnreadableDescription(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	sidecar := b.connect(b.server.Sidecar(project, pipeline)).Branch(project, pipeline, "master")
	id, err := sidecar.Start(t.Context(), `spout/2 {"new":"things"}`)
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := b.run() // an open one has no position that could count
	waitFor(t, "it is rolled back", func() bool {
		c, err := b.branch().Inspect(t.Context(), id)
		return err == nil && c.Error != ""
	})
	b.log.produce(1)
	b.awaitAll()
	b.end(stop, ended)
	if id, err = sidecar.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := sidecar.Finish(t.Context(), id, `spout/2 {"new":"things"}`); err != nil {
		t.Fatal(err)
	}
	_, ended = b.run()
	if err := <-ended; !source.IsStop(err) || !strings.Contains(err.Error(), "run the release that wrote it") {
		t.Error(err)
	}
}

// TestOtherSource: a branch belongs to one source.
func TestOtherSource(t *testing.T) {
	t.Parallel()
	b := newIngested(t, "2.6.0", 1)
	b.settings = settings.Default()
	b.settings.Source = "other"
	_, ended := b.run()
	var stop *source.Stop
	if err := <-ended; !errors.As(err, &stop) || !strings.Contains(err.Error(), "holds a position of the source kafka") {
		t.Error(err)
	}
}

// TestRewind goes back to a commit, reads on, and undoes it.
func TestRewind(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newIngested(t, version, 20)
		older, _, err := ingest.LastCommit(t.Context(), b.branch())
		if err != nil {
			t.Fatal(err)
		}
		files := b.headFiles()
		// It runs meanwhile, is superseded, and is started again by Pachyderm.
		stop, ended := b.run()
		b.log.produce(20)
		b.awaitAll()
		newest, _, err := ingest.LastCommit(t.Context(), b.branch())
		if err != nil {
			t.Fatal(err)
		}
		all := b.headFiles()

		plan, err := b.ingester().PlanRewind(t.Context(), "", func(c *pachyderm.Commit) bool { return !c.Finished.After(older.Finished) })
		if err != nil || plan.To.ID != older.ID || plan.Commits == 0 || plan.Records != int64(20*len(b.log.partitions)) || len(plan.Leave) != len(all)-len(files) || len(plan.Return) != 0 {
			t.Fatalf("%+v, %v", plan, err)
		}
		if !slices.Equal(b.headFiles(), all) {
			t.Error("a plan has changed the branch")
		}
		if _, err := b.ingester().Rewind(t.Context(), older.ID); err != nil {
			t.Fatal(err)
		}
		if got := b.headFiles(); !slices.Equal(got, files) {
			t.Errorf("the head has %q, not %q", got, files)
		}
		b.log.produce(1)
		var superseded *ingest.SupersededError
		if err := <-ended; !errors.As(err, &superseded) {
			t.Errorf("%v", err)
		}
		stop()
		b.ingestAll()
		if report := b.audit(); report.Rewinds != 1 {
			t.Errorf("%s", report)
		}

		if _, err := b.ingester().Rewind(t.Context(), newest.ID); err != nil {
			t.Fatal(err)
		}
		if got := b.headFiles(); !slices.Equal(got, all) {
			t.Errorf("the head has %q, not %q", got, all)
		}
		b.ingest(3)
		if report := b.audit(); report.Rewinds != 2 {
			t.Errorf("%s", report)
		}
		if _, err := b.ingester().Rewind(t.Context(), strings.Repeat("0", 32)); err == nil || !source.IsStop(err) {
			t.Errorf("a commit that is not there: %v", err)
		}
	})
}
