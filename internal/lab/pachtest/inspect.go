// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"slices"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

// CommitState is a snapshot of one commit, for tests that check a history. It
// does not change when the server goes on.
type CommitState struct {
	ID, Parent  string // Parent is empty for the first commit
	Description string
	Error       string
	Origin      pfs.OriginKind
	Open        bool // not FINISHING yet
	Finished    bool

	Added   []string // paths that the commit itself adds to, sorted
	Deleted []string // paths that it deletes, perhaps to add them again, sorted

	diff  changes
	total *tree
}

// Diff is what the commit itself added, by path.
func (c *CommitState) Diff() map[string][]byte {
	added := map[string][]byte{}
	for _, ch := range c.diff {
		if ch.added {
			added[ch.path] = append(added[ch.path], slices.Concat(ch.parts...)...)
		}
	}
	return added
}

// Files is the full content of the commit, by path. For a commit that is not
// FINISHED it is what it will be if no validation fails.
func (c *CommitState) Files() map[string][]byte {
	files := map[string][]byte{}
	c.total.walk("", func(f *file) bool {
		files[f.path] = append(files[f.path], f.bytes()...)
		return true
	})
	return files
}

// Paths lists what Files holds, sorted.
func (c *CommitState) Paths() []string {
	var paths []string
	c.total.walk("", func(f *file) bool {
		paths = append(paths, f.path)
		return true
	})
	return slices.Compact(paths)
}

// File is the content of one path.
func (c *CommitState) File(path string) ([]byte, bool) {
	f := c.total.get(fileKey(cleanPath(path), defaultDatum))
	if f == nil {
		return nil, false
	}
	return f.bytes(), true
}

// Size is the number of bytes that Files holds.
func (c *CommitState) Size() int64 { return c.total.bytes() }

// Commits lists the ancestry of a branch's head, oldest first, as of one
// moment. It is empty if the branch does not exist.
func (s *Server) Commits(project, repo, branch string) []CommitState {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.findBranch(repoKey{orDefault(project), repo, pfs.UserRepoType}.branch(branch))
	if b == nil {
		return nil
	}
	var states []CommitState
	for c := b.head; c != nil; c = c.parent {
		states = append(states, s.commitState(c))
	}
	slices.Reverse(states)
	return states
}

func (s *Server) commitState(c *commit) CommitState {
	state := CommitState{
		ID: c.id, Description: c.description, Error: c.errText, Origin: c.origin,
		Open: c.finishing == nil, Finished: c.finished != nil,
		diff: c.diff.clone(), total: s.logicalTotal(c),
	}
	if c.parent != nil {
		state.Parent = c.parent.id
	}
	for _, ch := range c.diff {
		if ch.added {
			state.Added = append(state.Added, ch.path)
		}
		if ch.deleted {
			state.Deleted = append(state.Deleted, ch.path)
		}
	}
	slices.Sort(state.Added)
	slices.Sort(state.Deleted)
	return state
}

// Repos lists the user's repos of a project, sorted.
func (s *Server) Repos(project string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for key := range s.repos {
		if key.project == orDefault(project) && key.kind == pfs.UserRepoType {
			names = append(names, key.name)
		}
	}
	slices.Sort(names)
	return names
}
