// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"fmt"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// provenanceModel is an element of provenance. It has no computed attribute: a
// project that is left out stays so, and means the branch's own.
type provenanceModel struct {
	Project types.String `tfsdk:"project"`
	Repo    types.String `tfsdk:"repo"`
	Branch  types.String `tfsdk:"branch"`
}

type triggerModel struct {
	Branch        types.String `tfsdk:"branch"`
	All           types.Bool   `tfsdk:"all"`
	Commits       types.Int64  `tfsdk:"commits"`
	Size          textValue    `tfsdk:"size"`
	RateLimitSpec textValue    `tfsdk:"rate_limit_spec"`
	CronSpec      textValue    `tfsdk:"cron_spec"`
}

var (
	branchTypes     = branchSchema(context.Background()).Type().(types.ObjectType).AttrTypes
	triggerTypes    = branchTypes["trigger"].(types.ObjectType).AttrTypes
	provenanceTypes = branchTypes["provenance"].(types.SetType).ElemType.(types.ObjectType).AttrTypes
)

const branchDoc = `A branch: a name in a repo for the newest of a chain of commits.

With ` + "`trigger`" + `, it follows another branch of its repo in larger steps. That is how the many small commits of a spout are batched for what reads them: let the pipeline read the branch with the trigger, in place of the spout's output branch.

Destroying a branch deletes the name only. Its commits, and the data in them, stay in the repo, where they can be read by their ids. Destroying is refused while a pipeline reads the branch, or the ` + "`trigger`" + ` of another branch follows it. The output branch of a pipeline or spout is the pipeline's, and is not managed by this resource.`

func branchSchema(ctx context.Context) schema.Schema {
	return schema.Schema{MarkdownDescription: branchDoc, Attributes: map[string]schema.Attribute{
		"id":      schema.StringAttribute{Computed: true, MarkdownDescription: "`project/repo@name`."},
		"project": projectAttribute("branch"),
		"repo":    schema.StringAttribute{Required: true, Validators: []validator.String{pfsName}, MarkdownDescription: "Repo that the branch is in. A change replaces the branch."},
		"name":    schema.StringAttribute{Required: true, Validators: []validator.String{pfsName, notACommit}, MarkdownDescription: "Name of the branch: letters, digits, `-` and `_`. A change replaces the branch."},
		"head": schema.StringAttribute{Optional: true, Validators: []validator.String{commitForm},
			MarkdownDescription: "Id of the commit of the same repo that the branch must be at. While it is set, the next apply moves a branch that has moved on back. The commits that it leaves stay in the repo. " +
				"Left out, the head is not managed: a new branch begins with an empty commit, and goes where its commits or its `trigger` take it. The data source `pachyderm_branch` shows where it is. Conflicts with `provenance` and `trigger`, which move the head."},
		"provenance": schema.SetNestedAttribute{Optional: true,
			MarkdownDescription: "Branches of other repos whose commits lead to commits here. Pipelines have this by their inputs. Set it only where something other than a pipeline derives the data. Nothing can be committed to such a branch by hand. Conflicts with `trigger` and `head`.",
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"project": schema.StringAttribute{Optional: true, Validators: []validator.String{stringvalidator.Any(stringvalidator.OneOf(""), projectForms)}, MarkdownDescription: "Project of the repo. Default: that of this branch."},
				"repo":    schema.StringAttribute{Required: true, Validators: []validator.String{pfsName}, MarkdownDescription: "Repo, another than this branch's."},
				"branch":  schema.StringAttribute{Required: true, Validators: []validator.String{pfsName}, MarkdownDescription: "Branch of it. If it does not exist, Pachyderm makes it."},
			}}},
		"trigger": schema.SingleNestedAttribute{Optional: true, Attributes: triggerAttributes(),
			MarkdownDescription: "When the branch is moved to the head of another one. One of the conditions is enough, unless `all` is true. They count from the commit that the branch is at. " +
				"When the trigger is taken away, the branch stays where it is. Conflicts with `provenance` and `head`."},
		"timeouts": timeoutsAttribute(""),
	}}
}

func triggerAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"branch":  schema.StringAttribute{Required: true, Validators: []validator.String{pfsName}, MarkdownDescription: "Branch of the same repo that is followed, for example a spout's output branch. Pachyderm 2.6 looks at the commits of all branches of the repo, so let nobody commit to the others there."},
		"all":     schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(false), MarkdownDescription: "Whether all conditions must hold, and not just one. With no condition, each commit moves the branch. Default: `false`."},
		"commits": schema.Int64Attribute{Optional: true, Validators: []validator.Int64{int64validator.AtLeast(1)}, MarkdownDescription: "Condition: so many new commits."},
		"size":    textAttribute(triggerSizeKind, "Condition: so much more data, for example `100MB`. Units are powers of 1000: `k`, `M`, `G`, `T` and `P`, with or without a `B`. Pachyderm reads `MiB` as `MB`, too."),
		"rate_limit_spec": textAttribute(scheduleKind, "Condition: a new commit, the first after a time of this schedule: five fields as in cron, `@hourly`, `@daily` or `@every 10m`. So the branch moves once in a period at most, and not at all while nothing is written. "+
			"Pachyderm 2.6 calls it `cron_spec`."),
		"cron_spec": textAttribute(scheduleKind, "At each time of this schedule, whatever was written: five fields as in cron, `@hourly`, `@daily` or `@every 10m`. Needs Pachyderm 2.7, and excludes the other conditions, which it does not look at."),
	}
}

var (
	commitForm = stringvalidator.RegexMatches(regexp.MustCompile(`^([0-9a-f]{32})?$`), "must be the id of a commit: 32 digits and letters from a to f. To follow a branch, set trigger")
	// notACommit keeps away names that would be read as a commit's id.
	notACommit = notMatching{regexp.MustCompile(`^[0-9a-f]{32}$`), "has the form of a commit's id, and could not be told from one"}
)

// notMatching refuses strings of a form.
type notMatching struct {
	form *regexp.Regexp
	why  string
}

func (v notMatching) Description(context.Context) string { return v.why }

func (v notMatching) MarkdownDescription(context.Context) string { return v.why }

func (v notMatching) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if known(req.ConfigValue) && v.form.MatchString(req.ConfigValue.ValueString()) {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid "+req.Path.String(), req.Path.String()+" = \""+req.ConfigValue.ValueString()+"\" "+v.why+".")
	}
}

func (m *branchModel) trigger(ctx context.Context) (*triggerModel, diag.Diagnostics) {
	if !known(m.Trigger) {
		return nil, nil
	}
	var t triggerModel
	diags := m.Trigger.As(ctx, &t, basetypes.ObjectAsOptions{})
	return &t, diags
}

func (m *branchModel) validate(ctx context.Context, diags *diag.Diagnostics) {
	fail := func(at path.Path, text string) { diags.AddAttributeError(at, "Invalid "+at.String(), text) }
	head, provenance := m.Head.ValueString() != "", known(m.Provenance) && len(m.Provenance.Elements()) > 0
	for _, pair := range []struct {
		name, other string
		both        bool
		why         string
	}{
		{"head", "trigger", head && known(m.Trigger), "the trigger moves the head, and the next apply would move it back"},
		{"head", "provenance", head && provenance, "the head of a branch with provenance is made by Pachyderm"},
		{"trigger", "provenance", known(m.Trigger) && provenance, "Pachyderm refuses a branch with both"},
	} {
		if pair.both {
			fail(path.Root(pair.name), pair.name+" and "+pair.other+" are both set: "+pair.why+". Leave one of them out.")
		}
	}
	t, d := m.trigger(ctx)
	diags.Append(d...)
	if t == nil || diags.HasError() {
		return
	}
	at := path.Root("trigger")
	if known(t.Branch) && t.Branch.Equal(m.Name) {
		fail(at.AtName("branch"), "trigger.branch is the branch itself. Name the branch that it must follow.")
	}
	left := func(text textValue) bool { return !text.IsUnknown() && text.ValueString() == "" }
	set := 0
	for _, out := range []bool{t.Commits.IsNull(), left(t.Size), left(t.RateLimitSpec)} {
		if !out {
			set++
		}
	}
	if set == 0 && left(t.CronSpec) && !t.All.ValueBool() && !t.All.IsUnknown() {
		fail(at, "trigger has no condition, so that the branch would never move. Set commits, size, rate_limit_spec or cron_spec.")
	}
	if t.CronSpec.ValueString() != "" && (set > 0 || t.All.ValueBool()) {
		fail(at.AtName("cron_spec"), "trigger.cron_spec is set together with another condition, which Pachyderm would not look at. To wait for a commit too, set rate_limit_spec in its place.")
	}
}

// plan checks what needs the project to be known.
func (m *branchModel) plan(ctx context.Context, _ *connection, _, _ *branchModel, diags *diag.Diagnostics) {
	if !known(m.Provenance) {
		return
	}
	branches := map[string]string{} // by project and repo
	for _, element := range m.Provenance.Elements() {
		object, ok := element.(types.Object)
		if !ok || !known(object) {
			continue
		}
		var p provenanceModel
		diags.Append(object.As(ctx, &p, basetypes.ObjectAsOptions{})...)
		own := !p.Project.IsUnknown() && p.Project.ValueString() == "" || known(p.Project) && p.Project.Equal(m.Project)
		if own && known(p.Repo) && p.Repo.Equal(m.Repo) {
			diags.AddAttributeError(path.Root("provenance"), "Invalid provenance",
				"provenance has a branch of the repo "+m.Repo.ValueString()+" itself; Pachyderm takes branches of other repos only. To follow a branch of the same repo, set trigger.")
		}
		if p.Project.IsUnknown() || !known(p.Repo) || !known(p.Branch) || own && !known(m.Project) {
			continue
		}
		repo := cmp.Or(p.Project.ValueString(), m.Project.ValueString()) + "/" + p.Repo.ValueString()
		if other, ok := branches[repo]; ok && other != p.Branch.ValueString() {
			diags.AddAttributeError(path.Root("provenance"), "Invalid provenance", fmt.Sprintf("provenance has the branches %s and %s of the repo %s; Pachyderm takes one branch of each repo.", other, p.Branch.ValueString(), repo))
		}
		branches[repo] = p.Branch.ValueString()
	}
}

// flatten brings provenance and trigger to what the server has, and leaves
// what means the same as it is written.
func (m *branchModel) flatten(ctx context.Context, b *pachyderm.BranchInfo) diag.Diagnostics {
	var diags diag.Diagnostics
	if m.wanted(ctx, &diags).met(b) {
		return diags
	}
	var before []provenanceModel
	diags.Append(m.Provenance.ElementsAs(ctx, &before, false)...)
	explicit := map[string]bool{} // written with the branch's own project
	for _, p := range before {
		explicit[p.Repo.ValueString()+"@"+p.Branch.ValueString()] = p.Project.Equal(m.Project)
	}
	m.Provenance = types.SetNull(types.ObjectType{AttrTypes: provenanceTypes})
	if len(b.Provenance) > 0 {
		var elements []provenanceModel
		for _, p := range b.Provenance {
			e := provenanceModel{Project: types.StringValue(p.Project), Repo: types.StringValue(p.Repo), Branch: types.StringValue(p.Name)}
			if p.Project == m.Project.ValueString() && !explicit[p.Repo+"@"+p.Name] {
				e.Project = types.StringNull()
			}
			elements = append(elements, e)
		}
		set, d := types.SetValueFrom(ctx, types.ObjectType{AttrTypes: provenanceTypes}, elements)
		diags.Append(d...)
		m.Provenance = set
	}
	m.Trigger = types.ObjectNull(triggerTypes)
	if t := b.Trigger; t != nil {
		text := func(kind *textKind, s string) textValue { return textValue{StringValue: textOrNull(s), kind: kind} }
		model := triggerModel{Branch: types.StringValue(t.Branch), All: types.BoolValue(t.All), Size: text(triggerSizeKind, t.Size),
			RateLimitSpec: text(scheduleKind, t.RateLimit), CronSpec: text(scheduleKind, t.Cron)}
		if t.Commits != 0 {
			model.Commits = types.Int64Value(t.Commits)
		}
		object, d := types.ObjectValueFrom(ctx, triggerTypes, model)
		diags.Append(d...)
		m.Trigger = object
	}
	return diags
}
