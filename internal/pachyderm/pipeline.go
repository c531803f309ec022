// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// PipelineID names a pipeline.
type PipelineID struct{ Project, Name string }

func (id PipelineID) String() string { return id.Project + "/" + id.Name }

func (id PipelineID) proto() *pps.Pipeline {
	return &pps.Pipeline{Name: id.Name, Project: &pfs.Project{Name: id.Project}}
}

// States of a pipeline.
const (
	StateStarting   = "starting"
	StateRunning    = "running"
	StateRestarting = "restarting"
	StateFailure    = "failure"
	StatePaused     = "paused"
	StateStandby    = "standby"
	StateCrashing   = "crashing"
)

// Pipeline is a pipeline as the server has it.
type Pipeline struct {
	ID               PipelineID
	Version          uint64 // 1 at first, one more with each update
	Stopped          bool
	State            string // one of the constants; "unknown" for what 2.6 does not know
	Reason           string // why it is in that state, if there is one
	WorkersAvailable int64
	WorkersRequested int64
	IsSpout          bool
	Spec             Spec
	LeftOut          []string // parts of the specification that Spec does not have

	Kind         string // KindTransform, KindSpout or KindService
	Autoscaling  bool
	OutputBranch string
	Image        string
	Description  string
	RecentError  string    // of its newest job, if that failed
	LastJob      string    // state of its newest job, as "success"; "" if there is none
	Salt         string    // that of its creation, until it is reprocessed
	Created      time.Time // Pachyderm before 2.11 says when it was updated

	info *pps.PipelineInfo
}

// InspectPipeline returns a pipeline as it is now.
func (c *Client) InspectPipeline(ctx context.Context, id PipelineID) (*Pipeline, error) {
	info, err := c.PPS.InspectPipeline(ctx, &pps.InspectPipelineRequest{Pipeline: id.proto(), Details: true})
	if err != nil {
		return nil, fmt.Errorf("inspect pipeline %s: %w", id, err)
	}
	return pipelineFrom(id, info), nil
}

func pipelineFrom(id PipelineID, info *pps.PipelineInfo) *Pipeline {
	request := askedFor(info)
	return &Pipeline{
		ID: id, Version: info.Version, Stopped: info.Stopped, Reason: Plain(info.Reason),
		State:            strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(info.State.String(), "PIPELINE_"), "STATE_")),
		WorkersAvailable: info.GetDetails().GetWorkersAvailable(), WorkersRequested: info.GetDetails().GetWorkersRequested(),
		IsSpout: info.Type == pps.PipelineInfo_PIPELINE_TYPE_SPOUT || info.GetDetails().GetSpout() != nil,
		Spec:    specFrom(request), LeftOut: leftOut(request),
		Kind:         strings.ToLower(strings.TrimPrefix(info.Type.String(), "PIPELINE_TYPE_")),
		Autoscaling:  info.GetDetails().GetAutoscaling(),
		OutputBranch: info.GetDetails().GetOutputBranch(), Image: info.GetDetails().GetTransform().GetImage(),
		Description: info.GetDetails().GetDescription(), RecentError: Plain(info.GetDetails().GetRecentError()),
		LastJob: jobState(info.LastJobState), Created: timeFrom(info.GetDetails().GetCreatedAt()),
		Salt: info.GetDetails().GetSalt(),
		info: info,
	}
}

func jobState(s pps.JobState) string {
	if s == pps.JobState_JOB_STATE_UNKNOWN {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(s.String(), "JOB_"))
}

// Document returns the pipeline's specification in full.
func (p *Pipeline) Document() *Document { return documentFrom(p.info) }

// CreatePipeline makes a new spout. It fails if there is a pipeline of the
// name. The server makes up a salt if it is "".
func (c *Client) CreatePipeline(ctx context.Context, id PipelineID, spec Spec, salt string) error {
	request := spec.request(id)
	request.Salt = salt
	if err := c.createPipeline(ctx, request); err != nil {
		return fmt.Errorf("create pipeline %s: %w", id, err)
	}
	return nil
}

// UpdatePipeline replaces a spout's specification, also when nothing is new in
// it: the server makes another version, another token and another pod.
func (c *Client) UpdatePipeline(ctx context.Context, id PipelineID, spec Spec) error {
	request := spec.request(id)
	request.Update = true
	if err := c.createPipeline(ctx, request); err != nil {
		return fmt.Errorf("update pipeline %s: %w", id, err)
	}
	return nil
}

// DeletePipeline deletes a pipeline and, unless keepRepo is set, its output
// repo, which nobody reads, with all data. The server takes a missing pipeline
// for deleted.
func (c *Client) DeletePipeline(ctx context.Context, id PipelineID, keepRepo bool) error {
	err := c.withoutTriggers(ctx, justThis(RepoID(id)), nil, func() error {
		_, err := c.PPS.DeletePipeline(Patiently(ctx), &pps.DeletePipelineRequest{Pipeline: id.proto(), KeepRepo: keepRepo})
		return err
	})
	if err != nil {
		return fmt.Errorf("delete pipeline %s: %w", id, err)
	}
	return nil
}

// StopPipeline ends a spout's pod at once, without a warning to its code.
func (c *Client) StopPipeline(ctx context.Context, id PipelineID) error {
	if _, err := c.PPS.StopPipeline(ctx, &pps.StopPipelineRequest{Pipeline: id.proto()}); err != nil {
		return fmt.Errorf("stop pipeline %s: %w", id, err)
	}
	return nil
}

// StartPipeline brings a stopped spout back. What it does to the head of the
// output branch is described at [Client.RepairHead].
func (c *Client) StartPipeline(ctx context.Context, id PipelineID) error {
	if _, err := c.PPS.StartPipeline(ctx, &pps.StartPipelineRequest{Pipeline: id.proto()}); err != nil {
		return fmt.Errorf("start pipeline %s: %w", id, err)
	}
	return nil
}

// HeadState is what [Client.RepairHead] found.
type HeadState int

// What StartPipeline did to a head.
const (
	HeadUntouched HeadState = iota
	HeadFinished            // it was left open, and has been finished
	HeadEmptied             // it is a new and empty commit; the data are in its ancestors
)

// RepairHead deals with the commit that StartPipeline puts on the head of a
// spout's output branch. Servers from 2.8 on leave it open: nobody would ever
// finish it, and what the spout writes would be stuck in it, so it is finished
// here, and before it what the last pod has left open below, without which
// nothing above would ever be FINISHED. Older servers finish it empty, which takes all files off the head;
// only a writer in the pod can bring them back.
func (c *Client) RepairHead(ctx context.Context, id PipelineID, branch string) (HeadState, error) {
	b := c.Branch(id.Project, id.Name, branch)
	head, err := b.Head(ctx)
	switch {
	case IsNotFound(err):
		return HeadUntouched, nil
	case err != nil || head == nil || !head.Auto:
		return HeadUntouched, err
	case head.Open():
		return HeadFinished, b.finishAll(ctx, head.ID)
	case head.ParentID == "" || head.SizeBytes > 0:
		return HeadUntouched, nil
	}
	parent, err := b.Inspect(ctx, head.ParentID)
	if err != nil || parent.SizeBytes == 0 {
		return HeadUntouched, err
	}
	return HeadEmptied, nil
}

// finishAll finishes every open commit from the oldest to the head.
func (b *Branch) finishAll(ctx context.Context, head string) error {
	unfinished, err := b.Unfinished(ctx, head, func(c *Commit) bool { return !c.Auto })
	for _, c := range unfinished {
		if !c.Open() {
			continue
		}
		if err := b.Finish(ctx, c.ID, ""); err != nil && !IsCommitFinished(err) {
			return err
		}
	}
	return err
}

// Downstream lists the pipelines that read a pipeline's output repo, from any
// branch of it, as project/name.
func (c *Client) Downstream(ctx context.Context, id PipelineID) ([]string, error) {
	repo, err := c.InspectRepo(ctx, RepoID(id))
	if IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	readers, err := c.Readers(ctx, repo)
	var names []string
	for _, reader := range readers {
		names = append(names, reader.String())
	}
	return names, err
}

// HoldsData says whether the repo of an output branch has data in any commit,
// on the head or before it. A commit that is not finished yet counts, since
// what will be in it is not known; one that was rolled back does not.
func (c *Client) HoldsData(ctx context.Context, id PipelineID, branch string) (bool, error) {
	b := c.Branch(id.Project, id.Name, branch)
	info, err := c.PFS.InspectRepo(ctx, &pfs.InspectRepoRequest{Repo: b.repo()})
	switch {
	case IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("inspect repo %s: %w", id, err)
	case info.SizeBytesUpperBound > 0:
		return true, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.PFS.ListCommit(ctx, &pfs.ListCommitRequest{Repo: b.repo(), All: true})
	// Newest first. A commit shows the files of those before it, unless one of
	// Pachyderm's own came between: only one of each run need be looked into,
	// for files without content.
	look := true
	for err == nil {
		var info *pfs.CommitInfo
		if info, err = stream.Recv(); err != nil {
			break
		}
		commit := commitFrom(info)
		switch {
		case commit.Auto && commit.SizeBytes == 0:
			look = true
		case commit.Error != "":
		case commit.SizeBytes > 0 || commit.Finished.IsZero():
			return true, nil
		case look:
			empty, err := b.IsEmpty(ctx, commit.ID)
			if err != nil || !empty {
				return !empty, err
			}
			look = false
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("list commits of %s: %w", id, err)
	}
	return false, nil
}
