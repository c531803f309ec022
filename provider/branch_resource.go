// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"regexp"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// branchModel is the resource pachyderm_branch.
type branchModel struct {
	ID         types.String `tfsdk:"id"`
	Project    types.String `tfsdk:"project"`
	Repo       types.String `tfsdk:"repo"`
	Name       types.String `tfsdk:"name"`
	Head       types.String `tfsdk:"head"`
	Provenance types.Set    `tfsdk:"provenance"`
	Trigger    types.Object `tfsdk:"trigger"`
	Timeouts   types.Object `tfsdk:"timeouts"`
}

func (m *branchModel) limits() types.Object { return m.Timeouts }

func newBranchResource() resource.Resource {
	return &objectResource[branchModel, *branchModel]{kind: "branch", schema: branchSchema, identity: identity{
		form: "project/repo@name", pattern: regexp.MustCompile(`^(?:(?P<project>[^/@]+)/)?(?P<repo>[^/@]+)@(?P<name>[^/@]+)$`),
		docs: []identityPart{projectPart, {"repo", "Repo that the branch is in."}, {"name", "Name of the branch."}},
	}}
}

func (m *branchModel) branchID() pachyderm.BranchID {
	return pachyderm.BranchID{Project: m.Project.ValueString(), Repo: m.Repo.ValueString(), Name: m.Name.ValueString()}
}

// wanted is what the model asks for.
type wanted struct {
	head       string
	provenance []pachyderm.BranchID
	trigger    *pachyderm.Trigger
}

func (m *branchModel) wanted(ctx context.Context, diags *diag.Diagnostics) wanted {
	w := wanted{head: m.Head.ValueString()}
	var provenance []provenanceModel
	diags.Append(m.Provenance.ElementsAs(ctx, &provenance, false)...)
	for _, p := range provenance {
		id := pachyderm.BranchID{Project: p.Project.ValueString(), Repo: p.Repo.ValueString(), Name: p.Branch.ValueString()}
		if id.Project == "" {
			id.Project = m.Project.ValueString()
		}
		w.provenance = append(w.provenance, id)
	}
	pachyderm.SortBranches(w.provenance)
	w.provenance = slices.Compact(w.provenance)
	t, d := m.trigger(ctx)
	diags.Append(d...)
	if t != nil {
		w.trigger = &pachyderm.Trigger{Branch: t.Branch.ValueString(), All: t.All.ValueBool(), Commits: t.Commits.ValueInt64(), Size: t.Size.ValueString(),
			RateLimit: t.RateLimitSpec.ValueString(), Cron: t.CronSpec.ValueString()}
	}
	return w
}

// met says whether a branch is as wanted.
func (w wanted) met(b *pachyderm.BranchInfo) bool {
	return (w.head == "" || w.head == b.Head) && slices.Equal(w.provenance, b.Provenance) && sameTrigger(w.trigger, b.Trigger)
}

func sameTrigger(a, b *pachyderm.Trigger) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	if triggerSizeKind.equal(x.Size, y.Size) {
		x.Size = y.Size
	}
	return x == y
}

func (m *branchModel) create(o *operation) bool {
	w := m.wanted(o.ctx, o.diags)
	if o.diags.HasError() || !w.possible(o) {
		return false
	}
	return o.make(creation{
		look: lookFor(func(ctx context.Context) (*pachyderm.BranchInfo, error) {
			return o.client.InspectBranch(ctx, m.branchID())
		}, w.met),
		create: func(ctx context.Context) error {
			return o.client.SetBranch(ctx, m.branchID(), w.head, w.provenance, w.trigger)
		},
		more: " A pipeline makes the branches that it reads and that are missing: refer to this resource where the pipeline is configured, so that the branch is made before it.",
	})
}

// possible says whether the server can do what is wanted.
func (w wanted) possible(o *operation) bool {
	if w.trigger == nil || w.trigger.Cron == "" {
		return true
	}
	version, err := o.client.ServerVersion(o.ctx)
	if err != nil {
		o.fail("ask for the version of Pachyderm, to set", err)
		return false
	}
	if version.Before(2, 7) {
		o.diags.AddAttributeError(path.Root("trigger").AtName("cron_spec"), "Pachyderm is too old for cron_spec",
			"trigger.cron_spec needs Pachyderm 2.7, and the server is "+version.String()+", which would ignore it. "+
				"Set rate_limit_spec instead: the branch is then moved by the first commit after each time of the schedule.")
		return false
	}
	return true
}

func (m *branchModel) read(o *operation) bool {
	b, err := o.client.InspectBranch(o.ctx, m.branchID())
	switch {
	case pachyderm.IsNotFound(err):
		return false
	case err != nil:
		o.fail("read", err)
		return false
	case m.ID.IsNull() && !m.notAnOutput(o, "read"): // imported
		return false
	}
	if m.Head.ValueString() != "" {
		m.Head = types.StringValue(b.Head)
	}
	o.diags.Append(m.flatten(o.ctx, b)...)
	return true
}

// notAnOutput says whether the branch is not one that a pipeline writes. The
// pipeline is asked, since the branch of a paused one does not show it.
func (m *branchModel) notAnOutput(o *operation, verb string) bool {
	p, err := o.client.InspectPipeline(o.ctx, pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Repo.ValueString()})
	switch {
	case pachyderm.IsNotFound(err):
		return true
	case err != nil:
		o.fail(verb, err)
		return false
	case p.Spec.OutputBranch == m.Name.ValueString():
		o.refuse("is a pipeline's output branch", "The pipeline %s writes it, and any change of it from here would cut it off from the pipeline. "+
			"Manage the pipeline instead: with pachyderm_spout if it is a spout. To batch its commits for downstream, make another branch of the repo with trigger = { branch = %q, … }.",
			p.ID, m.Name.ValueString())
		return false
	}
	return true
}

func (m *branchModel) update(o *operation, _ *branchModel) bool {
	w := m.wanted(o.ctx, o.diags)
	if o.diags.HasError() || !w.possible(o) {
		return false
	}
	b, err := o.client.InspectBranch(o.ctx, m.branchID()) // an update would make a new branch
	switch {
	case pachyderm.IsNotFound(err):
		o.gone()
		return false
	case err != nil:
		o.fail("update", err)
		return false
	case w.met(b):
		return true
	case !m.notAnOutput(o, "update"):
		return false
	}
	if w.trigger == nil && b.Trigger != nil {
		tflog.Info(o.ctx, "removing the trigger", map[string]any{"head": b.Head, "readers": len(b.Readers)})
		if err := o.client.RemoveTrigger(o.ctx, b); err != nil {
			o.fail("remove the trigger of", err)
			return false
		}
		b.Trigger = nil
	}
	if w.met(b) {
		return true
	}
	tflog.Info(o.ctx, "updating branch")
	if err := o.client.SetBranch(o.ctx, m.branchID(), w.head, w.provenance, w.trigger); err != nil {
		o.fail("update", err)
		return false
	}
	return true
}

func (m *branchModel) delete(o *operation) {
	b, err := o.client.InspectBranch(o.ctx, m.branchID())
	switch {
	case pachyderm.IsNotFound(err):
	case err != nil:
		o.fail("destroy", err)
	case !m.notAnOutput(o, "destroy"):
	case len(b.Readers) > 0:
		o.refuse("is read by pipelines", "It cannot be deleted while it is an input of %s. Destroy or change those first."+createFirst, inWords(b.Readers))
	case m.unfollowed(o, b.ID):
		if err := o.client.DeleteBranch(o.ctx, b.ID); err != nil {
			o.fail("destroy", err)
		}
	}
}

// unfollowed says whether no trigger follows the branch: one that does would be
// left without a use, and from Pachyderm 2.9 on would be dropped.
func (m *branchModel) unfollowed(o *operation, id pachyderm.BranchID) bool {
	followers, err := o.client.Followers(o.ctx, id)
	if err != nil {
		o.fail("destroy", err)
		return false
	}
	if len(followers) > 0 {
		o.refuse("is followed by a trigger", "The trigger of %s moves that branch to the head of this one, and would be lost. Destroy or change that first. "+
			"If this configuration manages both, write trigger.branch = pachyderm_branch.<this one>.name there, so that Terraform destroys them in that order.", inWords(followers))
	}
	return len(followers) == 0
}
