// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// Job is one run of a pipeline over its input.
type Job struct {
	ID        string // of the commits it reads and writes, too
	Version   uint64 // of the pipeline
	State     string // as "running", "success"
	Reason    string
	Created   time.Time
	Total     int64 // datums
	Processed int64
	Skipped   int64 // since an earlier job did them
	Failed    int64
}

// Ended says whether the job is over.
func (j *Job) Ended() bool {
	return slices.Contains([]string{"success", "failure", "killed", "unrunnable"}, j.State)
}

// Succeeded says whether it ended well.
func (j *Job) Succeeded() bool { return j.State == "success" }

// NewestJobs returns up to n jobs of any version of a pipeline, newest first.
func (c *Client) NewestJobs(ctx context.Context, id PipelineID, n int) ([]*Job, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var jobs []*Job
	stream, err := c.PPS.ListJob(ctx, &pps.ListJobRequest{Pipeline: id.proto(), History: -1})
	for err == nil && len(jobs) < n {
		var info *pps.JobInfo
		if info, err = stream.Recv(); err == nil {
			jobs = append(jobs, jobFrom(info))
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("list jobs of pipeline %s: %w", id, err)
	}
	return jobs, nil
}

// RunCron makes all cron inputs of a pipeline tick at once.
func (c *Client) RunCron(ctx context.Context, id PipelineID) error {
	if _, err := c.PPS.RunCron(ctx, &pps.RunCronRequest{Pipeline: id.proto()}); err != nil {
		return fmt.Errorf("run cron of pipeline %s: %w", id, err)
	}
	return nil
}

// HasCron says whether one of the pipeline's inputs is a clock.
func (p *Pipeline) HasCron() bool {
	found := false
	_ = pps.VisitInput(p.info.GetDetails().GetInput(), func(in *pps.Input) error { // it fails only if the function does
		found = found || in.Cron != nil
		return nil
	})
	return found
}

func jobFrom(info *pps.JobInfo) *Job {
	return &Job{ID: Plain(info.GetJob().GetID()), Version: info.PipelineVersion, State: jobState(info.State), Reason: Plain(info.Reason), Created: timeFrom(info.Created),
		Total: info.DataTotal, Processed: info.DataProcessed, Skipped: info.DataSkipped, Failed: info.DataFailed}
}
