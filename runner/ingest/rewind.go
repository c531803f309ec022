// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Rewind says what reading again from an older commit on changes.
type Rewind struct {
	To       *pachyderm.Commit
	Position json.RawMessage  // after it
	Commits  int              // newer ones that count
	Records  int64            // in their files, dead letters included
	Leave    []pachyderm.File // files that the head has, and that it will not have
	Return   []pachyderm.File // files of the older commit that the head has lost or changed

	total *spoutcommit.Total // up to it; nil if it does not say
}

// PlanRewind finds the newest commit that counts, says its position and is
// chosen, and compares it with a head; it changes nothing. The head is the
// branch's if none is given.
func (in *Ingester) PlanRewind(ctx context.Context, head string, chosen func(*pachyderm.Commit) bool) (*Rewind, error) {
	if head == "" {
		newest, err := in.Branch.Head(ctx)
		if err != nil {
			return nil, err
		}
		if newest == nil {
			return nil, fmt.Errorf("the branch %s has no commit yet", in.Branch)
		}
		head = newest.ID
	}
	var r Rewind
	readable := "" // the newest that shows what readers see
	var rewinds spoutcommit.Rewinds
	err := in.Branch.Ancestry(ctx, head, func(c *pachyderm.Commit) bool {
		if c.Finished.IsZero() || c.Error != "" {
			return true
		}
		if readable == "" {
			readable = c.ID
		}
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		says := err == nil && ours && d.Position != nil
		if !says {
			d = spoutcommit.Description{}
		}
		behind := rewinds.Behind(c.ID, d)
		if says && d.Source == in.Settings.Source && chosen(c) {
			r.To, r.Position, r.total = c, d.Position, d.Total
			return false
		}
		if says && !behind {
			r.Commits++
			r.Records += d.Written + d.DeadLettered
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if r.To == nil {
		return nil, errNotThere
	}
	return &r, r.compare(ctx, in.Branch, readable)
}

// errNotThere says that no commit can be rewound to.
var errNotThere = errors.New("no commit of that kind counts and says a position of this source")

// compare finds the files that differ between the commit and the head.
func (r *Rewind) compare(ctx context.Context, branch *pachyderm.Branch, head string) error {
	then, err := branch.Files(ctx, r.To.ID)
	if err != nil {
		return err
	}
	now, err := branch.Files(ctx, head)
	if err != nil {
		return err
	}
	missing := make(map[string]pachyderm.File, len(then))
	for _, file := range then {
		missing[file.Path] = file
	}
	for _, file := range now {
		if missing[file.Path] == file {
			delete(missing, file.Path)
		} else {
			r.Leave = append(r.Leave, file)
		}
	}
	for _, file := range then { // in the order of their paths
		if _, ok := missing[file.Path]; ok {
			r.Return = append(r.Return, file)
		}
	}
	return nil
}

// Rewind makes a commit on top of the branch that has the files of an older one
// and says its position, so that all after it is read again. The commits
// between stay, for those who want to read them. Whoever writes the branch
// finds out that it is superseded. Outages are waited for.
func (in *Ingester) Rewind(ctx context.Context, to string) (done *Rewind, err error) {
	err = in.untilDone(ctx, "rewind", func() error {
		done, err = in.rewindOnce(ctx, to)
		return err
	})
	return done, err
}

func (in *Ingester) rewindOnce(ctx context.Context, to string) (*Rewind, error) {
	from, err := in.recover(ctx)
	if err != nil {
		return nil, err
	}
	r, err := in.PlanRewind(ctx, from.head, func(c *pachyderm.Commit) bool { return c.ID == to })
	if errors.Is(err, errNotThere) {
		return nil, &source.Stop{Err: fmt.Errorf("commit %s of %s: %w", to, in.Branch, err)}
	}
	if err != nil {
		return nil, err
	}
	u := &upload{description: in.describe(spoutcommit.ReasonRewound, r.Position)}
	u.description.Restored = to
	if u.fileSet, err = in.changeBack(ctx, r); err != nil {
		return nil, err
	}
	c := &committer{Ingester: in, head: from.head, total: r.total}
	if err := c.commit(ctx, u); err != nil {
		return nil, err
	}
	return r, c.confirm(ctx, c.head, c.started, u)
}

// changeBack makes a file set that turns the head's files into the older ones.
func (in *Ingester) changeBack(ctx context.Context, r *Rewind) (fileSet string, err error) {
	files, err := in.Branch.NewFileSet(ctx)
	if err != nil {
		return "", err
	}
	for _, file := range r.Leave {
		if err := files.Delete(file.Path); err != nil {
			return "", err
		}
	}
	for _, file := range r.Return {
		if err := files.Copy(r.To.ID, file.Path); err != nil {
			return "", err
		}
	}
	return files.Close()
}
