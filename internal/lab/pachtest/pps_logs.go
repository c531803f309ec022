// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
)

// defaultLogsSince is how far back GetLogs looks unless told.
const defaultLogsSince = 24 * time.Hour

type logLine struct {
	time time.Time
	text string
	user bool
	pod  string
}

// AppendLog adds a line as a pipeline's own code would write it. That of a
// spout Pachyderm marks as both the user's and the master's.
func (s *Server) AppendLog(project, pipeline, line string) {
	s.appendLog(project, pipeline, logLine{text: line, user: true})
}

// AppendWorkerLog adds a line of the worker itself.
func (s *Server) AppendWorkerLog(project, pipeline, line string) {
	s.appendLog(project, pipeline, logLine{text: line})
}

func (s *Server) appendLog(project, name string, line logLine) {
	s.withPipeline(project, name, func(p *pipeline) {
		s.log(p, line)
	})
}

// log adds a line of a pipeline's pod. Callers hold s.mu.
func (s *Server) log(p *pipeline, line logLine) {
	line.time, line.pod = s.clock(), p.pod()
	p.logs = append(p.logs, line)
}

// pod names the pod of a pipeline's newest start.
func (p *pipeline) pod() string {
	return fmt.Sprintf("%s-%05x", rcName(p.key, p.info.Version), p.starts)
}

// SilenceRunners lets spouts with the bundled runner log nothing of themselves
// from now on. Otherwise each says that it ingests as soon as it is running.
func (s *Server) SilenceRunners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

// KeepLogs lets GetLogs send the lines of all pods that there were, as
// Pachyderm does with Loki.
func (s *Server) KeepLogs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepLogs = true
}

// sayIngesting logs what the bundled runner does once it has met its source.
// Callers hold s.mu.
func (s *Server) sayIngesting(p *pipeline) {
	if cmd := p.info.Details.Transform.GetCmd(); s.silent || p.saidFor == p.starts || len(cmd) == 0 || cmd[0] != "/spout-runner" {
		return
	}
	p.saidFor = p.starts
	s.log(p, logLine{text: `{"@message":"` + spoutlog.Starts + `"}`, user: true})
	s.log(p, logLine{text: `{"@message":"` + spoutlog.Ingesting + `"}`, user: true})
}

// GetLogs sends a pipeline's lines. A spout's lines are the master's, so that
// they are sent only if the request asks for the master; those of others are not.
func (a *ppsAPI) GetLogs(req *pps.GetLogsRequest, stream pps.API_GetLogsServer) error {
	if req.Pipeline == nil {
		return unknown("the fake pachd has logs of pipelines only")
	}
	key := keyOfPipeline(req.Pipeline)
	since := defaultLogsSince
	if req.Since != nil {
		d, err := types.DurationFromProto(req.Since)
		if err != nil {
			return unknown("invalid since duration: %v", err)
		}
		if d != 0 {
			since = d
		}
	}
	var lines []logLine
	sent, spout := 0, false
	for first := true; ; first = false {
		var batch []logLine
		err := a.wait(stream.Context(), func() (bool, error) {
			p := a.pipelines[key]
			if first {
				if p == nil {
					return false, wrap(a.errPipelineNotFound(key), "could not get pipeline information for %s", key)
				}
				if err := a.allowRepo(stream.Context(), key.output(), auth.Permission_REPO_READ); err != nil {
					return false, err
				}
				if gone := p.info.State == pps.PipelineState_PIPELINE_PAUSED || p.info.State == pps.PipelineState_PIPELINE_FAILURE; gone && !a.keepLogs {
					return false, unknown("no pods belonging to the rc %q were found", rcName(key, p.info.Version))
				}
			}
			if p == nil {
				return true, nil
			}
			lines, spout = p.logs, p.info.Type == pps.PipelineInfo_PIPELINE_TYPE_SPOUT
			batch = lines[min(sent, len(lines)):]
			if pod := p.pod(); !a.keepLogs {
				batch = slices.DeleteFunc(slices.Clone(batch), func(line logLine) bool { return line.pod != pod })
			}
			return first || len(batch) > 0, nil
		})
		if err != nil {
			return err
		}
		sent = len(lines)
		if first {
			oldest := a.clock().Add(-since)
			for len(batch) > 0 && batch[0].time.Before(oldest) {
				batch = batch[1:]
			}
			if req.Tail > 0 && int64(len(batch)) > req.Tail {
				batch = batch[int64(len(batch))-req.Tail:]
			}
		}
		if req.Master == spout {
			for _, line := range batch {
				if err := stream.Send(line.message(key, spout)); err != nil {
					return err
				}
			}
		}
		if !req.Follow || len(batch) == 0 && !first {
			return nil
		}
	}
}

func (l logLine) message(key pipelineKey, spout bool) *pps.LogMessage {
	ts, err := types.TimestampProto(l.time)
	if err != nil {
		ts = nil
	}
	m := &pps.LogMessage{
		ProjectName: key.project, PipelineName: key.name, WorkerID: l.pod,
		Master: spout, User: l.user, Ts: ts, Message: l.text,
	}
	switch {
	case l.user && spout:
		m.JobID = "spout"
	case l.user:
		m.JobID = newID()
	}
	return m
}
