// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"slices"

	"github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc/status"
)

func (a *pfsAPI) CreateBranch(ctx context.Context, req *pfs.CreateBranchRequest) (*types.Empty, error) {
	a.mu.Lock()
	if a.neverEnds(req) {
		a.panics = append(a.panics, "CreateBranch with a trigger never ends")
		a.mu.Unlock()
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	defer a.mu.Unlock()
	return &types.Empty{}, a.askedToCreateBranch(ctx, req, newID())
}

// neverEnds says whether 2.6 would look for a circle of triggers for ever: it
// takes each branch of the repo for the oldest one.
func (s *Server) neverEnds(req *pfs.CreateBranchRequest) bool {
	if s.v211 || req.GetTrigger().GetBranch() == "" || req.GetBranch().GetRepo() == nil {
		return false
	}
	r := s.repos[keyOfRepo(req.Branch.Repo)]
	if r == nil || r.branches[req.Trigger.Branch] == nil || req.Trigger.Branch == req.Branch.Name {
		return false
	}
	oldest := r.branchesByAge()[0].trigger
	return oldest != nil && oldest.Branch != req.Branch.Name && r.branches[oldest.Branch] != nil
}

func (s *Server) askedToCreateBranch(ctx context.Context, req *pfs.CreateBranchRequest, id string) error {
	if req.Branch == nil {
		return unknown("branch cannot be nil")
	}
	if req.Branch.Repo == nil {
		return unknown("branch repo cannot be nil")
	}
	key := keyOfBranch(req.Branch)
	if err := s.validateTrigger(key, req.Trigger); err != nil {
		return err
	}
	if len(req.Provenance) > 0 && req.Trigger != nil {
		return unknown("a branch cannot have both provenance and a trigger")
	}
	if s.v211 && req.Trigger != nil && s.findBranch(key.repoKey.branch(req.Trigger.Branch)) == nil {
		return wrap(s.errBranchNotFound(key.repoKey.branch(req.Trigger.Branch)), "create branch: updating branch trigger")
	}
	if err := s.allowRepo(ctx, key.repoKey, auth.Permission_REPO_CREATE_BRANCH); err != nil {
		return err
	}
	var direct []branchKey
	for _, p := range req.Provenance {
		if err := validateName(p.GetName()); err != nil {
			return err
		}
		direct = append(direct, keyOfBranch(p))
	}
	if err := validateName(key.name); err != nil {
		return err
	}
	var head *commit
	if req.Head != nil {
		var err error
		if head, err = s.resolve(req.Head); err != nil {
			return wrap(err, "unable to inspect %s", commitText(req.Head))
		}
	}
	_, err := s.createBranch(key, head, direct, req.Trigger, id)
	return err
}

// createBranch makes a branch or changes it: provenance is replaced, head and
// trigger only if given. A new branch, and one that gets other provenance, gets
// an AUTO commit with the id; it is returned. Callers hold s.mu.
func (s *Server) createBranch(key branchKey, head *commit, direct []branchKey, trigger *pfs.Trigger, id string) (made *commit, err error) {
	r := s.repos[key.repoKey]
	if r == nil {
		return nil, notFound("repo %v not found", key.repoKey)
	}
	for _, p := range direct {
		if p.repoKey == key.repoKey {
			return nil, unknown("repo %s cannot be in the provenance of its own branch", key.repoKey)
		}
		if s.repos[p.repoKey] == nil {
			return nil, notFound("repo %v not found", p.repoKey)
		}
	}
	for _, p := range direct {
		if s.findBranch(p) == nil {
			up := s.repos[p.repoKey]
			b := &branch{key: p, seq: s.nextSeq()}
			up.branches[p.name] = b
			b.head = s.emptyCommit(b, up.commits[id], id, true)
		}
	}
	b := r.branches[key.name]
	if b == nil {
		b = &branch{key: key, seq: s.nextSeq()}
		r.branches[key.name] = b
	}
	old := b.direct
	b.direct = slices.Clone(direct)
	if head != nil {
		b.head = head
	}
	if b.head == nil || len(direct) > 0 && !sameBranches(old, direct) {
		made = s.emptyCommit(b, nil, id, s.closesEmpty(direct))
		b.head = made
	}
	if trigger != nil && trigger.Branch != "" {
		b.trigger = proto.Clone(trigger).(*pfs.Trigger)
	}
	s.touch()
	return made, nil
}

// closesEmpty says whether the AUTO commit of a branch with this provenance is
// made finished: always without provenance; until 2.7 also for a spout, whose
// only provenance is its specification.
func (s *Server) closesEmpty(direct []branchKey) bool {
	if s.v211 {
		return len(direct) == 0
	}
	return !slices.ContainsFunc(direct, func(k branchKey) bool { return k.kind != pfs.SpecRepoType })
}

// emptyCommit puts an AUTO commit on a branch's head. A closed one has an
// empty total file set, whatever its parent holds.
func (s *Server) emptyCommit(b *branch, existing *commit, id string, closed bool) *commit {
	if existing != nil {
		return existing
	}
	c := s.addCommit(s.repos[b.key.repoKey], b, id, b.head, pfs.OriginKind_AUTO)
	if closed {
		c.finishing, c.finished, c.details = c.started, c.started, true
	}
	return c
}

func sameBranches(x, y []branchKey) bool {
	if len(x) != len(y) {
		return false
	}
	for _, key := range x {
		if !slices.Contains(y, key) {
			return false
		}
	}
	return true
}

func (s *Server) validateTrigger(key branchKey, t *pfs.Trigger) error {
	if t == nil {
		return nil
	}
	if t.Branch == "" {
		return unknown("triggers must specify a branch to trigger on")
	}
	if err := validateName(t.Branch); err != nil {
		return err
	}
	if t.Commits < 0 {
		return unknown("can't trigger on a negative number of commits")
	}
	r := s.repos[key.repoKey]
	if r == nil {
		return notFound("repo %v not found", key.repoKey)
	}
	for name := t.Branch; ; {
		if name == key.name {
			return unknown("triggers cannot form a loop")
		}
		b := r.branches[name]
		if b != nil && !s.v211 {
			b = r.branchesByAge()[0]
		}
		if b == nil || b.trigger == nil {
			return nil
		}
		name = b.trigger.Branch
	}
}

func (s *Server) branchInfo(b *branch) *pfs.BranchInfo {
	info := &pfs.BranchInfo{
		Branch:           b.key.message(),
		Head:             s.commitMessage(b.head),
		Provenance:       branchMessages(s.provenance(b)),
		Subvenance:       branchMessages(s.subvenance(b, false)),
		DirectProvenance: branchMessages(b.direct),
	}
	if b.trigger != nil {
		info.Trigger = proto.Clone(b.trigger).(*pfs.Trigger)
	}
	return info
}

func (a *pfsAPI) InspectBranch(_ context.Context, req *pfs.InspectBranchRequest) (*pfs.BranchInfo, error) {
	if req.Branch == nil {
		return nil, unknown("branch cannot be nil")
	}
	if req.Branch.Repo == nil {
		return nil, unknown("branch repo cannot be nil")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.findBranch(keyOfBranch(req.Branch))
	if b == nil {
		return nil, a.errBranchNotFound(keyOfBranch(req.Branch))
	}
	return a.branchInfo(b), nil
}

func (a *pfsAPI) ListBranch(req *pfs.ListBranchRequest, stream pfs.API_ListBranchServer) error {
	infos, err := func() ([]*pfs.BranchInfo, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		var branches []*branch
		if req.Repo != nil {
			key := keyOfRepo(req.Repo)
			if err := a.allowRepo(stream.Context(), key, auth.Permission_REPO_LIST_BRANCH); err != nil {
				return nil, err
			}
			r := a.repos[key]
			if r == nil {
				return nil, notFound("repo %v not found", key)
			}
			branches = r.branchesByAge()
		} else {
			if a.auth != nil {
				return nil, unknown("Cannot list branches from all repos with auth activated")
			}
			for _, r := range a.repos {
				branches = append(branches, r.branchesByAge()...)
			}
			slices.SortFunc(branches, func(x, y *branch) int { return int(x.seq - y.seq) })
		}
		if !req.Reverse {
			slices.Reverse(branches)
		}
		var infos []*pfs.BranchInfo
		for _, b := range branches {
			infos = append(infos, a.branchInfo(b))
		}
		return infos, nil
	}()
	if err != nil {
		return err
	}
	return sendAll(infos, stream.Send)
}

// DeleteBranch of a missing branch is OK before 2.11.
func (a *pfsAPI) DeleteBranch(ctx context.Context, req *pfs.DeleteBranchRequest) (*types.Empty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &types.Empty{}, a.askedToDeleteBranch(ctx, req)
}

func (s *Server) askedToDeleteBranch(ctx context.Context, req *pfs.DeleteBranchRequest) error {
	if req.Branch == nil {
		return unknown("branch cannot be nil")
	}
	if req.Branch.Repo == nil {
		return unknown("branch repo cannot be nil")
	}
	key := keyOfBranch(req.Branch)
	if err := s.allowRepo(ctx, key.repoKey, auth.Permission_REPO_DELETE_BRANCH); err != nil {
		return err
	}
	if s.repos[key.repoKey] == nil {
		if req.Force {
			return nil
		}
		return notFound("repos %s not found", key.repoKey)
	}
	b := s.findBranch(key)
	if b == nil {
		if s.v211 {
			return wrap(s.errBranchNotFound(key), "get branch %q", key)
		}
		return nil
	}
	if !req.Force {
		if err := s.mayDeleteBranch(b, nil); err != nil {
			return err
		}
	}
	s.dropBranch(b)
	s.touch()
	return nil
}

// mayDeleteBranch refuses if other branches need b. Those for which gone says
// yes do not count.
func (s *Server) mayDeleteBranch(b *branch, gone func(branchKey) bool) error {
	if gone == nil {
		gone = func(branchKey) bool { return false }
	}
	if !s.v211 {
		if need := slices.DeleteFunc(s.subvenance(b, false), gone); len(need) > 0 {
			return unknown("branch %s has %v as subvenance, deleting it would break those branches", b.key.name, need)
		}
		return nil
	}
	if need := slices.DeleteFunc(s.subvenance(b, true), gone); len(need) > 0 {
		return unknown("branch %q cannot be deleted because it's in the direct provenance of %v", b.key, need)
	}
	// Triggers are in the way of what goes together, too.
	if followers := s.followers(b); len(followers) > 0 {
		return unknown("branch %q cannot be deleted because it is triggered by branches %v", b.key, followers)
	}
	if b.trigger != nil {
		return unknown("branch %q cannot be deleted because it triggers branches %v", b.key, []branchKey{b.key.repoKey.branch(b.trigger.Branch)})
	}
	return nil
}

// followers lists the branches that have a trigger on b.
func (s *Server) followers(b *branch) []branchKey {
	var keys []branchKey
	for _, other := range s.repos[b.key.repoKey].branchesByAge() {
		if other.trigger != nil && other.trigger.Branch == b.key.name {
			keys = append(keys, other.key)
		}
	}
	return keys
}

func (s *Server) dropBranch(b *branch) {
	for _, key := range s.subvenance(b, true) {
		down := s.findBranch(key)
		down.direct = slices.DeleteFunc(slices.Clone(down.direct), func(k branchKey) bool { return k == b.key })
	}
	if s.v211 {
		for _, key := range s.followers(b) {
			s.findBranch(key).trigger = nil
		}
	}
	delete(s.repos[b.key.repoKey].branches, b.key.name)
}
