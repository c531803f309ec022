// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// ValidateConfig checks what Pachyderm, Kubernetes and the runner would refuse
// later, some of it only once the pod is to be started. Values that are not
// known yet are left out.
func (r *spoutResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m spoutModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	m.validate(ctx, &resp.Diagnostics)
}

func (m *spoutModel) validate(ctx context.Context, diags *diag.Diagnostics) {
	v := spoutValidator{ctx: ctx, m: m, diags: diags}
	v.names()
	v.kind()
	v.environment()
	v.secretMounts()
	v.service()
	v.resources()
	v.tolerations()
	v.metadata()
	v.scheduling()
	v.scrape()
	if m.ForceDestroy.ValueBool() && m.KeepOutputRepo.ValueBool() {
		v.fail("force_destroy", "force_destroy and keep_output_repo are both true: the one deletes the data, the other keeps it. Set one of them.")
	}
}

// spoutValidator checks one configuration.
type spoutValidator struct {
	ctx   context.Context
	m     *spoutModel
	diags *diag.Diagnostics
}

func (v *spoutValidator) fail(attribute, format string, args ...any) {
	v.diags.AddAttributeError(attributePath(attribute), "Invalid "+attribute, fmt.Sprintf(format, args...))
}

func (v *spoutValidator) failAt(p path.Path, format string, args ...any) {
	v.diags.AddAttributeError(p, "Invalid "+p.String(), fmt.Sprintf(format, args...))
}

func known(v attr.Value) bool { return !v.IsNull() && !v.IsUnknown() }

var (
	nameForm    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	projectForm = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	branchForm  = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
)

// Names of pipelines are at most 51 long; a pipeline's objects in Kubernetes
// are called <project>-<name>-v<version>, which may be at most 63 long.
const (
	maxName     = 51
	maxFullName = 63 - len("-") - len("-v99")
)

func (v *spoutValidator) names() {
	if name := v.m.Name.ValueString(); known(v.m.Name) && (!nameForm.MatchString(name) || len(name) > maxName) {
		v.fail("name", "name = %q must have 1 to %d lower-case letters, digits and '-', and begin and end with a letter or digit. "+
			"Pachyderm takes more, but makes names of Kubernetes objects of it that Kubernetes refuses, and the spout would never start.", name, maxName)
	}
	if project := v.m.Project.ValueString(); known(v.m.Project) {
		if problem := projectProblem(project); problem != "" {
			v.fail("project", "%s", problem)
		}
	}
	if branch := v.m.OutputBranch.ValueString(); branch != "" && !branchForm.MatchString(branch) {
		v.fail("output_branch", "output_branch = %q must have letters, digits, '_' and '-' only.", branch)
	}
}

func projectProblem(project string) string {
	if projectForm.MatchString(project) && len(project) <= maxName {
		return ""
	}
	return fmt.Sprintf("project = %q must have 1 to %d lower-case letters, digits and '-', begin with a letter and end with a letter or digit: "+
		"the names of a spout's Kubernetes objects begin with it.", project, maxName)
}

// nameProblem checks a name together with its project.
func nameProblem(id pachyderm.PipelineID) string {
	if problem := projectProblem(id.Project); problem != "" {
		return problem
	}
	return tooLongTogether(id)
}

func tooLongTogether(id pachyderm.PipelineID) string {
	if n := len(id.Project) + len(id.Name); n > maxFullName {
		return fmt.Sprintf("project %q and name %q have %d characters together; Kubernetes leaves %d for them. Shorten one of them by %d.",
			id.Project, id.Name, n, maxFullName, n-maxFullName)
	}
	return ""
}

// kind checks that it is one kind of spout, and that kind's own attributes.
func (v *spoutValidator) kind() {
	m := v.m
	if _, unknown := m.anySource(); unknown || m.Transform.IsUnknown() {
		return
	}
	var set []string
	for _, source := range spoutSourceList {
		if known(*source.of(&m.spoutSources)) {
			set = append(set, source.name)
		}
	}
	if known(m.Transform) {
		set = append(set, "transform")
	}
	switch {
	case len(set) == 0:
		v.fail(spoutSourceList[0].name, "%s None of them is set.", oneKind())
	case len(set) > 1:
		v.fail(set[len(set)-1], "%s %s are set.", oneKind(), strings.Join(set, " and "))
	case known(m.Transform):
		v.withoutRunner()
		v.transform()
	default:
		v.runner(set[0])
	}
}

// oneKind says which kinds of spouts there are.
func oneKind() string {
	names := sourceNames("")
	return fmt.Sprintf("Exactly one of %s and transform must be set: %[1]s for the bundled runner to read it, transform to run an image of your own.", names)
}

// withoutRunner refuses what only the bundled runner understands.
func (v *spoutValidator) withoutRunner() {
	m := v.m
	if known(m.Image) {
		v.fail("image", "image is the bundled runner's; set transform.image instead.")
	}
	for _, g := range objects {
		if object := m.settingObjects()[g.Attribute]; object != nil && known(*object) {
			v.fail(g.Attribute, "%s goes with the bundled runner, and transform runs its own code. Take it out, or set one of %s in place of transform.", g.Attribute, sourceNames(""))
		}
	}
	if m.WaitFor.ValueString() == waitForIngesting {
		v.fail("wait_for", "wait_for = \"ingesting\" needs the bundled runner, which says when it ingests. Set \"running\" or \"created\" with transform.")
	}
}

// runner checks the settings of the bundled runner.
func (v *spoutValidator) runner(source string) {
	l := v.m.leaves()
	read := readSettings(l, source)
	v.diags.Append(read.problems(l)...)
	v.diags.Append(read.warnings()...)
	v.uniqueKeys(l)
	v.memoryLimit(read)
	if chosen, _, ok := v.m.source(); ok && chosen.check != nil {
		chosen.check(v, read)
	}
	for name, value := range read.Environment() {
		attribute, ok := attributeOf(name)
		if problem := pachyderm.VariableSizeProblem(name, value); ok && problem != "" {
			v.fail(attribute, "%s %s.", attribute, problem)
		}
	}
}

// uniqueKeys checks that a reference to a secret takes different things from
// different keys. Two references may well share them: the same credentials can
// be good for a source and for the schema registry.
func (v *spoutValidator) uniqueKeys(l leaves) {
	variables := map[[2]string]settings.Variable{} // by reference and key
	for _, s := range contract {
		if !s.Secret || !l.has(s.Attribute) || l.unknown(s.Attribute+"."+s.Key) {
			continue
		}
		key, ok := l.text(s.Attribute + "." + s.Key)
		if !ok {
			key = s.DefaultKey
		}
		at := [2]string{s.Attribute, key}
		if other, twice := variables[at]; twice {
			doc := func(v settings.Variable) string { return strings.TrimSuffix(uncapital(v.Doc), ".") }
			v.fail(s.Attribute, "%s takes the key %q for two different things: %s, and %s. Name two keys.", s.Attribute, key, doc(other), doc(s))
		}
		variables[at] = s
	}
}

func (v *spoutValidator) transform() {
	values := v.m.Transform.Attributes()
	if cmd, ok := values["cmd"].(types.List); ok && known(cmd) && len(cmd.Elements()) > 0 {
		if first, ok := cmd.Elements()[0].(types.String); ok && known(first) && first.ValueString() == "" {
			v.fail("transform.cmd", "The first element of transform.cmd is empty; it must be the program to run.")
		} else if known(first) && len(cmd.Elements()) == 1 && strings.Contains(first.ValueString(), " ") {
			parts := strings.Fields(first.ValueString())
			v.diags.AddAttributeWarning(attributePath("transform.cmd"), "Program with spaces in its name", fmt.Sprintf("transform.cmd = [%q] runs a program of that whole name, spaces included: no shell splits it. "+
				"Write one element for each argument: [\"%s\"]", first.ValueString(), strings.Join(parts, "\", \"")))
		}
		for i, element := range cmd.Elements() {
			word, _ := element.(types.String)
			if problem := pachyderm.ArgumentProblem(word.ValueString()); problem != "" {
				v.failAt(path.Root("transform").AtName("cmd").AtListIndex(i), "transform.cmd[%d] %s.", i, problem)
			}
		}
	}
	if codes, ok := values["accept_return_code"].(types.List); ok && known(codes) {
		for i, element := range codes.Elements() {
			if code, ok := element.(types.Int64); ok && known(code) && (code.ValueInt64() < 1 || code.ValueInt64() > 255) {
				v.failAt(path.Root("transform").AtName("accept_return_code").AtListIndex(i),
					"transform.accept_return_code has %d; exit codes are from 1 to 255, and 0 is always accepted.", code.ValueInt64())
			}
		}
		if len(codes.Elements()) > 0 {
			v.diags.AddAttributeWarning(attributePath("transform.accept_return_code"), "Spout may never be started again",
				"When a spout's command ends with one of these codes, Pachyderm never starts it again, and keeps calling the spout running. Leave them out unless that is meant.")
		}
	}
}

// environment checks env and secret_env.
func (v *spoutValidator) environment() {
	env, secrets := v.m.Env.Elements(), v.m.SecretEnv.Elements()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		at := path.Root("env").AtMapKey(name)
		v.variable(at, "env", name)
		value, _ := env[name].(types.String)
		if problem := pachyderm.VariableSizeProblem(name, value.ValueString()); problem != "" {
			v.failAt(at, "env[%q] %s.", name, problem)
		}
		if why := looksSecret(name, value.ValueString()); why != "" && (value.IsUnknown() || value.ValueString() != "") {
			v.diags.AddAttributeWarning(at, "env may hold a secret", fmt.Sprintf("env[%q] %s. Its value is shown in plans, kept in the state and readable in Pachyderm. "+
				"Put it in a Kubernetes secret and refer to that by secret_env.", name, why))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		at := path.Root("secret_env").AtMapKey(name)
		v.variable(at, "secret_env", name)
		if _, twice := env[name]; twice {
			v.failAt(at, "The variable %s is in env and in secret_env. Leave it in one of them.", name)
		}
	}
}

// Pachyderm's own variables come after the user's, and replace them.
var (
	ownPrefixes  = []string{"PACH_", "PPS_", "PACHW_", "PG_BOUNCER_", "POSTGRES_"}
	ownVariables = []string{"PEER_PORT", "STORAGE_BACKEND", "LOKI_SERVICE_HOST", "LOKI_SERVICE_PORT", "LOKI_LOGGING", "GOCOVERDIR",
		"DISABLE_COMMIT_PROGRESS_COUNTER", "GOOGLE_CLOUD_PROFILER_PROJECT"}
)

func (v *spoutValidator) variable(at path.Path, attribute, name string) {
	own := slices.Contains(ownVariables, name) || slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	switch {
	case pachyderm.VariableNameProblem(name) != "":
		v.failAt(at, "%s has the name %q, which %s.", attribute, name, pachyderm.VariableNameProblem(name))
	case own:
		v.failAt(at, "%s has %s, which Pachyderm sets itself: the value would never be seen. Use another name.", attribute, name)
	case strings.HasPrefix(name, settings.Prefix) && v.m.Transform.IsNull():
		if other, ok := attributeOf(name); ok {
			v.failAt(at, "%s has %s, which is the bundled runner's: set %s instead.", attribute, name, other)
		} else {
			v.failAt(at, "%s has %s. Names that begin with %s belong to the bundled runner, which does not start with one that it does not know.", attribute, name, settings.Prefix)
		}
	}
}

var secretForm = regexp.MustCompile(`(?i)(^|_)(PASSWORD|PASSWD|PASSPHRASE|PWD|TOKEN|SECRET|CREDENTIALS?|(PRIVATE|API|ACCESS|SECRET|ACCOUNT)_?KEY)(_|$)`)

// looksSecret says why a variable may be a secret, or "".
func looksSecret(name, value string) string {
	// A name of a file or of a secret is none.
	if secretForm.MatchString(name) && !strings.HasSuffix(strings.ToUpper(name), "_FILE") && !strings.HasSuffix(strings.ToUpper(name), "_PATH") && !strings.HasSuffix(strings.ToUpper(name), "_NAME") {
		return "is named as secrets are"
	}
	if strings.Contains(value, "-----BEGIN") && strings.Contains(value, "PRIVATE KEY-----") {
		return "holds a private key"
	}
	return ""
}

// secretMounts checks secret_mounts. Pachyderm names the volume after the secret.
func (v *spoutValidator) secretMounts() {
	at := map[string]string{}
	mounts := v.m.SecretMounts.Elements()
	for _, folder := range slices.Sorted(maps.Keys(mounts)) {
		p := path.Root("secret_mounts").AtMapKey(folder)
		if !strings.HasPrefix(folder, "/") || strings.Contains(folder, ":") {
			v.failAt(p, "secret_mounts has the folder %q; it must be an absolute path without a colon, such as \"/etc/tls\".", folder)
		}
		for _, taken := range []string{"/pfs", "/pachctl", "/pach-bin", "/tmp"} {
			if strings.TrimRight(folder, "/") == taken {
				v.failAt(p, "secret_mounts has the folder %q, which Pachyderm uses itself. Mount the secret elsewhere.", folder)
			}
		}
		secret, ok := mounts[folder].(types.String)
		if !ok || !known(secret) {
			continue
		}
		if other, twice := at[secret.ValueString()]; twice {
			v.failAt(p, "The secret %q is mounted at %q too. Pachyderm cannot mount a secret twice; mount it at one of them.", secret.ValueString(), other)
		}
		at[secret.ValueString()] = folder
		if !nameForm.MatchString(secret.ValueString()) {
			v.failAt(p, "secret_mounts has the secret %q; Pachyderm names a volume after it, so it can have lower-case letters, digits and '-' only.", secret.ValueString())
		}
	}
}
