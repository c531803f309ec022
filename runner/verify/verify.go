// SPDX-License-Identifier: Apache-2.0

// Package verify compares what a branch holds with what its source has: it reads
// the records of a range of commits again, does with them what the settings
// say, and compares the result with the commits' files, record by record.
//
// The range is gone through in portions of commits, so that memory does not
// depend on its length. What the source no longer has cannot be compared; that is
// told apart from what differs.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// portionBytes is how many bytes of files are compared at once.
const portionBytes = 128 << 20

// Config says what is verified.
type Config struct {
	Branch   *pachyderm.Branch
	Settings settings.Settings // of the spout; secrets filled in
	Reread   source.Reread     // nil if what the source gave cannot be read again
	Log      hclog.Logger      // of the source that reads again
	Progress func(commits, of int)
}

// Result is what came of it.
type Result struct {
	audit.Report
	First, Last string // commits of the range, "" if there is none
	Uncompared  int    // commits that could not be compared
	Because     string // why not
}

// commit is a commit of the range with what it says of itself.
type commit struct {
	*pachyderm.Commit
	d     spoutcommit.Description
	ours  bool
	part  string // of the streams that it is about; before it was ours, that of the commit before
	moved bool   // the spout goes on with another part from here on
}

// Run verifies commits, the oldest first, which follow the commit before on
// the branch. The error is about reading; what differs is in the result.
func Run(ctx context.Context, c Config, before *pachyderm.Commit, commits []*pachyderm.Commit) (*Result, error) {
	if c.Reread == nil {
		return nil, fmt.Errorf("what was acknowledged to the source %s cannot be read again, and so not be compared", c.Settings.Source)
	}
	if err := comparable(c.Settings); err != nil {
		return nil, err
	}
	list, err := parse(append([]*pachyderm.Commit{before}, commits...))
	if err != nil {
		return nil, err
	}
	result := &Result{}
	if len(commits) > 0 {
		result.First, result.Last = commits[0].ID, commits[len(commits)-1].ID
	}
	v := &verifier{Config: c, offsets: audit.OffsetsOf(c.Settings.Source), result: result, commits: list}
	for v.at = 0; v.at+1 < len(v.commits); {
		if err := v.portion(ctx); err != nil {
			return result, err
		}
		if c.Progress != nil {
			c.Progress(v.at, len(commits))
		}
	}
	if v.part != nil {
		result.Report = *v.part.Report()
	}
	return result, nil
}

// comparable says whether the files show which record is which.
func comparable(s settings.Settings) error {
	if encode.ShowsCoordinates(s.File.Format) {
		return nil
	}
	if path, plain := s.FilePath().String(), s.Layout().DefaultPath(); path != plain {
		return fmt.Errorf("files of the format %s only show which records they hold by SPOUT_FILE_PATH=%s, and it is %s", s.File.Format, plain, path)
	}
	return nil
}

func parse(commits []*pachyderm.Commit) (list []commit, err error) {
	for _, c := range commits {
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", c.ID, err)
		}
		next := commit{Commit: c, d: d, ours: ours && c.Error == "" && d.Position != nil}
		if len(list) > 0 {
			next.part = list[len(list)-1].part
		}
		if next.ours {
			was := next.part
			view, err := position.Parse(d.Source, d.Position)
			if err != nil {
				return nil, fmt.Errorf("commit %s: %w", c.ID, err)
			}
			next.part = view.Part
			next.moved = len(list) > 0 && next.part != was
		}
		list = append(list, next)
	}
	return list, nil
}

// verifier goes through the commits.
type verifier struct {
	Config
	offsets func(json.RawMessage) (map[source.Stream]int64, error)
	result  *Result
	commits []commit
	at      int         // commits up to here, it included, are done
	part    *audit.Part // nil before the first portion, and after commits that were left out
}

// portion compares the next commits that fit. One with which the spout goes on
// with another part of the streams is a portion of its own.
func (v *verifier) portion(ctx context.Context) error {
	end, bytes := v.at+1, v.commits[v.at+1].d.Bytes
	for end+1 < len(v.commits) && !v.commits[end].moved && !v.commits[end+1].moved && bytes+v.commits[end+1].d.Bytes <= portionBytes {
		end++
		bytes += v.commits[end].d.Bytes
	}
	portion := v.commits[v.at+1 : end+1]
	truth, err := v.reread(ctx, v.positioned(v.at), portion)
	var gone *goneError
	if errors.As(err, &gone) {
		return v.leaveOut(gone)
	}
	if err != nil {
		return err
	}
	if v.part == nil {
		if v.part, err = audit.After(ctx, v.Branch, v.Settings.Layout(), v.positioned(v.at).Commit, v.offsets); err != nil {
			return err
		}
		v.part.SchemasIn(v.Settings.SchemaRegistry.Folder)
	}
	infos := make([]*pachyderm.Commit, len(portion))
	for i, c := range portion {
		infos[i] = c.Commit
	}
	v.at = end
	return v.part.Audit(ctx, truth, infos...)
}

// positioned returns the newest commit up to one that carries a position.
func (v *verifier) positioned(at int) commit {
	for at > 0 && !v.commits[at].ours {
		at--
	}
	return v.commits[at]
}

// leaveOut goes on behind the commits whose records are gone.
func (v *verifier) leaveOut(gone *goneError) error {
	if v.part != nil {
		return fmt.Errorf("%w, meanwhile", gone)
	}
	before := v.at
	for v.at++; v.at+1 < len(v.commits); v.at++ {
		if c := v.commits[v.at]; c.ours {
			offsets, err := v.offsets(c.d.Position)
			if err != nil {
				return err
			}
			if offsets[gone.stream] >= gone.to {
				break
			}
		}
	}
	v.result.Uncompared += v.at - before
	v.result.Because = gone.Error()
	return nil
}

// Range returns the last n commits of a branch up to one (the newest that is
// FINISHED, if it is ""), the oldest first, and the commit before them that
// carries a position. n is 0 for all that there are.
func Range(ctx context.Context, branch *pachyderm.Branch, last string, n int) (before *pachyderm.Commit, commits []*pachyderm.Commit, err error) {
	from := last
	if from == "" {
		head, err := branch.Head(ctx)
		if err != nil {
			return nil, nil, err
		}
		if head == nil {
			return nil, nil, fmt.Errorf("%s has no commit yet", branch)
		}
		from = head.ID
	}
	var all []*pachyderm.Commit // newest first
	var rewinds spoutcommit.Rewinds
	counted := 0
	err = branch.Ancestry(ctx, from, func(c *pachyderm.Commit) bool {
		if c.Finished.IsZero() {
			return true
		}
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		positioned := err == nil && ours && c.Error == "" && d.Position != nil
		if !positioned {
			d = spoutcommit.Description{}
		}
		if rewinds.Behind(c.ID, d) {
			return true
		}
		if positioned && n > 0 && counted >= n {
			before = c
			return false
		}
		if positioned && d.Reason != spoutcommit.ReasonStart && d.Reason != spoutcommit.ReasonRewound {
			counted++
		}
		all = append(all, c)
		return true
	})
	if err != nil {
		return nil, nil, err
	}
	// The first commit fixes where reading began, and is what all begins with.
	for before == nil && len(all) > 0 {
		oldest := all[len(all)-1]
		all = all[:len(all)-1]
		if d, ours, err := spoutcommit.ParseDescription(oldest.Description); err == nil && ours && oldest.Error == "" && d.Position != nil {
			before = oldest
		}
	}
	if before == nil {
		return nil, nil, fmt.Errorf("no commit of %s carries a position of a runner", branch)
	}
	for i := len(all) - 1; i >= 0; i-- {
		commits = append(commits, all[i])
	}
	return before, commits, nil
}
