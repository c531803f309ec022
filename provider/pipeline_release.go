// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// releaseTime is how long a runner may take to give up what it has made at its
// source: its pod has to start, and to reach the source.
const releaseTime = 2 * time.Minute

// release has the bundled runner give up what it has made at its source and that
// would outlive the spout, such as a replication slot, for which a database keeps
// its log until the disk is full. Only the runner reaches the source: it is
// started once more, to do that and to say so in a last commit. A destroy does
// not fail for it: what may be left is said in a warning.
func (o *pipelineOperation) release(p *pachyderm.Pipeline) {
	if !p.IsSpout || !isBundledRunner(p.Spec) {
		return
	}
	left, ok := settings.LeftBy(p.Spec.Env)
	if !ok {
		return
	}
	head, has, err := o.mayHaveLeft()
	if err == nil && !has {
		return
	}
	if err == nil {
		err = o.releaseAfter(p, head)
	}
	if err != nil {
		o.diags.AddWarning("Something may be left of "+o.label()+" at its source", fmt.Sprintf("The runner was to give up %s. It did not say that it has: %s\n\n"+
			"If it is still there, remove it by hand:\n\n  %s", left.What, o.connection.explain(err), left.Command))
	}
}

// mayHaveLeft says whether the runner has got so far that something may be left
// at its source, and what the head of the output branch is.
func (o *pipelineOperation) mayHaveLeft() (head string, has bool, err error) {
	h, err := o.branch().Head(o.ctx)
	if pachyderm.IsNotFound(err) || err == nil && h == nil {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	err = o.branch().Ancestry(o.ctx, h.ID, func(c *pachyderm.Commit) bool {
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		if err != nil || !ours || c.Error != "" || d.Position == nil {
			return true
		}
		has = d.Reason != spoutcommit.ReasonReleased
		return false
	})
	return h.ID, has, err
}

// releaseAfter starts the runner for that, and waits for a commit that follows a
// head.
func (o *pipelineOperation) releaseAfter(p *pachyderm.Pipeline, head string) error {
	within := releaseTime
	if deadline, ok := o.ctx.Deadline(); ok {
		within = min(within, time.Until(deadline)/2) // the other half is for the delete
	}
	ctx, cancel := o.connection.within(o.ctx, within)
	defer cancel()
	spec := p.Spec
	spec.Cmd = append([]string{runnerCommand[0]}, settings.ReleaseArguments...)
	tflog.Info(ctx, "having the runner release what it has made at its source")
	if !slices.Equal(spec.Cmd, p.Spec.Cmd) { // else a destroy that was interrupted has asked for it
		if err := o.client.UpdatePipeline(ctx, o.id, spec); err != nil {
			return err
		}
	}
	if now, err := o.client.InspectPipeline(ctx, o.id); err == nil && now.Stopped {
		if err := o.client.StartPipeline(ctx, o.id); err != nil {
			return err
		}
	}
	for {
		released, err := o.hasReleased(ctx, head)
		if released {
			return nil
		}
		if o.ctx.Err() != nil {
			return o.ctx.Err()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("there was no commit that says so within %s", within.Round(time.Millisecond))
		}
		if err != nil {
			tflog.Debug(ctx, "looking for the commit that says it", map[string]any{"error": pachyderm.Reason(err)})
		}
		o.pause(ctx)
	}
}

// hasReleased says whether a commit that follows a head says that all is given up.
func (o *pipelineOperation) hasReleased(ctx context.Context, head string) (released bool, err error) {
	h, err := o.branch().Head(ctx)
	if err != nil || h == nil {
		return false, err
	}
	err = o.branch().Ancestry(ctx, h.ID, func(c *pachyderm.Commit) bool {
		if c.ID == head {
			return false
		}
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		released = released || err == nil && ours && c.Error == "" && !c.Finished.IsZero() && d.Reason == spoutcommit.ReasonReleased
		return !released
	})
	return released, err
}
