// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"testing"

	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc/codes"
)

var jobCases = []conformanceCase{
	{"a tick and an update make a job each", func(_ *testing.T, s *suite) {
		request := s.spoutRequest("p")
		request.Spout, request.Input = nil, &pps.Input{Cron: &pps.CronInput{Name: "tick", Spec: "@yearly"}}
		request.Transform.Cmd, request.Transform.Stdin = []string{"/bin/sh"}, []string{"exit 0"}
		_, err := s.pps.CreatePipeline(s.ctx, request)
		s.ok(err)
		tick := &pps.RunCronRequest{Pipeline: s.pipeline("p")}
		_, err = s.pps.RunCron(s.ctx, tick)
		s.ok(err)
		first := s.newestJob("p", "")
		s.equal(first.PipelineVersion, uint64(1))
		_, err = s.pps.RunCron(s.ctx, tick)
		s.ok(err)
		second := s.newestJob("p", first.Job.ID)
		s.equal(second.PipelineVersion, uint64(1))
		request.Update, request.Reprocess = true, true
		_, err = s.pps.CreatePipeline(s.ctx, request)
		s.ok(err)
		third := s.newestJob("p", second.Job.ID)
		s.equal(third.PipelineVersion, uint64(2))
		s.eventually("the job has ended", func() bool { return s.newestJob("p", "").State == pps.JobState_JOB_SUCCESS })
	}},
	{"only a pipeline with a clock ticks", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		_, err := s.pps.RunCron(s.ctx, &pps.RunCronRequest{Pipeline: s.pipeline("s")})
		s.fails(err, codes.Unknown, "pipeline doesn't have a cron input")
		_, err = s.pps.RunCron(s.ctx, &pps.RunCronRequest{Pipeline: s.pipeline("none")})
		s.fails(err, codes.NotFound, "")
	}},
}

// newestJob returns the newest job of any version, once it is another than the
// one before.
func (s *suite) newestJob(pipeline, before string) *pps.JobInfo {
	s.t.Helper()
	var newest *pps.JobInfo
	s.eventually("there is a new job", func() bool {
		stream, err := s.pps.ListJob(s.ctx, &pps.ListJobRequest{Pipeline: s.pipeline(pipeline), History: -1})
		s.ok(err)
		jobs, err := receiveAll(stream.Recv)
		s.ok(err)
		if len(jobs) > 0 {
			newest = jobs[0]
		}
		return newest != nil && newest.Job.ID != before
	})
	return newest
}
