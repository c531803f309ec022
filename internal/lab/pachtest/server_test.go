// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/admin"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// fake starts a server and gives the suite's helpers over it.
func fake(t *testing.T, opts ...Option) (*Server, *suite) {
	t.Helper()
	srv := New(t, opts...)
	return srv, newSuite(t, Target{
		Version: srv.Version(), Address: srv.Address(), Sidecar: srv.Sidecar, Image: "image", Timeout: 10 * time.Second,
	}, "p")
}

func TestHealthAndClusterID(t *testing.T) {
	t.Parallel()
	srv, s := fake(t, WithClusterID("cluster", "deployment"))
	for _, address := range []string{srv.Address(), srv.Sidecar("p", "s")} {
		reply, err := healthpb.NewHealthClient(dialTarget(t, address)).Check(s.ctx, &healthpb.HealthCheckRequest{})
		s.ok(err)
		s.equal(reply.Status, healthpb.HealthCheckResponse_SERVING)
	}
	info, err := admin.NewAPIClient(s.conn).InspectCluster(s.ctx, &admin.InspectClusterRequest{})
	s.ok(err)
	s.equal(info.ID+" "+info.DeploymentID, "cluster deployment")
	_, err = admin.NewAPIClient(dialTarget(t, srv.Sidecar("p", "s"))).InspectCluster(s.ctx, &admin.InspectClusterRequest{})
	s.fails(err, codes.Unimplemented, "")
}

func TestNilBranchCrashes26(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	s.createRepo("r")
	err := s.modify(s.pfs, &pfs.Commit{Repo: s.repo("r"), ID: newID()}, addChange("/a", "1"))
	s.fails(err, codes.Unavailable, "")
	s.equal(len(srv.Panics()), 1)
	s.createRepo("next") // it was restarted

	srv, s = fake(t, WithVersion(Version211))
	s.createRepo("r")
	err = s.modify(s.pfs, &pfs.Commit{Repo: s.repo("r"), ID: newID()}, addChange("/a", "1"))
	s.fails(err, codes.NotFound, "commit (int_id=0")
	s.equal(len(srv.Panics()), 0)
}

func TestMessageLimit(t *testing.T) {
	t.Parallel()
	_, s := fake(t)
	s.createRepo("r")
	s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/a", strings.Repeat("x", 19<<20))))
	conn := dialTarget(t, s.Address)
	stream, err := pfs.NewAPIClient(conn).CreateFileSet(s.ctx)
	s.ok(err)
	// Past the client's own limit only if that is lifted; the server's counts too.
	err = stream.Send(addChange("/a", strings.Repeat("x", 20<<20)))
	if err == nil {
		_, err = stream.CloseAndRecv()
	}
	s.fails(err, codes.ResourceExhausted, "larger than max")
}

func TestCallsAndWrites(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	before := srv.Writes()
	s.createRepo("r")
	s.write(s.pfs, "r", "", addChange("/a", "1"))
	_, err := s.pfs.InspectRepo(s.ctx, &pfs.InspectRepoRequest{Repo: s.repo("r")})
	s.ok(err)
	s.equal(srv.Writes()-before, 5) // CreateRepo, CreateFileSet, StartCommit, AddFileSet, FinishCommit
	calls := srv.Calls("API/StartCommit")
	s.equal(len(calls), 1)
	s.equal(calls[0].Request.(*pfs.StartCommitRequest).Branch.Name, "master")
	s.equal(strings.Contains(calls[0].UserAgent, "grpc-go"), true)
	s.equal(srv.Calls("CreateFileSet")[0].Messages, 1)
	s.equal(len(srv.Calls("Commit")), 0)
}

func TestCommitHistory(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	s.createRepo("r")
	first := s.write(s.pfs, "r", "one", addChange("/a", "1"))
	bad := s.start(s.pfs, "r")
	s.ok(s.modify(s.pfs, s.at("r", bad), addChange("/x", "x")))
	s.finish(s.pfs, "r", bad, "", "rolled back")
	last := s.write(s.pfs, "r", "two", deleteChange("/a"), addChange("/a", "2"), addChange("/b", "3"))
	s.finished("r", last)
	open := s.start(s.pfs, "r")
	history := srv.Commits("p", "r", "master")
	s.equal(len(history), 4)
	s.equal([]string{history[0].ID, history[1].ID, history[2].ID, history[3].ID}, []string{first, bad, last, open})
	s.equal(history[1].Error, "rolled back")
	s.equal(history[2].Parent, bad)
	s.equal(history[2].Description, "two")
	s.equal(history[2].Added, []string{"/a", "/b"})
	s.equal(history[2].Deleted, []string{"/a"})
	s.equal(fmt.Sprintf("%s", history[2].Files()), "map[/a:2 /b:3]")
	s.equal(fmt.Sprintf("%s", history[1].Diff()), "map[/x:x]")
	s.equal(history[3].Open, true)
	s.equal(history[3].Paths(), []string{"/a", "/b"})
	content, ok := history[0].File("/a")
	s.equal(string(content), "1")
	s.equal(ok, true)
}

func TestHoldFinishing(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	s.createRepo("r")
	release := srv.HoldFinishing()
	first := s.write(s.pfs, "r", "", addChange("/a", "1"))
	second := s.write(s.pfs, "r", "", addChange("/b", "2"))
	s.equal(s.inspect("r", first, pfs.CommitState_FINISHING).Finished == nil, true)
	open := s.start(s.pfs, "r")
	_, err := s.pfs.InspectFile(s.ctx, &pfs.InspectFileRequest{File: &pfs.File{Commit: s.at("r", open), Path: "/a"}})
	s.fails(err, codes.Unknown, "base commit p/r@"+second+" for commit p/r@"+open+" unfinished")
	read := make(chan error, 1)
	go func() {
		_, err := s.pfs.InspectFile(s.ctx, &pfs.InspectFileRequest{File: &pfs.File{Commit: s.at("r", second), Path: "/a"}})
		read <- err
	}()
	release()
	s.ok(<-read)
	s.finished("r", second)
}

func TestFailNextValidation(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	s.createRepo("r")
	srv.FailNextValidation("out of luck")
	bad := s.write(s.pfs, "r", "", addChange("/a", "1"))
	s.equal(s.finished("r", bad).Error, "out of luck")
	good := s.write(s.pfs, "r", "", addChange("/b", "2"))
	s.equal(s.finished("r", good).Error, "")
	s.equal(s.files("r", good), "/b=2")
}

func TestFinishDelay(t *testing.T) {
	t.Parallel()
	_, s := fake(t, WithFinishDelay(30*time.Millisecond))
	s.createRepo("r")
	id := s.write(s.pfs, "r", "", addChange("/a", "1"))
	s.equal(s.inspect("r", id, pfs.CommitState_STARTED).Finished == nil, true)
	s.finished("r", id)
}

func TestFileSetsExpire(t *testing.T) {
	t.Parallel()
	var offset atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	_, s := fake(t, WithClock(clock))
	s.createRepo("r")
	set := s.fileSet(s.pfs, addChange("/a", "1"))
	offset.Store(int64(9 * time.Minute))
	_, err := s.pfs.RenewFileSet(s.ctx, &pfs.RenewFileSetRequest{FileSetId: set, TtlSeconds: 1800})
	s.ok(err)
	offset.Store(int64(38 * time.Minute))
	id := s.start(s.pfs, "r")
	add := &pfs.AddFileSetRequest{Commit: s.at("r", id), FileSetId: set}
	_, err = s.pfs.AddFileSet(s.ctx, add)
	s.ok(err)
	offset.Store(int64(40 * time.Minute))
	_, err = s.pfs.AddFileSet(s.ctx, add)
	s.fails(err, codes.Unknown, "path does not exist")
}

// A write into a commit by id that another finishes meanwhile drops all files.
func TestLateWriteEmptiesACommit(t *testing.T) {
	t.Parallel()
	for _, version := range []string{Version26, Version211} {
		srv, s := fake(t, WithVersion(version))
		s.createRepo("r")
		s.finished("r", s.write(s.pfs, "r", "", addChange("/a", "1")))
		id := s.start(s.pfs, "r")
		release := make(chan struct{})
		injected := srv.Inject(Fault{Method: "ModifyFile", AfterMessages: 2, Stall: release})
		done := make(chan error, 1)
		go func() { done <- s.modify(s.pfs, s.at("r", id), addChange("/b", "2")) }()
		<-injected.Reached()
		s.finish(s.pfs, "r", id, "", "")
		s.finished("r", id)
		close(release)
		s.ok(<-done)
		if version == Version26 {
			s.equal(s.files("r", id), "")
			continue
		}
		_, err := s.pfs.InspectFile(s.ctx, &pfs.InspectFileRequest{File: &pfs.File{Commit: s.at("r", id), Path: "/a"}})
		s.fails(err, codes.Unknown, "the commit is forgotten")
	}
}

func TestDatumsCollide(t *testing.T) {
	t.Parallel()
	_, s := fake(t)
	s.createRepo("r")
	add := addChange("/a", "2")
	add.GetAddFile().Datum = "other"
	s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1"), add))
	s.equal(s.finished("r", s.head("r")).Error, "duplicate path output by different datums (/a from default and /a from other)")
}

func TestManyCommits(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	s.createRepo("r")
	const n = 200
	for i := range n {
		s.write(s.pfs, "r", fmt.Sprint(i), addChange(fmt.Sprintf("/%03d/%06d", i%10, i), "content"), deleteChange("/pos"), addChange("/pos", fmt.Sprint(i)))
	}
	s.finished("r", s.head("r"))
	history := srv.Commits("p", "r", "master")
	s.equal(len(history), n)
	s.equal(len(history[n-1].Paths()), n+1)
	s.equal(len(history[n/2].Paths()), n/2+2)
	info, err := s.pfs.InspectRepo(s.ctx, &pfs.InspectRepoRequest{Repo: s.repo("r")})
	s.ok(err)
	s.equal(info.Details.SizeBytes, n*len("content")+3)
}

func TestCloseEndsWaiters(t *testing.T) {
	t.Parallel()
	srv, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	s := newSuite(t, Target{Version: srv.Version(), Address: srv.Address(), Sidecar: srv.Sidecar, Timeout: time.Second}, "p")
	s.createRepo("r")
	id := s.start(s.pfs, "r")
	done := make(chan error, 1)
	go func() {
		_, err := s.pfs.InspectCommit(s.ctx, &pfs.InspectCommitRequest{Commit: s.at("r", id), Wait: pfs.CommitState_FINISHED})
		done <- err
	}()
	s.eventually("the call arrives", func() bool { return len(srv.Calls("InspectCommit")) == 1 })
	srv.Close()
	if err := <-done; err == nil {
		t.Fatal("the waiting call succeeded")
	}
	s.ctx = canceled()
}

// canceled keeps a suite's clean-up from waiting for a server that is gone.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
