// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

// finishCommit makes a commit FINISHING; finishPending does the rest later, on
// another goroutine. Callers hold s.mu.
func (s *Server) finishCommit(c *commit, description, errText string) {
	if description != "" {
		c.description = description
	}
	c.finishing, c.errText = s.now(), errText
	c.repo.pending = append(c.repo.pending, c)
	s.touch()
	due := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.due = true
		s.finishPending()
	}
	if s.finishDelay > 0 {
		time.AfterFunc(s.finishDelay, due)
		return
	}
	if !s.closed {
		s.wg.Go(due)
	}
}

// finishPending finishes what is due in each repo, oldest first. A commit
// whose base is not finished yet waits for it.
func (s *Server) finishPending() {
	for progress := true; progress && s.holds == 0; {
		progress = false
		for _, r := range s.repos {
			for i := 0; i < len(r.pending); {
				c := r.pending[i]
				base := c.base()
				if !c.due || !c.errored() && base != nil && base.finished == nil {
					i++
					continue
				}
				r.pending = append(r.pending[:i:i], r.pending[i+1:]...)
				s.finalize(c, base)
				progress = true
			}
		}
	}
}

// finalize makes a commit FINISHED: its changes are applied and validated.
func (s *Server) finalize(c, base *commit) {
	defer s.touch()
	c.finished = s.now()
	c.details, c.size = false, 0
	if c.errored() {
		return
	}
	var from *tree
	if base != nil {
		from = base.total
	}
	total := c.diff.over(from)
	c.details, c.size = true, total.bytes()
	if len(s.validation) > 0 && c.repo.key.kind == pfs.UserRepoType {
		c.errText, s.validation = s.validation[0], s.validation[1:]
	} else {
		c.errText = c.diff.validate(total)
	}
	if !c.errored() {
		c.total = total
		s.trigger(c)
	}
}

// trigger moves the heads of branches that wait for a number of commits. 2.6
// does not look at the branch that a commit is on.
func (s *Server) trigger(c *commit) {
	for _, b := range c.repo.branchesByAge() {
		t := b.trigger
		if t == nil || t.Commits == 0 || b.head == c {
			continue
		}
		source := c.repo.branches[t.Branch]
		if s.v211 && (source == nil || source.head != c) {
			continue
		}
		if s.newCommits(b, c) == t.Commits {
			b.head = c
		}
	}
}

// newCommits counts from c back to where a branch is, as far as its trigger
// wants it. The empty commit that a branch begins with counts in 2.6 only.
func (s *Server) newCommits(b *branch, c *commit) int64 {
	n := int64(0)
	for at := c; at != nil && at != b.head && n < b.trigger.Commits; at = at.parent {
		if s.v211 && at.parent == nil && at.origin == pfs.OriginKind_AUTO {
			break
		}
		n++
	}
	return n
}

// HoldFinishing keeps all commits FINISHING until release is called.
func (s *Server) HoldFinishing() (release func()) {
	s.mu.Lock()
	s.holds++
	s.mu.Unlock()
	released := false
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !released {
			released = true
			s.holds--
			s.finishPending()
		}
	}
}

// FailNextValidation makes the next user's commit that would be finished
// without error get this error instead.
func (s *Server) FailNextValidation(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.validation = append(s.validation, reason)
}
