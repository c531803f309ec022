// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

const (
	maxPipelineName   = 51
	maxKubernetesName = 63
	defaultImage      = "ubuntu:20.04"
	defaultDatumTries = 3
	untilSuccess      = "until_success"
	everyJob          = "every_job"

	// Limits of the Community edition.
	maxPipelines = 16
	maxWorkers   = 8
)

var kubernetesName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

func validKubernetesName(name string) bool { return kubernetesName.MatchString(name) }

// rcName is the name of a pipeline's replication controller.
func rcName(key pipelineKey, version uint64) string {
	clean := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "-")) }
	return fmt.Sprintf("%s-%s-v%d", clean(key.project), clean(key.name), version)
}

// checkPipelineMessage is how requests without a pipeline or name fail.
func (a *ppsAPI) checkPipelineMessage(message string, p *pps.Pipeline) error {
	switch {
	case p == nil && a.v211:
		return invalid(message, "Pipeline", "value is required")
	case p == nil && (message == "CreatePipelineRequest" || message == "StartPipelineRequest" || message == "StopPipelineRequest"):
		return unknown("request.Pipeline cannot be nil")
	case p == nil:
		return a.side.crash(message + " without a pipeline")
	case p.Name == "" && a.v211:
		return invalid(message, "Pipeline", "embedded message failed validation | caused by: invalid Pipeline.Name: value length must be at least 1 runes")
	}
	// Names may say which ancestor is meant; here only the newest can be.
	switch _, steps, err := parseAncestry(p.Name); {
	case err != nil:
		return err
	case steps < 0:
		return unknown("cannot inspect future pipelines")
	}
	return nil
}

// validateRequest is what CreatePipeline looks at before it fills in defaults.
func validateRequest(req *pps.CreatePipelineRequest) error {
	name := req.Pipeline.Name
	if name == "" {
		return unknown("invalid pipeline spec: request.Pipeline.Name cannot be empty")
	}
	if err := validateName(name); err != nil {
		return wrap(err, "invalid pipeline name")
	}
	if len(name) > maxPipelineName {
		return unknown("pipeline name %q is %d characters longer than the %d max", name, maxPipelineName-len(name), maxPipelineName)
	}
	if rc := rcName(keyOfPipeline(req.Pipeline), 99); len(rc) > maxKubernetesName {
		return unknown("Kubernetes name %q is %d characters longer than the %d max", rc, maxKubernetesName-len(rc), maxKubernetesName)
	}
	switch {
	case req.S3Out && (req.Service != nil || req.Spout != nil):
		return unknown("s3 output is not supported in spouts or services")
	case req.Transform == nil:
		return unknown("pipeline must specify a transform")
	case req.Spout != nil && req.Autoscaling:
		return unknown("autoscaling can't be used with spouts (spouts aren't triggered externally)")
	}
	if problem := staticProblem(req); problem != "" {
		return unknown("%s", problem)
	}
	return nil
}

// staticProblem is what newer servers look at first, in the specification with
// its defaults.
func staticProblem(req *pps.CreatePipelineRequest) string {
	switch {
	case req.TFJob != nil:
		return "embedding TFJobs in pipelines is not supported yet"
	case req.ReprocessSpec != "" && req.ReprocessSpec != untilSuccess && req.ReprocessSpec != everyJob:
		return fmt.Sprintf("invalid pipeline spec: ReprocessSpec must be one of '%s' or '%s'", untilSuccess, everyJob)
	case req.PodSpec != "" && !json.Valid([]byte(req.PodSpec)):
		return "malformed PodSpec"
	case req.PodPatch != "" && !json.Valid([]byte(req.PodPatch)):
		return "malformed PodPatch"
	}
	var texts []string
	for i, t := range req.Tolerations {
		if t.GetOperator() == pps.TolerationOperator_EMPTY {
			texts = append(texts, fmt.Sprintf("toleration %d/%d: cannot omit key/value comparison operator; specify EQUAL or EXISTS", i+1, len(req.Tolerations)))
		}
	}
	if len(texts) > 0 {
		return strings.Join(texts, "; ")
	}
	if s := req.Service; s != nil && s.Type != "" && s.Type != "ClusterIP" && s.Type != "LoadBalancer" && s.Type != "NodePort" {
		return fmt.Sprintf("the following service type %s is not allowed", s.Type)
	}
	return ""
}

// validateSecrets looks for the Kubernetes secrets that a pipeline uses.
func (s *Server) validateSecrets(t *pps.Transform) error {
	for _, mount := range t.GetSecrets() {
		if mount.EnvVar != "" && mount.Key == "" {
			return unknown("secret %s has env_var set but is missing key", mount.Name)
		}
		sec := s.secrets[mount.Name]
		if sec == nil {
			return unknown("missing Kubernetes secret %s", mount.Name)
		}
		if _, ok := sec.data[mount.Key]; mount.EnvVar != "" && !ok {
			return unknown("Kubernetes secret %s missing key %s", mount.Name, mount.Key)
		}
	}
	return nil
}

// validateDetails is what CreatePipeline looks at after defaults.
func validateDetails(key pipelineKey, d *pps.PipelineInfo_Details) error {
	if first := rune(key.name[0]); !unicode.IsLetter(first) && !unicode.IsDigit(first) {
		return unknown("pipeline names must start with an alphanumeric character")
	}
	if sql := d.Egress.GetSqlDatabase(); sql != nil {
		if sql.Secret == nil {
			return unknown("egress.sql_database.secret is required")
		}
		if sql.Secret.Name == "" || sql.Secret.Key == "" {
			return unknown("egress.sql_database.secret.name and egress.sql_database.secret.key are required")
		}
	}
	if d.ParallelismSpec != nil && d.Service != nil && d.ParallelismSpec.Constant != 1 {
		return unknown("services can only be run with a constant parallelism of 1")
	}
	for _, duration := range []*types.Duration{d.JobTimeout, d.DatumTimeout} {
		if duration != nil {
			if _, err := types.DurationFromProto(duration); err != nil {
				return unknown("%v", err)
			}
		}
	}
	if d.Spout != nil && d.Spout.Service == nil && d.Input != nil {
		return unknown("spout pipelines (without a service) must not have an input")
	}
	return nil
}

// setDefaults fills in what a request left out. Since 2.8 the cluster's
// default resources are shown.
func (s *Server) setDefaults(key pipelineKey, d *pps.PipelineInfo_Details) {
	if d.Transform.Image == "" {
		d.Transform.Image = defaultImage
	}
	if d.OutputBranch == "" {
		d.OutputBranch = "master"
	}
	if d.DatumTries == 0 {
		d.DatumTries = defaultDatumTries
	}
	if d.ReprocessSpec == "" {
		d.ReprocessSpec = untilSuccess
	}
	for _, service := range []*pps.Service{d.Service, d.Spout.GetService()} {
		if service != nil && service.Type == "" {
			service.Type = "NodePort"
		}
	}
	pps.SortInput(d.Input)
	pps.VisitInput(d.Input, func(in *pps.Input) error { //nolint:errcheck // it returns what the function does
		if cron := in.Cron; cron != nil {
			cron.Project = orDefault(cmp.Or(cron.Project, key.project))
			cron.Repo = cmp.Or(cron.Repo, key.name+"_"+cron.Name)
			if cron.Start == nil {
				cron.Start = s.now()
			}
		}
		return nil
	})
	triggers := map[string]int{}
	visitInputs(d.Input, func(in *pps.PFSInput) {
		in.Project = cmp.Or(in.Project, key.project)
		switch {
		case in.Branch == "" && in.Trigger != nil:
			triggers[in.Repo]++
			in.Branch = fmt.Sprintf("%s-trigger-%d", key.name, triggers[in.Repo])
			in.Trigger.Branch = cmp.Or(in.Trigger.Branch, "master")
		case in.Branch == "":
			in.Branch = "master"
		}
		if in.Name == "" {
			in.Name = in.Repo
		}
		if in.RepoType == "" {
			in.RepoType = pfs.UserRepoType
		}
		if in.Glob != "" {
			in.Glob = cleanPath(in.Glob)
		}
	})
	if s.v211 {
		d.ResourceRequests = withDefaultResources(d.ResourceRequests)
		d.SidecarResourceRequests = withDefaultResources(d.SidecarResourceRequests)
	}
}

// withDefaultResources merges the built-in defaults under a request, of which
// zero values do not count.
func withDefaultResources(r *pps.ResourceSpec) *pps.ResourceSpec {
	merged := &pps.ResourceSpec{Cpu: 1, Memory: "256Mi", Disk: "1Gi", Gpu: r.GetGpu()}
	if r.GetCpu() != 0 {
		merged.Cpu = r.Cpu
	}
	if r.GetMemory() != "" {
		merged.Memory = r.Memory
	}
	if r.GetDisk() != "" {
		merged.Disk = r.Disk
	}
	return merged
}

// visitInputs calls fn for all repos that an input reads.
func visitInputs(in *pps.Input, fn func(*pps.PFSInput)) {
	if in == nil {
		return
	}
	if in.Pfs != nil {
		fn(in.Pfs)
	}
	for _, group := range [][]*pps.Input{in.Join, in.Group, in.Cross, in.Union} {
		for _, inner := range group {
			visitInputs(inner, fn)
		}
	}
}

// inputBranches is the provenance that an input gives.
func inputBranches(key pipelineKey, in *pps.Input) []branchKey {
	var keys []branchKey
	visitInputs(in, func(p *pps.PFSInput) {
		project := p.Project
		if project == "" {
			project = key.project
		}
		keys = append(keys, repoKey{project, p.Repo, pfs.UserRepoType}.branch(p.Branch))
	})
	return keys
}

// podFailure is why Kubernetes would refuse a pipeline's objects, or "".
func podFailure(key pipelineKey, d *pps.PipelineInfo_Details) string {
	const prefix = "could not update resources after %d attempts: could not update resource for pipeline %q: "
	if d.Spout == nil {
		return ""
	}
	if d.Service != nil {
		return fmt.Sprintf(prefix+"could not generate RC options: only one of pipeline.service or pipeline.spout can be set", 1, key)
	}
	if name := "spout-pachctl-secret-" + key.project + "-" + key.name; !validKubernetesName(name) {
		return fmt.Sprintf(prefix+"Secret %q is invalid: metadata.name: Invalid value: %q: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'", 3, key, name, name)
	}
	mounted := map[string]bool{}
	for _, mount := range d.Transform.GetSecrets() {
		if mount.MountPath == "" {
			continue
		}
		if mounted[mount.Name] || strings.Contains(mount.Name, ".") {
			return fmt.Sprintf(prefix+"ReplicationController %q is invalid: spec.template.spec.volumes: Invalid value: %q", 3, key, rcName(key, 1), mount.Name)
		}
		mounted[mount.Name] = true
	}
	if service := d.Spout.Service; service != nil && service.Type == "NodePort" && (service.ExternalPort < 30000 || service.ExternalPort > 32767) {
		return fmt.Sprintf(prefix+"Service %q is invalid: spec.ports[0].nodePort: Invalid value: %d: provided port is not in the valid range", 3, key, rcName(key, 1)+"-user", service.ExternalPort)
	}
	if len(d.Transform.GetCmd()) == 0 {
		return "nothing to run: no transform.cmd"
	}
	return ""
}
