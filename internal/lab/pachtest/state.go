// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc/status"
)

type repoKey struct{ project, name, kind string }

func (k repoKey) String() string { return k.message().String() }

func (k repoKey) message() *pfs.Repo {
	return &pfs.Repo{Name: k.name, Type: k.kind, Project: &pfs.Project{Name: k.project}}
}

func (k repoKey) branch(name string) branchKey { return branchKey{repoKey: k, name: name} }

type branchKey struct {
	repoKey
	name string
}

func (k branchKey) String() string { return k.repoKey.String() + "@" + k.name }

func (k branchKey) message() *pfs.Branch {
	return &pfs.Branch{Repo: k.repoKey.message(), Name: k.name}
}

type pipelineKey struct{ project, name string }

func (k pipelineKey) String() string { return k.project + "/" + k.name }

func (k pipelineKey) message() *pps.Pipeline {
	return &pps.Pipeline{Project: &pfs.Project{Name: k.project}, Name: k.name}
}

func (k pipelineKey) output() repoKey { return repoKey{k.project, k.name, pfs.UserRepoType} }
func (k pipelineKey) spec() repoKey   { return repoKey{k.project, k.name, pfs.SpecRepoType} }
func (k pipelineKey) meta() repoKey   { return repoKey{k.project, k.name, pfs.MetaRepoType} }

type project struct {
	name, description string
	created           *types.Timestamp
	defaults          string // of its pipelines, as JSON
}

type repo struct {
	key         repoKey
	created     *types.Timestamp
	description string
	branches    map[string]*branch
	commits     map[string]*commit
	order       []*commit // oldest first
	pending     []*commit // finishing, oldest first
	seq         int64
}

type branch struct {
	key     branchKey
	head    *commit
	direct  []branchKey // provenance
	trigger *pfs.Trigger
	seq     int64
}

// commit is one version of a repo. Its fields change under Server.mu only;
// trees and files never change.
type commit struct {
	repo        *repo
	branch      string // where it was made
	id          string
	seq         int64
	origin      pfs.OriginKind
	description string
	errText     string
	parent      *commit
	children    []*commit
	provenance  []*commit
	started     *types.Timestamp
	finishing   *types.Timestamp
	finished    *types.Timestamp
	due         bool // may be finished now
	deleted     bool

	diff      changes
	total     *tree // once finished without error
	forgotten bool  // the total was dropped by a late write
	details   bool
	size      int64
}

// errored says that nobody builds on the commit.
func (c *commit) errored() bool { return c.errText != "" }

// base is the commit whose files c starts from, or nil.
func (c *commit) base() *commit {
	b := c.parent
	for b != nil && b.errored() {
		b = b.parent
	}
	return b
}

func (c *commit) String() string { return c.repo.key.String() + "@" + c.id }

// fileSet is an uploaded set of changes that no commit holds yet.
type fileSet struct {
	changes changes
	expires time.Time
}

// Advance moves the clock on.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.clock
	s.clock = func() time.Time { return before().Add(d) }
}

func (s *Server) now() *types.Timestamp {
	ts, err := types.TimestampProto(s.clock())
	if err != nil {
		panic(err)
	}
	return ts
}

func (s *Server) nextSeq() int64 {
	s.seq++
	return s.seq
}

// newID makes a commit id: a version 4 UUID without dashes.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return hex.EncodeToString(b[:])
}

// isID tells ids from branch names as Pachyderm does.
func isID(s string) bool {
	if len(s) != 32 || s[12] != '4' {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}

// touch wakes everyone who waits for a change. Callers hold s.mu.
func (s *Server) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait calls check under s.mu until it says done or fails, again after each
// change. It ends with the context's error when that is over first.
func (s *Server) wait(ctx context.Context, check func() (done bool, err error)) error {
	for {
		s.mu.Lock()
		done, err := check()
		changed := s.changed
		s.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

func keyOfRepo(r *pfs.Repo) repoKey {
	return repoKey{project: orDefault(r.GetProject().GetName()), name: r.GetName(), kind: r.GetType()}
}

func keyOfBranch(b *pfs.Branch) branchKey {
	return branchKey{repoKey: keyOfRepo(b.GetRepo()), name: b.GetName()}
}

func keyOfPipeline(p *pps.Pipeline) pipelineKey {
	return pipelineKey{project: orDefault(p.GetProject().GetName()), name: p.GetName()}
}

func orDefault(project string) string {
	if project == "" {
		return pfs.DefaultProjectName
	}
	return project
}

// findBranch returns a branch or nil.
func (s *Server) findBranch(key branchKey) *branch {
	if r := s.repos[key.repoKey]; r != nil {
		return r.branches[key.name]
	}
	return nil
}

// provenance is the transitive provenance of a branch.
func (s *Server) provenance(b *branch) []branchKey {
	var all []branchKey
	var visit func(*branch)
	visit = func(b *branch) {
		for _, key := range b.direct {
			if slices.Contains(all, key) {
				continue
			}
			all = append(all, key)
			if up := s.findBranch(key); up != nil {
				visit(up)
			}
		}
	}
	visit(b)
	sortBranches(all)
	return all
}

// subvenance lists the branches that depend on b; direct ones only, if asked.
func (s *Server) subvenance(b *branch, direct bool) []branchKey {
	var all []branchKey
	for _, r := range s.repos {
		for _, other := range r.branches {
			keys := other.direct
			if !direct {
				keys = s.provenance(other)
			}
			if slices.Contains(keys, b.key) {
				all = append(all, other.key)
			}
		}
	}
	sortBranches(all)
	return all
}

func sortBranches(keys []branchKey) {
	slices.SortFunc(keys, func(a, b branchKey) int { return strings.Compare(a.String(), b.String()) })
}

func branchMessages(keys []branchKey) []*pfs.Branch {
	var messages []*pfs.Branch
	for _, key := range keys {
		messages = append(messages, key.message())
	}
	return messages
}
