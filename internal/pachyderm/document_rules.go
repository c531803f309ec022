// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// Kinds of pipelines, as pachd tells them apart.
const (
	KindTransform = "transform"
	KindSpout     = "spout"
	KindService   = "service"
)

// Kind is the kind of pipeline that is specified.
func (d *Document) Kind() string {
	switch {
	case d.request.Spout != nil:
		return KindSpout
	case d.request.Service != nil:
		return KindService
	}
	return KindTransform
}

// OutputBranch is the branch that the pipeline writes.
func (d *Document) OutputBranch() string {
	if d.request.OutputBranch == "" {
		return DefaultOutputBranch
	}
	return d.request.OutputBranch
}

// Reads says whether one of the inputs is the output repo of a pipeline.
func (d *Document) Reads(id PipelineID) bool {
	found := false
	visit(inside(d.meaning(PipelineID{}), "input"), func(input map[string]any) {
		in := inside(input, "pfs")
		project, ok := in["project"]
		found = found || in["repo"] == id.Name && (!ok || project == id.Project)
	})
	return found
}

// Problem is a rule of pachd or of Kubernetes that a specification breaks.
type Problem struct {
	Field string // in camelCase, as input.pfs.glob
	Text  string // what is wrong and what to do about it
}

// Problems checks the rules that can be known without a server. Most of them
// are those of validatePipelineRequest and validatePipeline
// (src/server/pps/server/api_server.go); what pachd accepts and Kubernetes
// then does not would end as a failed pipeline.
func (d *Document) Problems() []Problem {
	r, p := d.request, &problems{}
	t := r.GetTransform()
	switch {
	case r.TFJob != nil:
		p.add("tfJob", "is not supported by Pachyderm. Use transform.")
	case t == nil:
		p.add("transform", "is missing. Say what the pipeline runs, for example {\"image\": \"…\", \"cmd\": [\"…\"]}.")
	case len(t.Cmd) == 0:
		p.add("transform.cmd", "is missing. Pachyderm never uses an image's own entry point: write out the command to run.")
	}
	for n, secret := range t.GetSecrets() {
		field := fmt.Sprintf("transform.secrets[%d]", n)
		switch {
		case secret.Name == "":
			p.add(field+".name", "is missing. Name a Kubernetes secret.")
		case secret.EnvVar != "" && secret.Key == "":
			p.add(field+".key", "is missing. An environment variable is filled from one key of the secret: name it.")
		case secret.EnvVar == "" && secret.MountPath == "":
			p.add(field, "has neither envVar nor mountPath: nothing would see the secret. Set one of them.")
		}
	}
	if s := r.ReprocessSpec; s != "" && s != defaultReprocessSpec && s != "every_job" {
		p.add("reprocessSpec", "is %q. It must be until_success or every_job.", s)
	}
	for n, toleration := range r.Tolerations {
		if toleration.GetOperator() == pps.TolerationOperator_EMPTY {
			p.add(fmt.Sprintf("tolerations[%d].operator", n), "is missing. It must be EQUAL or EXISTS.")
		}
	}
	for field, text := range map[string]string{"podSpec": r.PodSpec, "podPatch": r.PodPatch} {
		if text != "" && !json.Valid([]byte(text)) {
			p.add(field, "is not JSON. It is a string that holds JSON: write it with jsonencode(jsonencode(…)) inside the specification, or as a string of its own.")
		}
	}
	if sql := r.Egress.GetSqlDatabase(); sql != nil && (sql.GetSecret().GetName() == "" || sql.GetSecret().GetKey() == "") {
		p.add("egress.sqlDatabase.secret", "must have a name and a key: those of the Kubernetes secret with the database's password.")
	}
	if slices.Contains(d.Newer, "maximumExpectedUptime") && !r.Autoscaling {
		p.add("maximumExpectedUptime", "needs autoscaling. Set autoscaling to true, or leave maximumExpectedUptime out.")
	}
	p.kubernetes(d)
	p.service(r)
	p.inputs("input", r.Input, map[string]bool{})
	p.branches(r.Input)
	slices.SortFunc(p.all, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
	return p.all
}

type problems struct{ all []Problem }

func (p *problems) add(field, text string, args ...any) {
	p.all = append(p.all, Problem{field, fmt.Sprintf(text, args...)})
}

func (p *problems) service(r *pps.CreatePipelineRequest) {
	s := r.Service
	if s == nil {
		return
	}
	kinds := []string{DefaultServiceType, "ClusterIP", "LoadBalancer"}
	switch {
	case r.S3Out:
		p.add("s3Out", "does not go with a service. Leave one of them out.")
	case r.ParallelismSpec.GetConstant() > 1:
		p.add("parallelismSpec.constant", "is %d. A service runs in one worker only: leave it out.", r.ParallelismSpec.Constant)
	case s.Type != "" && !slices.Contains(kinds, s.Type):
		p.add("service.type", "is %q. It must be one of %s.", s.Type, strings.Join(kinds, ", "))
	case s.InternalPort < 1 || s.InternalPort > 65535:
		p.add("service.internalPort", "is %d. It must be from 1 to 65535: the port that the pipeline's code listens on.", s.InternalPort)
	case s.ExternalPort < 1 || s.ExternalPort > 65535:
		p.add("service.externalPort", "is %d. It must be from 1 to 65535.", s.ExternalPort)
	case (s.Type == "" || s.Type == DefaultServiceType) && (s.ExternalPort < 30000 || s.ExternalPort > 32767):
		p.add("service.externalPort", "is %d. It must be from 30000 to 32767, since the service is of the type NodePort. For a free choice set type to ClusterIP or LoadBalancer.", s.ExternalPort)
	}
}

// inputs checks an input and those in it. names holds the names that are taken.
func (p *problems) inputs(field string, in *pps.Input, names map[string]bool) {
	if in == nil {
		return
	}
	var kinds []string
	lists := map[string][]*pps.Input{"cross": in.Cross, "union": in.Union, "join": in.Join, "group": in.Group}
	for _, kind := range inputLists {
		if lists[kind] != nil {
			kinds = append(kinds, kind)
		}
	}
	if in.Pfs != nil {
		kinds = append(kinds, "pfs")
	}
	if in.Cron != nil {
		kinds = append(kinds, "cron")
	}
	if len(kinds) != 1 {
		p.add(field, "must have exactly one of pfs, cron, cross, union, join and group; it has %s.", orNone(kinds))
		return
	}
	switch kind := kinds[0]; kind {
	case "pfs":
		p.pfs(field+".pfs", in.Pfs, names)
	case "cron":
		p.name(field+".cron", in.Cron.Name, names)
		if spec := strings.TrimSpace(in.Cron.Spec); !strings.HasPrefix(spec, "@") && len(strings.Fields(spec)) != 5 {
			p.add(field+".cron.spec", "is %q. It must be five fields of cron, for example \"*/5 * * * *\", or a word such as @hourly or @every 30s.", in.Cron.Spec)
		}
	default:
		union := map[string]bool{}
		for n, inner := range lists[kind] {
			at := fmt.Sprintf("%s.%s[%d]", field, kind, n)
			if inner == nil {
				p.add(at, "is null. Leave it out.")
				continue
			}
			if kind != "union" {
				p.inputs(at, inner, names)
				continue
			}
			// Each of a union may use the same names, but not what is beside the union.
			own := map[string]bool{}
			for name := range names {
				own[name] = true
			}
			p.inputs(at, inner, own)
			for name := range own {
				union[name] = true
			}
		}
		for name := range union {
			names[name] = true
		}
	}
}

// branches checks that no two branches of one repo are read (validateDAGStructure
// in src/server/pfs/server/driver.go). Each trigger makes a branch of its own.
func (p *problems) branches(in *pps.Input) {
	read := map[string]string{} // by repo
	n := 0
	pps.VisitInput(in, func(in *pps.Input) error { //nolint:errcheck // nothing fails
		if in.Pfs == nil || in.Pfs.Repo == "" {
			return nil
		}
		branch := cmp.Or(in.Pfs.Branch, DefaultOutputBranch)
		if in.Pfs.Trigger != nil {
			n++
			branch = fmt.Sprintf("%s (with trigger %d)", branch, n)
		}
		repo := cmp.Or(in.Pfs.RepoType, pfs.UserRepoType) + "/" + in.Pfs.Project + "/" + in.Pfs.Repo
		if other, ok := read[repo]; ok && other != branch {
			p.add("input", "reads the branches %s and %s of the repo %s; Pachyderm takes one branch of each repo. Let another pipeline copy one of them into a repo of its own.", other, branch, in.Pfs.Repo)
		}
		read[repo] = branch
		return nil
	})
}

func (p *problems) pfs(field string, in *pps.PFSInput, names map[string]bool) {
	switch {
	case in.Repo == "":
		p.add(field+".repo", "is missing. Name the repo to read.")
		return
	case in.Glob == "" && !in.S3:
		p.add(field+".glob", "is missing. It says what is one unit of work: \"/\" for all files at once, \"/*\" for each file or folder at the top.")
	case in.S3 && in.Glob != "/":
		p.add(field+".glob", "must be \"/\" for an input with s3, which shows whole commits.")
	case in.S3 && in.Lazy:
		p.add(field+".lazy", "does not go with s3. Leave one of them out.")
	case in.S3 && in.EmptyFiles:
		p.add(field+".emptyFiles", "does not go with s3. Leave one of them out.")
	case in.S3 && strings.Contains(field, ".union[") || in.S3 && strings.Contains(field, ".join[") || in.S3 && strings.Contains(field, ".group["):
		p.add(field+".s3", "does not work inside union, join or group.")
	case in.Commit != "":
		p.add(field+".commit", "cannot be set. Name a branch that points to the commit.")
	}
	name := in.Name
	if name == "" {
		name = in.Repo
	}
	p.name(field, name, names)
}

func (p *problems) name(field, name string, names map[string]bool) {
	switch {
	case name == "":
		p.add(field+".name", "is missing. It is the folder below /pfs that the pipeline's code finds the input in.")
	case name == "out" || name == ".env":
		p.add(field+".name", "cannot be %q, which is Pachyderm's own in /pfs. Set another name.", name)
	case names[name]:
		p.add(field+".name", "is %q, like that of another input. Set a name, so that each has a folder of its own.", name)
	}
	names[name] = true
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " and ")
}
