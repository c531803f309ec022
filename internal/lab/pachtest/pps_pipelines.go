// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// pipeline is a pipeline's newest version. It belongs to Server.mu.
type pipeline struct {
	key     pipelineKey
	seq     int64
	info    *pps.PipelineInfo // replaced or cloned, never shared with callers
	history []*pps.PipelineInfo
	spec    *commit
	token   string

	pinnedState      bool // SetPipelineState decides
	starts, saidFor  int  // how often it was started, and for which of them it has said that it ingests
	pinnedWorkers    bool // SetWorkers decides
	workersAvailable int64
	logs             []logLine
	jobs             []*pps.JobInfo // oldest first
	jobEnd           *jobEnd
}

func (p *pipeline) isTransform() bool {
	return p.info.Type == pps.PipelineInfo_PIPELINE_TYPE_TRANSFORM
}

func (p *pipeline) output() branchKey {
	return p.key.output().branch(p.info.Details.OutputBranch)
}

// provenance is what the output branch has while the pipeline is not stopped.
func (p *pipeline) provenance() []branchKey {
	return append(inputBranches(p.key, p.info.Details.Input), p.key.spec().branch("master"))
}

func (a *ppsAPI) CreatePipeline(ctx context.Context, req *pps.CreatePipelineRequest) (*types.Empty, error) {
	if err := a.checkPipelineMessage("CreatePipelineRequest", req.Pipeline); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var shown *shownSpec
	if a.v211 { // a request without JSON is made JSON: what is zero in it is left out
		text, err := (&jsonpb.Marshaler{}).MarshalToString(req)
		if err != nil {
			return nil, unknown("%v", err)
		}
		reprocess := req.Reprocess
		if req, shown, err = a.withUserSpec(text, req.Update); err != nil {
			return nil, err
		}
		req.Reprocess = reprocess
	}
	return &types.Empty{}, a.createPipeline(ctx, req, shown)
}

func (a *ppsAPI) createPipeline(ctx context.Context, req *pps.CreatePipelineRequest, shown *shownSpec) error {
	key := keyOfPipeline(req.Pipeline)
	old := a.pipelines[key]
	if old == nil {
		if err := a.checkEdition(req); err != nil {
			return err
		}
	}
	if err := a.validateSecrets(req.Transform); err != nil {
		return err
	}
	if old != nil && !req.Update {
		return alreadyExists("pipeline %q already exists", key)
	}
	if err := validateRequest(req); err != nil {
		return err
	}
	info := a.newPipelineInfo(key, req, old)
	if err := validateDetails(key, info.Details); err != nil {
		return err
	}
	if err := a.checkInputs(ctx, key, info.Details.Input); err != nil {
		return err
	}
	if err := a.checkTriggers(info.Details.Input); err != nil {
		return err
	}
	if old != nil {
		if err := a.allowRepo(ctx, key.output(), auth.Permission_REPO_WRITE); err != nil {
			return err
		}
		if err := a.checkReaders(old); err != nil {
			return err
		}
	} else if err := a.createPipelineRepos(ctx, key); err != nil {
		return err
	}
	if shown != nil {
		extra, err := proto.Marshal(shown)
		if err != nil {
			return unknown("%v", err)
		}
		info.XXX_unrecognized = extra
	}
	a.putPipeline(key, info, old)
	return nil
}

// checkReaders refuses, as 2.6.0 and 2.11.6 do, to update a running spout that
// a pipeline reads directly: they make commits of the readers that come from a
// commit of the spout, which they have not made (propagateBranches in
// src/server/pfs/server/driver.go).
func (a *ppsAPI) checkReaders(p *pipeline) error {
	if p.info.Type != pps.PipelineInfo_PIPELINE_TYPE_SPOUT || p.info.Stopped {
		return nil
	}
	for _, r := range a.repos {
		for _, b := range r.branches {
			if slices.Contains(b.direct, p.output()) {
				id := newID()
				return unknown("add commit provenance from %q to %q: add commit provenance: ERROR: insert or update on table \"commit_provenance\" violates foreign key constraint \"fk_to_commit\" (SQLSTATE 23503)",
					fmt.Sprintf("%s.%s@%s", b.key.repoKey, b.key.kind, id), fmt.Sprintf("%s.user@%s", p.key.output(), id))
			}
		}
	}
	return nil
}

// checkEdition applies the limits of the Community edition.
func (a *ppsAPI) checkEdition(req *pps.CreatePipelineRequest) error {
	const product = "Pachyderm Community Edition"
	if a.enterprise {
		return nil
	}
	if len(a.pipelines) >= maxPipelines {
		return unknown("%s requires an activation key to create more than %d total pipelines (you have %d). ", product, maxPipelines, len(a.pipelines))
	}
	if req.ParallelismSpec.GetConstant() > maxWorkers {
		return unknown("%s requires an activation key to create pipelines with parallelism more than %d. ", product, maxWorkers)
	}
	return nil
}

func (a *ppsAPI) checkInputs(ctx context.Context, key pipelineKey, in *pps.Input) error {
	for _, b := range inputBranches(key, in) {
		if a.repos[b.repoKey] == nil {
			return notFound("repo %v not found", b.repoKey)
		}
		if err := a.allowRepo(ctx, b.repoKey, auth.Permission_REPO_READ); err != nil {
			return err
		}
	}
	return nil
}

// checkTriggers refuses, as newer servers do, a trigger on a missing branch.
func (a *ppsAPI) checkTriggers(in *pps.Input) error {
	var err error
	visitInputs(in, func(p *pps.PFSInput) {
		if p.Trigger == nil || !a.v211 {
			return
		}
		followed := (repoKey{p.Project, p.Repo, pfs.UserRepoType}).branch(p.Trigger.Branch)
		if a.findBranch(followed) == nil {
			err = wrap(a.errBranchNotFound(followed), "could not create/update trigger branch: create branch: updating branch trigger")
		}
	})
	return err
}

// newPipelineInfo makes the next version from a request.
func (a *ppsAPI) newPipelineInfo(key pipelineKey, req *pps.CreatePipelineRequest, old *pipeline) *pps.PipelineInfo {
	req = proto.Clone(req).(*pps.CreatePipelineRequest)
	info := &pps.PipelineInfo{
		Pipeline:    key.message(),
		Version:     1,
		State:       pps.PipelineState_PIPELINE_STARTING,
		Parallelism: max(req.ParallelismSpec.GetConstant(), 1),
		Details: &pps.PipelineInfo_Details{
			Transform: req.Transform, ParallelismSpec: req.ParallelismSpec, Input: req.Input, Egress: req.Egress,
			OutputBranch: req.OutputBranch, CreatedAt: a.now(), Description: req.Description, Salt: req.Salt,
			ResourceRequests: req.ResourceRequests, ResourceLimits: req.ResourceLimits,
			SidecarResourceRequests: req.SidecarResourceRequests, SidecarResourceLimits: req.SidecarResourceLimits,
			Service: req.Service, Spout: req.Spout, S3Out: req.S3Out, Metadata: req.Metadata, Autoscaling: req.Autoscaling,
			DatumSetSpec: req.DatumSetSpec, DatumTimeout: req.DatumTimeout, JobTimeout: req.JobTimeout, DatumTries: req.DatumTries,
			SchedulingSpec: req.SchedulingSpec, PodSpec: req.PodSpec, PodPatch: req.PodPatch,
			ReprocessSpec: req.ReprocessSpec, Tolerations: req.Tolerations,
		},
	}
	d := info.Details
	a.setDefaults(key, d)
	if d.Salt == "" || req.Reprocess {
		d.Salt = newID()
	}
	switch {
	case d.Spout != nil:
		info.Type = pps.PipelineInfo_PIPELINE_TYPE_SPOUT
	case d.Service != nil:
		info.Type = pps.PipelineInfo_PIPELINE_TYPE_SERVICE
	default:
		info.Type = pps.PipelineInfo_PIPELINE_TYPE_TRANSFORM
	}
	if old != nil {
		info.Version = old.info.Version + 1
		info.Stopped = old.info.Stopped
		if !req.Reprocess {
			d.Salt = old.info.Details.Salt
		}
		if a.v211 {
			d.CreatedAt = old.info.Details.CreatedAt
		}
	}
	return info
}

func (a *ppsAPI) createPipelineRepos(ctx context.Context, key pipelineKey) error {
	if a.repos[key.output()] != nil {
		return unknown("pipeline %q cannot be created because a repo with the same name already exists", key.name)
	}
	if err := a.createRepo(ctx, key.output(), "Output repo for pipeline "+key.String()+".", false); err != nil {
		return wrap(err, "error creating output repo for %s", key.name)
	}
	return a.createRepo(ctx, key.spec(), "Spec repo for pipeline "+key.String()+".", true)
}

// putPipeline stores a version: its spec commit, output branch and token. All
// commits share one id. Checks are over.
func (a *ppsAPI) putPipeline(key pipelineKey, info *pps.PipelineInfo, old *pipeline) {
	id := newID()
	specRepo := a.repos[key.spec()]
	specBranch := specRepo.branches["master"]
	if specBranch == nil {
		specBranch = &branch{key: key.spec().branch("master"), seq: a.nextSeq()}
		specRepo.branches["master"] = specBranch
	}
	p := &pipeline{key: key, seq: a.nextSeq(), info: info}
	p.spec = a.addCommit(specRepo, specBranch, id, specBranch.head, pfs.OriginKind_USER)
	p.spec.details = true
	a.finishCommit(p.spec, "", "")
	info.SpecCommit = a.commitMessage(p.spec)
	kind := PipelineCreated
	if old != nil {
		kind = PipelineUpdated
		p.history = append(slices.Clone(old.history), old.info)
		p.logs, p.jobs, p.jobEnd = old.logs, old.jobs, old.jobEnd
	}
	if a.auth != nil {
		if old != nil {
			delete(a.auth.tokens, old.token)
		}
		principal := auth.PipelinePrefix + key.String()
		p.token = a.auth.mint(principal, zeroTime)
		a.auth.bind(repoResource(key.output()), principal, auth.RepoWriterRole)
	}
	a.pipelines[key] = p
	var direct []branchKey
	if !info.Stopped {
		direct = p.provenance()
	}
	// The repos exist, so this cannot fail.
	if made, _ := a.createBranch(p.output(), nil, direct, nil, id); made != nil && made.finishing == nil && info.Type == pps.PipelineInfo_PIPELINE_TYPE_SPOUT {
		a.finishCommit(made, "close spout commit", "")
	}
	visitInputs(info.Details.Input, func(in *pps.PFSInput) {
		if in.Trigger != nil {
			a.createBranch((repoKey{in.Project, in.Repo, pfs.UserRepoType}).branch(in.Branch), nil, nil, in.Trigger, id) //nolint:errcheck // as above
		}
	})
	if p.isTransform() {
		a.addJob(p)
	}
	if p.isTransform() && a.repos[key.meta()] == nil {
		meta := key.meta()
		a.repos[meta] = &repo{key: meta, created: a.now(), description: "Meta repo for pipeline " + key.name, seq: a.nextSeq(),
			branches: map[string]*branch{}, commits: map[string]*commit{}}
		a.createBranch(meta.branch(info.Details.OutputBranch), nil, direct, nil, id) //nolint:errcheck // as above
	}
	a.emit(p, kind)
}

// clusterIP is what Kubernetes gives to a service. The real one differs with
// each version of the pipeline.
const clusterIP = "10.96.0.10"

func (a *ppsAPI) InspectPipeline(_ context.Context, req *pps.InspectPipelineRequest) (*pps.PipelineInfo, error) {
	if err := a.checkPipelineMessage("InspectPipelineRequest", req.Pipeline); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pipelines[keyOfPipeline(req.Pipeline)]
	if p == nil {
		return nil, a.errPipelineNotFound(keyOfPipeline(req.Pipeline))
	}
	info := proto.Clone(p.info).(*pps.PipelineInfo)
	if !req.Details {
		info.Details = nil
		return info, nil
	}
	if service := info.Details.Service; service != nil && service.Type != "LoadBalancer" {
		service.IP = clusterIP
	}
	info.Details.WorkersRequested = int64(info.Parallelism)
	info.Details.WorkersAvailable = p.workersAvailable
	return info, nil
}

// ListPipeline sends the newest pipelines first, with details but without
// counting workers.
func (a *ppsAPI) ListPipeline(req *pps.ListPipelineRequest, stream pps.API_ListPipelineServer) error {
	a.mu.Lock()
	var found []*pipeline
	for _, p := range a.pipelines {
		if req.Pipeline != nil && keyOfPipeline(req.Pipeline) != p.key {
			continue
		}
		if len(req.Projects) > 0 && !slices.ContainsFunc(req.Projects, func(m *pfs.Project) bool { return m.GetName() == p.key.project }) {
			continue
		}
		if a.allow(stream.Context(), projectResource(p.key.project), auth.Permission_PROJECT_LIST_REPO) != nil &&
			a.allowRepo(stream.Context(), p.key.output(), auth.Permission_REPO_READ) != nil {
			continue
		}
		found = append(found, p)
	}
	slices.SortFunc(found, func(x, y *pipeline) int { return int(y.seq - x.seq) })
	var infos []*pps.PipelineInfo
	for _, p := range found {
		infos = append(infos, proto.Clone(p.info).(*pps.PipelineInfo))
		for i, left := len(p.history)-1, req.History; i >= 0 && left != 0; i, left = i-1, left-1 {
			infos = append(infos, proto.Clone(p.history[i]).(*pps.PipelineInfo))
		}
	}
	a.mu.Unlock()
	if req.Pipeline != nil && len(infos) == 0 {
		return notFound("pipeline %q not found", keyOfPipeline(req.Pipeline))
	}
	return sendAll(infos, stream.Send)
}

func (a *ppsAPI) StartPipeline(ctx context.Context, req *pps.StartPipelineRequest) (*types.Empty, error) {
	if err := a.checkPipelineMessage("StartPipelineRequest", req.Pipeline); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pipelines[keyOfPipeline(req.Pipeline)]
	if p == nil {
		return nil, a.errPipelineNotFound(keyOfPipeline(req.Pipeline))
	}
	if err := a.allowRepo(ctx, p.key.output(), auth.Permission_REPO_WRITE); err != nil {
		return nil, err
	}
	// The branch gets its provenance back, and with it a new AUTO head: an
	// empty one before 2.8, an open one since.
	if _, err := a.createBranch(p.output(), nil, p.provenance(), nil, newID()); err != nil {
		return nil, err
	}
	p.info.Stopped = false
	a.emit(p, PipelineStarted)
	return &types.Empty{}, nil
}

func (a *ppsAPI) StopPipeline(ctx context.Context, req *pps.StopPipelineRequest) (*types.Empty, error) {
	if err := a.checkPipelineMessage("StopPipelineRequest", req.Pipeline); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return &types.Empty{}, a.stopPipeline(ctx, keyOfPipeline(req.Pipeline))
}

// stopPipeline takes the provenance from the output branch. A pipeline that
// does not exist is stopped.
func (a *ppsAPI) stopPipeline(ctx context.Context, key pipelineKey) error {
	p := a.pipelines[key]
	if p == nil {
		return nil
	}
	if err := a.allowRepo(ctx, key.output(), auth.Permission_REPO_WRITE); err != nil {
		return err
	}
	if _, err := a.createBranch(p.output(), nil, nil, nil, newID()); err != nil {
		return err
	}
	if !p.info.Stopped {
		p.info.Stopped = true
		a.emit(p, PipelineStopped)
	}
	return nil
}

// DeletePipeline stops a pipeline and deletes it with its repos. If others
// depend on them it stays, stopped. A missing pipeline is deleted.
func (a *ppsAPI) DeletePipeline(ctx context.Context, req *pps.DeletePipelineRequest) (*types.Empty, error) {
	if req.All { //nolint:staticcheck // old clients may send it
		return nil, unknown("the fake pachd does not delete all pipelines")
	}
	if err := a.checkPipelineMessage("DeletePipelineRequest", req.Pipeline); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := keyOfPipeline(req.Pipeline)
	if err := a.stopPipeline(ctx, key); err != nil {
		return nil, wrap(err, "error stopping pipeline %s", key)
	}
	if a.pipelines[key] == nil {
		return &types.Empty{}, nil
	}
	return &types.Empty{}, a.deletePipelines(ctx, []pipelineKey{key}, req.KeepRepo, req.Force)
}

// DeletePipelines stops and deletes all pipelines of the projects, or none.
func (a *ppsAPI) DeletePipelines(ctx context.Context, req *pps.DeletePipelinesRequest) (*pps.DeletePipelinesResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var keys []pipelineKey
	response := &pps.DeletePipelinesResponse{}
	for key, p := range a.pipelines {
		if req.All || slices.ContainsFunc(req.Projects, func(p *pfs.Project) bool { return p.GetName() == key.project }) {
			keys = append(keys, key)
			response.Pipelines = append(response.Pipelines, p.info.Pipeline)
		}
	}
	for _, key := range keys {
		if err := a.stopPipeline(ctx, key); err != nil {
			return nil, wrap(err, "stop pipeline %q", key)
		}
	}
	return response, a.deletePipelines(ctx, keys, req.KeepRepo, req.Force)
}

// deletePipelines deletes stopped pipelines, or none of them.
func (a *ppsAPI) deletePipelines(ctx context.Context, pipelines []pipelineKey, keep, force bool) error {
	var keys []repoKey
	for _, key := range pipelines {
		if err := a.allowRepo(ctx, key.output(), auth.Permission_REPO_DELETE); err != nil {
			return err
		}
		for _, k := range []repoKey{key.output(), key.spec(), key.meta()} {
			if a.repos[k] != nil && (k != key.output() || !keep) {
				keys = append(keys, k)
			}
		}
	}
	if err := a.deleteRepos(keys, force); err != nil {
		return err
	}
	for _, key := range pipelines {
		p := a.pipelines[key]
		delete(a.pipelines, key)
		if a.auth != nil {
			delete(a.auth.tokens, p.token)
			if a.auth.bindings[repoResource(key.output())] != nil {
				a.auth.bind(repoResource(key.output()), auth.PipelinePrefix+key.String())
			}
		}
		a.emit(p, PipelineDeleted)
	}
	return nil
}

// Pipelines lists the pipelines of a project, sorted.
func (s *Server) Pipelines(project string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for key := range s.pipelines {
		if key.project == orDefault(project) {
			names = append(names, key.name)
		}
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
