// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"fmt"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

var zeroTime time.Time

// EventKind says what happened to a pipeline.
type EventKind int

const (
	PipelineCreated EventKind = iota
	PipelineUpdated
	PipelineStarted
	PipelineStopped
	PipelineDeleted
)

func (k EventKind) String() string {
	return [...]string{"created", "updated", "started", "stopped", "deleted"}[k]
}

// PipelineEvent is a change that a cluster would answer with pods made or
// ended.
type PipelineEvent struct {
	Kind          EventKind
	Project, Name string
	Info          *pps.PipelineInfo // as of the event, with details
	Token         string            // what the pod would be given, with authentication
}

// OnPipeline calls hook after each change of a pipeline: one call after the
// other for one pipeline, at the same time for several. The pipeline takes its
// next state when the hooks have returned, so that a hook can hold it STARTING,
// run something in place of the pod, or decide by SetPipelineState.
func (s *Server) OnPipeline(hook func(PipelineEvent)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, hook)
}

// emit tells the hooks of an event, then lets the pipeline go on. Callers hold
// s.mu.
func (s *Server) emit(p *pipeline, kind EventKind) {
	if kind == PipelineCreated || kind == PipelineUpdated || kind == PipelineStarted {
		p.starts++
	}
	event := PipelineEvent{
		Kind: kind, Project: p.key.project, Name: p.key.name, Token: p.token,
		Info: proto.Clone(p.info).(*pps.PipelineInfo),
	}
	hooks := append([]func(PipelineEvent){}, s.hooks...)
	before, done := s.events[p.key], make(chan struct{})
	s.events[p.key] = done
	s.touch()
	// Not one of s.wg: a hook may end only after Close.
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		for _, hook := range hooks {
			hook(event)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.pipelines[p.key] == p {
			s.settle(p)
		}
	}()
}

// settle gives a pipeline the state that the PPS master would. Callers hold
// s.mu.
func (s *Server) settle(p *pipeline) {
	defer s.touch()
	if p.pinnedState {
		return
	}
	if !p.pinnedWorkers {
		p.workersAvailable = 0
	}
	info := p.info
	image := info.Details.Transform.GetImage()
	switch reason := podFailure(p.key, info.Details); {
	case info.State == pps.PipelineState_PIPELINE_FAILURE:
	case reason != "":
		info.State, info.Reason = pps.PipelineState_PIPELINE_FAILURE, reason
	case info.Stopped:
		info.State, info.Reason = pps.PipelineState_PIPELINE_PAUSED, ""
	case s.broken[image] != "":
		info.State, info.Reason = pps.PipelineState_PIPELINE_CRASHING, s.broken[image]
	default:
		info.State, info.Reason = pps.PipelineState_PIPELINE_RUNNING, ""
		if !p.pinnedWorkers {
			p.workersAvailable = int64(info.Parallelism)
		}
		s.sayIngesting(p)
	}
}

// SetPipelineState sets a pipeline's state and reason. They stay until the
// pipeline's next update, or ReleasePipelineState.
func (s *Server) SetPipelineState(project, name string, state pps.PipelineState, reason string) {
	s.withPipeline(project, name, func(p *pipeline) {
		p.pinnedState = true
		p.info.State, p.info.Reason = state, reason
	})
}

// ReleasePipelineState ends SetPipelineState: the pipeline takes the state that
// follows from its specification.
func (s *Server) ReleasePipelineState(project, name string) {
	s.withPipeline(project, name, func(p *pipeline) {
		p.pinnedState = false
		p.info.State = pps.PipelineState_PIPELINE_STARTING
		s.settle(p)
	})
}

// SetWorkers sets how many workers a pipeline has available until its next
// update. Otherwise it has all of them while it is running.
func (s *Server) SetWorkers(project, name string, available int) {
	s.withPipeline(project, name, func(p *pipeline) {
		p.pinnedWorkers, p.workersAvailable = true, int64(available)
	})
}

func (s *Server) withPipeline(project, name string, fn func(*pipeline)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := pipelineKey{orDefault(project), name}
	p := s.pipelines[key]
	if p == nil {
		panic(fmt.Sprintf("pachtest: no pipeline %s", key))
	}
	fn(p)
	s.touch()
}

// BreakImage makes an image impossible to pull: pipelines that use it are
// CRASHING. An empty reason mends it.
func (s *Server) BreakImage(image, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.broken, image)
	if reason != "" {
		s.broken[image] = "failed to start worker: ErrImagePull: " + reason
	}
	for _, p := range s.pipelines {
		state := p.info.State
		if p.info.Details.Transform.GetImage() == image && state != pps.PipelineState_PIPELINE_STARTING {
			s.settle(p)
		}
	}
}

// AwaitPipelineState waits until a pipeline is in a state.
func (s *Server) AwaitPipelineState(ctx context.Context, project, name string, state pps.PipelineState) error {
	return s.wait(ctx, func() (bool, error) {
		p := s.pipelines[pipelineKey{orDefault(project), name}]
		return p != nil && p.info.State == state, nil
	})
}
