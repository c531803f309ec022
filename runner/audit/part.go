// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Part audits a part of a branch's history, portion by portion, so that the
// source's records need not be in memory all at once.
type Part struct{ a *auditor }

// After returns an audit of what follows a commit, whose files and position
// are taken as they are. Positions are read by offsets.
func After(ctx context.Context, branch *pachyderm.Branch, layout settings.Layout, before *pachyderm.Commit,
	offsets func(json.RawMessage) (map[source.Stream]int64, error)) (*Part, error) {
	d, _, err := spoutcommit.ParseDescription(before.Description)
	if err != nil {
		return nil, err
	}
	positions, err := offsets(d.Position)
	if err != nil {
		return nil, err
	}
	files, err := branch.Files(ctx, before.ID)
	if err != nil {
		return nil, err
	}
	var earlier int64
	if d.Total != nil {
		earlier = d.Total.Records
	}
	now := byPath(files)
	return &Part{&auditor{branch: branch, layout: layout, files: now, filesOf: map[string]map[string]pachyderm.File{before.ID: now},
		positions: positions, earlier: earlier, states: map[string]state{before.ID: {positions: maps.Clone(positions)}}, epoch: d.Epoch, startsGiven: true}}, nil
}

// WrittenWith says with which settings the files were written: what their paths
// look like, and in which folder schemas of a registry are.
func (p *Part) WrittenWith(s settings.Settings) { p.a.settings = &s }

// Audit goes on with finished commits, the oldest first, and what the source
// holds of them.
func (p *Part) Audit(ctx context.Context, truth Truth, commits ...*pachyderm.Commit) error {
	p.a.truth, p.a.seen, p.a.ever = truth, map[source.Stream]map[int64]bool{}, map[source.Stream]map[int64]bool{}
	for _, commit := range commits {
		if err := p.a.commit(ctx, commit); err != nil {
			return err
		}
	}
	p.a.finish()
	return nil
}

// Report is the result so far.
func (p *Part) Report() *Report { return &p.a.report }
