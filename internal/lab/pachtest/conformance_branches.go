// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"testing"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/pachyderm/pachyderm/v2/src/transaction"
	"google.golang.org/grpc/codes"
)

var branchCases = []conformanceCase{
	{"a trigger is removed in a transaction", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.setBranch("master", nil)
		s.setBranch("t", &pfs.Trigger{Branch: "master", Commits: 1})
		id := s.write(s.pfs, "r", "", addChange("/a", "1"))
		s.finished("r", id)
		s.eventually("the trigger moves the head", func() bool { return s.headOf("t") == id })
		err := s.batch(s.creation("aside", "t"), s.deletion("t"), s.creation("t", "aside"), s.deletion("aside"))
		if s.is29() {
			s.fails(err, codes.Unknown, "cannot be deleted because it triggers branches")
			return
		}
		s.ok(err)
		info, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "t")})
		s.ok(err)
		s.equal(info.Head.ID, id)
		s.equal(info.Trigger == nil, true)
		_, err = s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "aside")})
		s.fails(err, codes.NotFound, "not found")
		s.equal(s.files("r", id), "/a=1")
		s.write(s.pfs, "r", "", addChange("/b", "2"))
		s.equal(s.headOf("t"), id)
	}},
	{"a transaction does all or nothing", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.write(s.pfs, "r", "", addChange("/a", "1"))
		s.setBranch("t", nil)
		head := s.headOf("t")
		err := s.batch(s.creation("aside", "t"), s.deletion("t"), s.creation("t", "missing"))
		s.fails(err, codes.NotFound, "")
		s.equal(s.headOf("t"), head)
		_, err = s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "aside")})
		s.fails(err, codes.NotFound, "not found")
	}},
	{"a branch is made and deleted in a transaction", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.setBranch("t", nil)
		err := s.batch(s.creation("aside", "t"), s.deletion("aside"))
		if s.is29() {
			s.fails(err, codes.NotFound, "validate DAG at end of transaction")
		} else {
			s.ok(err)
		}
	}},
	{"a branch with a trigger is deleted", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.setBranch("master", nil)
		for _, trigger := range []*pfs.Trigger{{Branch: "master", Commits: 1}, {Branch: "master"}} {
			s.setBranch("t", trigger)
			if s.is29() {
				s.fails(s.deleteBranch("t", false), codes.Unknown, "cannot be deleted because it triggers branches")
				s.fails(s.deleteBranch("master", false), codes.Unknown, "cannot be deleted because it is triggered by branches")
				_, err := s.pfs.DeleteRepo(s.ctx, &pfs.DeleteRepoRequest{Repo: s.repo("r")})
				s.fails(err, codes.Unknown, "cannot be deleted because it")
				_, err = s.pfs.DeleteRepos(s.ctx, &pfs.DeleteReposRequest{Projects: []*pfs.Project{s.projectMessage()}})
				s.fails(err, codes.Unknown, "cannot be deleted because it")
			}
			s.ok(s.deleteBranch("t", true))
		}
		_, err := s.pfs.DeleteRepo(s.ctx, &pfs.DeleteRepoRequest{Repo: s.repo("r")})
		s.ok(err)
	}},
	{"what a forced deletion takes from other branches", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.setBranch("master", nil)
		s.setBranch("t", &pfs.Trigger{Branch: "master", Commits: 1})
		s.ok(s.deleteBranch("master", true))
		info, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "t")})
		s.ok(err)
		s.equal(info.Trigger == nil, s.is29())
		s.createRepo("down")
		_, err = s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("down", "master"), Provenance: []*pfs.Branch{s.branch("r", "t")}})
		s.ok(err)
		s.ok(s.deleteBranch("t", true))
		info, err = s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("down", "master")})
		s.ok(err)
		s.equal(len(info.DirectProvenance), 0)
	}},
	{"a trigger on a missing branch", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		_, err := s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("r", "t"), Trigger: &pfs.Trigger{Branch: "master", Commits: 1}})
		if s.is29() {
			s.fails(err, codes.NotFound, "@master) not found")
		} else {
			s.ok(err)
		}
	}},
	{"the empty commit that a branch begins with", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.setBranch("master", nil)
		s.setBranch("t", &pfs.Trigger{Branch: "master", Commits: 2})
		head := s.headOf("t")
		first := s.write(s.pfs, "r", "", addChange("/a", "1"))
		s.finished("r", first)
		if s.is29() { // does not count
			s.equal(s.headOf("t"), head)
			first = s.write(s.pfs, "r", "", addChange("/b", "2"))
			s.finished("r", first)
		}
		s.eventually("the trigger fires", func() bool { return s.headOf("t") == first })
	}},
	{"a trigger without a condition never fires", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.setBranch("master", nil)
		s.setBranch("t", &pfs.Trigger{Branch: "master", Commits: 1})
		s.setBranch("t", &pfs.Trigger{Branch: "master"})
		s.setBranch("after", &pfs.Trigger{Branch: "master", Commits: 1})
		head := s.headOf("t")
		id := s.write(s.pfs, "r", "", addChange("/a", "1"))
		s.finished("r", id)
		s.eventually("another trigger fires", func() bool { return s.headOf("after") == id })
		s.equal(s.headOf("t"), head)
	}},
	{"a branch that a stopped pipeline writes shows no provenance", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		_, err := s.pps.StopPipeline(s.ctx, &pps.StopPipelineRequest{Pipeline: s.pipeline("s")})
		s.ok(err)
		info, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("s", "master")})
		s.ok(err)
		s.equal(len(info.DirectProvenance), 0)
	}},
	{"whose commits a trigger looks at", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.setBranch("master", nil)
		s.setBranch("other", nil)
		s.setBranch("t", &pfs.Trigger{Branch: "master", Commits: 1})
		s.setBranch("after", &pfs.Trigger{Branch: "other", Commits: 1})
		head := s.headOf("t")
		c, err := s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("r", "other")})
		s.ok(err)
		s.finish(s.pfs, "r", c.ID, "", "")
		s.finished("r", c.ID)
		s.eventually("its own trigger fires", func() bool { return s.headOf("after") == c.ID })
		if s.minor() < 7 { // of all branches of the repo
			s.eventually("the other trigger fires", func() bool { return s.headOf("t") == c.ID })
		} else {
			s.equal(s.headOf("t"), head)
		}
	}},
	{"a head without its branch", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		id := s.write(s.pfs, "r", "", addChange("/a", "1"))
		s.finished("r", id)
		_, err := s.pfs.DeleteBranch(s.ctx, &pfs.DeleteBranchRequest{Branch: s.branch("r", "master")})
		s.ok(err)
		s.equal(s.files("r", id), "/a=1") // commits outlive their branch
		_, err = s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("r", "again"), Head: s.at("r", id)})
		s.ok(err)
		s.equal(s.headOf("again"), id)
	}},
	{"a project is emptied", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.createSpout("s")
		_, err := s.pfs.DeleteRepos(s.ctx, &pfs.DeleteReposRequest{Projects: []*pfs.Project{s.projectMessage()}})
		s.fails(err, codes.Unknown, "cannot delete a repo associated with a pipeline")
		_, err = s.pps.DeletePipelines(s.ctx, &pps.DeletePipelinesRequest{Projects: []*pfs.Project{s.projectMessage()}})
		s.ok(err)
		_, err = s.pfs.DeleteProject(s.ctx, &pfs.DeleteProjectRequest{Project: s.projectMessage()})
		s.fails(err, codes.FailedPrecondition, "still exists")
		_, err = s.pfs.DeleteRepos(s.ctx, &pfs.DeleteReposRequest{Projects: []*pfs.Project{s.projectMessage()}})
		s.ok(err)
		_, err = s.pfs.DeleteProject(s.ctx, &pfs.DeleteProjectRequest{Project: s.projectMessage()})
		s.ok(err)
	}},
}

func (s *suite) deleteBranch(name string, force bool) error {
	_, err := s.pfs.DeleteBranch(s.ctx, &pfs.DeleteBranchRequest{Branch: s.branch("r", name), Force: force})
	return err
}

// setBranch makes or changes a branch of the repo r.
func (s *suite) setBranch(name string, trigger *pfs.Trigger) {
	s.t.Helper()
	_, err := s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("r", name), Trigger: trigger})
	s.ok(err)
}

func (s *suite) headOf(branch string) string {
	s.t.Helper()
	info, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", branch)})
	s.ok(err)
	return info.Head.ID
}

// creation asks for a branch of r at the head of another.
func (s *suite) creation(name, at string) *transaction.TransactionRequest {
	head := &pfs.Commit{Repo: s.repo("r"), Branch: s.branch("r", at)}
	return &transaction.TransactionRequest{CreateBranch: &pfs.CreateBranchRequest{Branch: s.branch("r", name), Head: head}}
}

func (s *suite) deletion(name string) *transaction.TransactionRequest {
	return &transaction.TransactionRequest{DeleteBranch: &pfs.DeleteBranchRequest{Branch: s.branch("r", name)}}
}

func (s *suite) batch(requests ...*transaction.TransactionRequest) error {
	_, err := transaction.NewAPIClient(s.conn).BatchTransaction(s.ctx, &transaction.BatchTransactionRequest{Requests: requests})
	return err
}
