// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"slices"

	"github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// A pipeline has a job for each of its versions and for each tick of its cron
// inputs. Nothing is run: a job takes a step towards its end whenever somebody
// looks at it.

// jobEnd is how a pipeline's jobs end.
type jobEnd struct {
	state  pps.JobState
	reason string
}

// EndJobs decides how jobs of a pipeline end that have not ended yet: with
// success if nothing else is said, and never with JOB_STATE_UNKNOWN.
func (s *Server) EndJobs(project, name string, state pps.JobState, reason string) {
	s.withPipeline(project, name, func(p *pipeline) { p.jobEnd = &jobEnd{state, reason} })
}

// addJob makes a job. Callers hold s.mu.
func (s *Server) addJob(p *pipeline) {
	p.jobs = append(p.jobs, &pps.JobInfo{
		Job:             &pps.Job{Pipeline: p.key.message(), ID: newID()},
		PipelineVersion: p.info.Version, State: pps.JobState_JOB_CREATED, Created: s.now(), DataTotal: 3,
	})
}

// step brings a job nearer to its end. Callers hold s.mu.
func (s *Server) step(p *pipeline, j *pps.JobInfo) {
	end := jobEnd{state: pps.JobState_JOB_SUCCESS}
	if p.jobEnd != nil {
		end = *p.jobEnd
	}
	switch j.State {
	case pps.JobState_JOB_CREATED:
		j.State, j.Started = pps.JobState_JOB_RUNNING, s.now()
	case pps.JobState_JOB_RUNNING:
		if end.state == pps.JobState_JOB_STATE_UNKNOWN {
			return
		}
		j.State, j.Reason, j.Finished = end.state, end.reason, s.now()
		if end.state == pps.JobState_JOB_SUCCESS {
			j.DataProcessed = j.DataTotal
		} else {
			j.DataFailed = j.DataTotal
		}
	}
}

// ListJob sends the newest jobs first.
func (a *ppsAPI) ListJob(req *pps.ListJobRequest, stream pps.API_ListJobServer) error {
	a.mu.Lock()
	var infos []*pps.JobInfo
	var found bool
	for key, p := range a.pipelines {
		if req.Pipeline != nil && keyOfPipeline(req.Pipeline) != key {
			continue
		}
		found = true
		for _, j := range p.jobs {
			if req.History == 0 && j.PipelineVersion != p.info.Version {
				continue
			}
			infos = append(infos, proto.Clone(j).(*pps.JobInfo))
			a.step(p, j)
		}
	}
	a.mu.Unlock()
	if req.Pipeline != nil && !found {
		return a.errPipelineNotFound(keyOfPipeline(req.Pipeline))
	}
	slices.Reverse(infos)
	return sendAll(infos, stream.Send)
}

// RunCron makes a job of each cron input. The ticks are not written.
func (a *ppsAPI) RunCron(ctx context.Context, req *pps.RunCronRequest) (*types.Empty, error) {
	if err := a.checkPipelineMessage("RunCronRequest", req.Pipeline); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := keyOfPipeline(req.Pipeline)
	p := a.pipelines[key]
	if p == nil {
		return nil, a.errPipelineNotFound(key)
	}
	if err := a.allowRepo(ctx, key.output(), auth.Permission_REPO_WRITE); err != nil {
		return nil, err
	}
	ticks := 0
	_ = pps.VisitInput(p.info.Details.Input, func(in *pps.Input) error { // it fails only if the function does
		if in.Cron != nil {
			ticks++
			a.addJob(p)
		}
		return nil
	})
	if ticks == 0 {
		return nil, unknown("pipeline doesn't have a cron input")
	}
	return &types.Empty{}, nil
}
