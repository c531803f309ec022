// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"slices"

	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

func (a *pfsAPI) InspectCommit(ctx context.Context, req *pfs.InspectCommitRequest) (*pfs.CommitInfo, error) {
	if req.Commit == nil || req.Commit.Repo == nil {
		if !a.v211 {
			return nil, a.side.crash("InspectCommit without a repo")
		}
		if req.Commit.AccessRepo() == nil {
			return nil, invalid("InspectCommitRequest", "Commit", "value is required")
		}
	}
	a.mu.Lock()
	err := a.allowRepo(ctx, keyOfRepo(req.Commit.AccessRepo()), auth.Permission_REPO_INSPECT_COMMIT)
	a.mu.Unlock()
	if err != nil {
		return nil, err
	}
	c, err := a.waitCommit(ctx, req.Commit, req.Wait)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.deleted {
		return nil, unknown("commit %s was deleted", commitText(req.Commit))
	}
	info := a.commitInfo(c)
	if a.v211 { // which fills it in where several are listed
		info.SizeBytesUpperBound = 0
	}
	return info, nil
}

// waitCommit resolves a commit and waits until it is in a state.
func (s *Server) waitCommit(ctx context.Context, m *pfs.Commit, state pfs.CommitState) (*commit, error) {
	var c *commit
	err := s.wait(ctx, func() (bool, error) {
		if c == nil {
			var err error
			if c, err = s.resolve(m); err != nil {
				return false, err
			}
		}
		if c.deleted {
			return false, unknown("commit %s was deleted", commitText(m))
		}
		return c.reached(state), nil
	})
	return c, err
}

func (c *commit) reached(state pfs.CommitState) bool {
	switch state {
	case pfs.CommitState_READY:
		return !slices.ContainsFunc(c.provenance, func(p *commit) bool { return p.finished == nil })
	case pfs.CommitState_FINISHING:
		return c.finishing != nil
	case pfs.CommitState_FINISHED:
		return c.finished != nil
	}
	return true
}

func matchesOrigin(c *commit, all bool, kind pfs.OriginKind) bool {
	return all || kind == pfs.OriginKind_ORIGIN_KIND_UNKNOWN || c.origin == kind
}

// ListCommit lists commits newest first: a repo's, or the ancestry of to down
// to from, which is left out.
func (a *pfsAPI) ListCommit(req *pfs.ListCommitRequest, stream pfs.API_ListCommitServer) error {
	infos, err := a.listCommits(stream.Context(), req)
	if err != nil {
		return err
	}
	return sendAll(infos, stream.Send)
}

func (a *pfsAPI) listCommits(ctx context.Context, req *pfs.ListCommitRequest) ([]*pfs.CommitInfo, error) {
	if req.Repo == nil {
		return nil, unknown("repo cannot be nil")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := keyOfRepo(req.Repo)
	if err := a.allowRepo(ctx, key, auth.Permission_REPO_LIST_COMMIT); err != nil {
		return nil, err
	}
	for _, m := range []*pfs.Commit{req.From, req.To} {
		if m != nil && keyOfRepo(m.AccessRepo()) != key {
			return nil, unknown("`from` and `to` commits need to be from repo %s", key)
		}
	}
	r := a.repos[key]
	if r == nil {
		return nil, notFound("repo %v not found", key)
	}
	var from, to *commit
	var err error
	if req.From != nil {
		if from, err = a.resolve(req.From); err != nil {
			return nil, err
		}
	}
	if req.To != nil {
		if to, err = a.resolve(req.To); err != nil {
			return nil, err
		}
	}
	switch {
	case from != nil && to == nil:
		return nil, unknown("cannot use `from` commit without `to` commit")
	case to != nil && req.Reverse:
		return nil, unknown("cannot use 'Reverse' while also using 'From' or 'To'")
	}
	var found []*commit
	take := func(c *commit) bool {
		if matchesOrigin(c, req.All, req.OriginKind) && startedBefore(c, req) {
			found = append(found, c)
		}
		return req.Number == 0 || int64(len(found)) < req.Number
	}
	if to != nil {
		for c := to; c != nil && c != from && take(c); c = c.parent {
		}
	} else {
		ordered := slices.Clone(r.order)
		if !req.Reverse {
			slices.Reverse(ordered)
		}
		for _, c := range ordered {
			if !take(c) {
				break
			}
		}
	}
	var infos []*pfs.CommitInfo
	for _, c := range found {
		infos = append(infos, a.commitInfo(c))
	}
	return infos, nil
}

// startedBefore applies the started_time filter.
func startedBefore(c *commit, req *pfs.ListCommitRequest) bool {
	if req.StartedTime == nil || req.To != nil {
		return true
	}
	if order := c.started.Compare(req.StartedTime); req.Reverse {
		return order > 0
	} else {
		return order < 0
	}
}

// SubscribeCommit sends a repo's commits, oldest first, each when it reaches
// the state, until the client ends the call.
func (a *pfsAPI) SubscribeCommit(req *pfs.SubscribeCommitRequest, stream pfs.API_SubscribeCommitServer) error {
	if req.Repo == nil {
		return unknown("repo cannot be nil")
	}
	key := keyOfRepo(req.Repo)
	if req.From != nil && keyOfRepo(req.From.AccessRepo()) != key {
		return unknown("the `from` commit needs to be from repo %s", key)
	}
	sent := map[*commit]bool{}
	for {
		var info *pfs.CommitInfo
		err := a.wait(stream.Context(), func() (bool, error) {
			r := a.repos[key]
			if r == nil {
				return false, nil
			}
			for _, c := range r.order {
				if sent[c] || req.From != nil && c.id == req.From.ID || req.Branch != "" && c.branch != req.Branch ||
					!matchesOrigin(c, req.All, req.OriginKind) {
					continue
				}
				if !c.reached(req.State) {
					return false, nil // later ones wait for it
				}
				sent[c] = true
				info = a.commitInfo(c)
				return true, nil
			}
			return false, nil
		})
		if err != nil {
			return err
		}
		if err := stream.Send(info); err != nil {
			return err
		}
	}
}

// InspectCommitSet lists the commits that share an id.
func (a *pfsAPI) InspectCommitSet(req *pfs.InspectCommitSetRequest, stream pfs.API_InspectCommitSetServer) error {
	id := req.GetCommitSet().GetID()
	var infos []*pfs.CommitInfo
	err := a.wait(stream.Context(), func() (bool, error) {
		infos = nil
		for _, r := range a.repos {
			if c := r.commits[id]; c != nil {
				if req.Wait && c.finished == nil {
					return false, nil
				}
				infos = append(infos, a.commitInfo(c))
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	if len(infos) == 0 {
		return notFound("no commits found for commitset %v", id)
	}
	return sendAll(infos, stream.Send)
}
