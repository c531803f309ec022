// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"strconv"
	"strings"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

// commitMessage refers to a commit. Since 2.11 servers leave the branch out.
func (s *Server) commitMessage(c *commit) *pfs.Commit {
	if c == nil {
		return nil
	}
	m := &pfs.Commit{Repo: c.repo.key.message(), ID: c.id}
	if !s.v211 {
		m.Branch = c.repo.key.branch(c.branch).message()
	}
	return m
}

func (s *Server) commitMessages(cs []*commit) []*pfs.Commit {
	var ms []*pfs.Commit
	for _, c := range cs {
		ms = append(ms, s.commitMessage(c))
	}
	return ms
}

func (s *Server) commitInfo(c *commit) *pfs.CommitInfo {
	info := &pfs.CommitInfo{
		Commit:              s.commitMessage(c),
		Origin:              &pfs.CommitOrigin{Kind: c.origin},
		Description:         c.description,
		ParentCommit:        s.commitMessage(c.parent),
		ChildCommits:        s.commitMessages(c.children),
		Started:             c.started,
		Finishing:           c.finishing,
		Finished:            c.finished,
		DirectProvenance:    s.commitMessages(c.provenance),
		Error:               c.errText,
		SizeBytesUpperBound: c.size,
	}
	if c.details {
		info.Details = &pfs.CommitInfo_Details{SizeBytes: c.size}
	}
	return info
}

// addCommit puts an open commit at the head of a branch. Callers hold s.mu.
func (s *Server) addCommit(r *repo, b *branch, id string, parent *commit, origin pfs.OriginKind) *commit {
	c := &commit{
		repo: r, branch: b.key.name, id: id, seq: s.nextSeq(), origin: origin,
		parent: parent, started: s.now(), diff: changes{},
	}
	for _, key := range b.direct {
		if up := s.findBranch(key); up != nil && up.head != nil {
			c.provenance = append(c.provenance, up.head)
		}
	}
	if parent != nil {
		parent.children = append(parent.children, c)
	}
	r.commits[id] = c
	r.order = append(r.order, c)
	b.head = c
	s.touch()
	return c
}

func commitText(m *pfs.Commit) string {
	return keyOfRepo(m.AccessRepo()).String() + "@" + m.GetID()
}

// resolve finds the commit that a message refers to: by id, by branch, or by
// either with ancestry (~2, ^). Callers hold s.mu.
func (s *Server) resolve(m *pfs.Commit) (*commit, error) {
	switch {
	case m == nil:
		return nil, unknown("cannot resolve nil commit")
	case m.AccessRepo() == nil:
		return nil, unknown("cannot resolve commit with no repo")
	case m.ID == "" && m.GetBranch().GetName() == "":
		return nil, unknown("cannot resolve commit with no ID or branch")
	}
	key := keyOfRepo(m.AccessRepo())
	id, steps, err := parseAncestry(m.ID)
	if err != nil {
		return nil, err
	}
	branchName := m.GetBranch().GetName()
	if id != "" && !isID(id) {
		if branchName != "" {
			return nil, unknown("invalid commit ID given with a branch (%s): %s\n", keyOfBranch(m.Branch), id)
		}
		branchName, id = id, ""
	}
	r := s.repos[key]
	var c *commit
	if id == "" {
		b := s.findBranch(key.branch(branchName))
		if b == nil {
			return nil, s.errHeadNotFound(key.branch(branchName))
		}
		c = b.head
	} else if r != nil {
		c = r.commits[id]
	}
	if steps < 0 { // counted from the first commit
		for length := generation(c); c != nil && length > -steps; length-- {
			c = c.parent
		}
	}
	for ; c != nil && steps > 0; steps-- {
		c = c.parent
	}
	if c == nil {
		return nil, s.errCommitNotFound(key, m.ID)
	}
	return c, nil
}

// generation is the number of commits from the first one to c.
func generation(c *commit) int {
	n := 0
	for ; c != nil; c = c.parent {
		n++
	}
	return n
}

// parseAncestry parts "id~2" or "id^^" into "id" and 2, "id.2" into "id" and -2.
func parseAncestry(s string) (base string, steps int, err error) {
	i := strings.IndexAny(s, "^~.")
	if i < 0 {
		return s, 0, nil
	}
	separator := s[i]
	n, err := strconv.Atoi(s[i+1:])
	if err != nil {
		for k := i + 1; k < len(s); k++ {
			if s[k] != separator {
				return "", 0, unknown("invalid ancestry syntax %q, cannot mix %c and %c characters", s, separator, s[k])
			}
		}
		n = len(s) - i
	}
	if separator == '.' {
		n = -n
	}
	return s[:i], n, nil
}

func (a *pfsAPI) StartCommit(ctx context.Context, req *pfs.StartCommitRequest) (*pfs.Commit, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.startCommit(ctx, req.Parent, req.Branch, req.Description)
	if err != nil {
		return nil, err
	}
	return a.commitMessage(c), nil
}

// startCommit starts a commit on a branch, which it makes if need be.
func (a *pfsAPI) startCommit(ctx context.Context, parentMessage *pfs.Commit, branchMessage *pfs.Branch, description string) (*commit, error) {
	if branchMessage.GetName() == "" {
		return nil, unknown("branch must be specified")
	}
	key := keyOfBranch(branchMessage)
	if err := a.allowRepo(ctx, key.repoKey, auth.Permission_REPO_WRITE); err != nil {
		return nil, err
	}
	if err := validateName(key.name); err != nil {
		return nil, err
	}
	r := a.repos[key.repoKey]
	if r == nil {
		return nil, notFound("repo %v not found", key.repoKey)
	}
	b := r.branches[key.name]
	isNew := b == nil
	if isNew {
		b = &branch{key: key, seq: a.nextSeq()}
	}
	// Any sidecar may write any output branch: a pachd only looks at its own
	// environment. What fences pipelines off each other is authentication.
	isOutput := a.side.kind != Sidecar && len(b.direct) > 0
	if isOutput && !a.v211 {
		return nil, errOutputBranch(key)
	}
	parent := b.head
	if parentMessage != nil {
		var err error
		if parent, err = a.resolve(parentMessage); err != nil {
			return nil, wrap(err, "parent commit not found")
		}
	}
	if parent != nil && parent.finishing == nil {
		return nil, unknown("parent commit %s has not been finished", parent)
	}
	if isOutput {
		return nil, errOutputBranch(key)
	}
	if isNew {
		r.branches[key.name] = b
	}
	c := a.addCommit(r, b, newID(), parent, pfs.OriginKind_USER)
	c.description, c.details = description, true
	return c, nil
}

func errOutputBranch(key branchKey) error {
	return unknown("cannot start a commit on an output branch: %s", key)
}

func (a *pfsAPI) FinishCommit(_ context.Context, req *pfs.FinishCommitRequest) (*types.Empty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.resolve(req.Commit)
	if err != nil {
		return nil, err
	}
	if c.finishing != nil {
		return nil, errFinished(c)
	}
	if !req.Force && len(c.provenance) > 0 {
		p := a.pipelines[pipelineKey{c.repo.key.project, c.repo.key.name}]
		if p != nil && p.isTransform() {
			return nil, unknown("cannot finish a pipeline output or meta commit, use 'stop job' instead")
		}
	}
	a.finishCommit(c, req.Description, req.Error)
	return &types.Empty{}, nil
}

func errFinished(c *commit) error { return unknown("commit %v has already finished", c) }

func (a *pfsAPI) ClearCommit(_ context.Context, req *pfs.ClearCommitRequest) (*types.Empty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.resolve(req.Commit)
	if err != nil {
		return nil, err
	}
	if c.finishing != nil {
		return nil, unknown("cannot clear finished commit")
	}
	c.diff = changes{}
	a.touch()
	return &types.Empty{}, nil
}

func (a *pfsAPI) SquashCommitSet(_ context.Context, req *pfs.SquashCommitSetRequest) (*types.Empty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &types.Empty{}, a.deleteCommitSet(req.GetCommitSet().GetID(), false)
}

func (a *pfsAPI) DropCommitSet(_ context.Context, req *pfs.DropCommitSetRequest) (*types.Empty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &types.Empty{}, a.deleteCommitSet(req.GetCommitSet().GetID(), true)
}

// deleteCommitSet removes the commits with an id. Squashing leaves their data
// in their children; dropping is for commits without any.
func (s *Server) deleteCommitSet(id string, drop bool) error {
	var set []*commit
	for _, r := range s.repos {
		if c := r.commits[id]; c != nil {
			set = append(set, c)
		}
	}
	for _, c := range set {
		if c.repo.key.kind == pfs.SpecRepoType && c.origin == pfs.OriginKind_USER {
			return unknown("cannot squash commit %s because it updated a pipeline", c)
		}
		if drop && len(c.children) > 0 {
			return unknown("cannot drop a commit that has children: %s", c)
		}
		if !drop && len(c.children) == 0 {
			return unknown("cannot squash a commit that has no children as that would cause data loss, use the drop operation instead: %s", c)
		}
		for _, child := range c.children {
			if child.finished == nil {
				suffix := ""
				if child.finishing != nil {
					suffix = ", consider using WaitCommit"
				}
				return unknown("cannot squash until child commit %s is finished%s", child, suffix)
			}
		}
	}
	for _, c := range set {
		s.deleteCommit(c)
	}
	s.touch()
	return nil
}

func (s *Server) deleteCommit(c *commit) {
	r := c.repo
	delete(r.commits, c.id)
	r.order = without(r.order, c)
	r.pending = without(r.pending, c)
	for _, b := range r.branchesByAge() {
		if b.head != c {
			continue
		}
		b.head = c.parent
		if b.head == nil {
			b.head = s.emptyCommit(b, nil, newID(), s.closesEmpty(b.direct))
		}
	}
	if c.parent != nil {
		c.parent.children = append(without(c.parent.children, c), c.children...)
	}
	for _, child := range c.children {
		child.parent = c.parent
	}
	c.deleted = true
}

func without(cs []*commit, c *commit) []*commit {
	var rest []*commit
	for _, other := range cs {
		if other != c {
			rest = append(rest, other)
		}
	}
	return rest
}
