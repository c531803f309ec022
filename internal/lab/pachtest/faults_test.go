// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestFaultBefore(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	injected := srv.Inject(Fault{Method: "CreateRepo", Nth: 2, Count: 1, Before: status.Error(codes.Unavailable, "no")})
	s.createRepo("a")
	_, err := s.pfs.CreateRepo(s.ctx, &pfs.CreateRepoRequest{Repo: s.repo("b")})
	s.fails(err, codes.Unavailable, "no")
	s.equal(srv.Repos("p"), []string{"a"})
	s.createRepo("b")
	s.equal(injected.Fired(), 1)
	s.equal(srv.Calls("CreateRepo")[1].Code, codes.Unavailable)
}

func TestLostReplies(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{false, true} {
		srv, s := fake(t)
		s.createRepo("r")
		srv.Inject(Fault{Method: "StartCommit", LoseReply: !cut, Cut: cut})
		_, err := s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("r", "master")})
		s.fails(err, codes.Unavailable, "")
		history := srv.Commits("p", "r", "master")
		s.equal(len(history), 1)
		s.equal(history[0].Open, true)
		s.finish(s.pfs, "r", history[0].ID, "", "")

		srv.Inject(Fault{Method: "ModifyFile", LoseReply: !cut, Cut: cut})
		s.fails(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1")), codes.Unavailable, "")
		s.equal(s.files("r", ""), "/a=1")
	}
}

func TestFaultInTheMiddleOfAnUpload(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	s.createRepo("r")
	srv.Inject(Fault{Method: "ModifyFile", AfterMessages: 3, Cut: true})
	s.fails(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1"), addChange("/b", "2")), codes.Unavailable, "")
	s.equal(len(srv.Commits("p", "r", "master")), 0)
	s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1"), addChange("/b", "2")))
}

func TestStalls(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	release := make(chan struct{})
	injected := srv.Inject(Fault{Method: "CreateRepo", Stall: release})
	done := make(chan error, 1)
	go func() {
		_, err := s.pfs.CreateRepo(s.ctx, &pfs.CreateRepoRequest{Repo: s.repo("a")})
		done <- err
	}()
	<-injected.Reached()
	s.equal(len(srv.Repos("p")), 0)
	close(release)
	s.ok(<-done)

	late := make(chan struct{})
	injected = srv.Inject(Fault{Method: "ModifyFile", StallReply: late})
	go func() { done <- s.modify(s.pfs, s.at("a", ""), addChange("/a", "1")) }()
	<-injected.Reached()
	s.eventually("the work is done though the reply waits", func() bool { return len(srv.Commits("p", "a", "master")) == 1 })
	select {
	case err := <-done:
		t.Fatalf("answered early: %v", err)
	default:
	}
	close(late)
	s.ok(<-done)
}

func TestFaultsBySide(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	side := s.createSpout("s")
	srv.Inject(Fault{Method: "InspectBranch", Side: Sidecar, Count: -1, Before: status.Error(codes.Unavailable, "no")})
	_, err := side.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("s", "master")})
	s.fails(err, codes.Unavailable, "no")
	s.head("s")
	calls := srv.Calls("InspectBranch")
	s.equal(calls[len(calls)-2].Pipeline, "p/s")
}

func TestPauseAndDown(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	srv.Pause()
	ctx, cancel := context.WithTimeout(s.ctx, 100*time.Millisecond)
	defer cancel()
	_, err := s.pfs.InspectRepo(ctx, &pfs.InspectRepoRequest{Repo: s.repo("r")})
	s.fails(err, codes.DeadlineExceeded, "")
	srv.Resume()
	s.createRepo("r")
	srv.CutConnections()
	s.eventually("the client connects again", func() bool {
		_, err := s.pfs.InspectRepo(s.ctx, &pfs.InspectRepoRequest{Repo: s.repo("r")})
		return err == nil
	})
	srv.Down(Main)
	ctx, cancel = context.WithTimeout(s.ctx, 100*time.Millisecond)
	defer cancel()
	// Unavailable if the call meets the old connection, otherwise it waits for
	// a new one.
	_, err = s.pfs.InspectRepo(ctx, &pfs.InspectRepoRequest{Repo: s.repo("r")})
	if code := status.Code(err); code != codes.Unavailable && code != codes.DeadlineExceeded {
		t.Errorf("a pachd that is down answers %v", err)
	}
	srv.Up(Main)
	s.createRepo("r2")
}

func TestRandomFaultsAreTheSameForASeed(t *testing.T) {
	t.Parallel()
	run := func() string {
		srv, s := fake(t)
		srv.RandomFaults(rand.NewPCG(1, 2), Rates{Methods: []string{"CreateRepo"}, Before: 0.2, LoseReply: 0.2, Delay: 0.5, MaxDelay: time.Microsecond})
		var outcome []codes.Code
		for i := range 50 {
			_, err := s.pfs.CreateRepo(s.ctx, &pfs.CreateRepoRequest{Repo: s.repo(fmt.Sprint("r", i))})
			outcome = append(outcome, status.Code(err))
		}
		srv.RandomFaults(nil, Rates{})
		s.createRepo("last")
		s.equal(slices.Contains(outcome, codes.OK), true)
		s.equal(slices.Contains(outcome, codes.Unavailable), true)
		return fmt.Sprint(outcome, srv.Repos("p"))
	}
	if first, second := run(), run(); first != second {
		t.Fatalf("%s\n%s", first, second)
	}
}

// Writers, readers and cuts at once, for the race detector; then every commit
// has to be whole.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	s.createRepo("r")
	srv.RandomFaults(rand.NewPCG(7, 7), Rates{Methods: []string{"ModifyFile"}, Before: 0.1, LoseReply: 0.1, Cut: 0.05})
	var wg sync.WaitGroup
	var written atomic.Int64
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				err := s.modify(s.pfs, s.at("r", ""), addChange(fmt.Sprintf("/%d/%d", w, i), "x"), addChange(fmt.Sprintf("/%d/%d.more", w, i), "y"))
				if err == nil {
					written.Add(1)
				}
				srv.Commits("p", "r", "master")
			}
		})
	}
	wg.Wait()
	srv.RandomFaults(nil, Rates{})
	s.finished("r", s.head("r"))
	history := srv.Commits("p", "r", "master")
	if len(history) < int(written.Load()) {
		t.Fatalf("%d commits of %d writes", len(history), written.Load())
	}
	// A call whose connection was cut may have been sent again by gRPC itself, so
	// two commits may hold the same write; but each is whole, and none is lost.
	held := 0
	for i, c := range history {
		paths := c.Paths()
		for _, path := range paths {
			if !strings.HasSuffix(path, ".more") && !slices.Contains(paths, path+".more") {
				t.Fatalf("commit %d holds half a write: %v", i, paths)
			}
		}
		if len(paths)%2 != 0 || len(paths) < held || !c.Finished {
			t.Fatalf("commit %d holds %v", i, paths)
		}
		held = len(paths)
	}
	if held < 2*int(written.Load()) {
		t.Fatalf("%d files of %d writes", held, written.Load())
	}
}
