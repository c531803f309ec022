// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// LogLine is a line that a pipeline's code has written.
type LogLine struct {
	Time   time.Time // zero where the server does not say
	Worker string    // the pod
	Job    string    // "" for spouts
	Text   string
	User   bool // of the pipeline's code, not of the worker
}

// LogsOptions say which lines are wanted.
type LogsOptions struct {
	Lines int           // how many, of the newest
	Since time.Duration // how old they may be; 0 for Pachyderm's limit of 24 hours
	Spout bool          // whether the pipeline is a spout, whose lines are kept apart
	Own   bool          // lines of the worker, too
}

// maxLine is how much of a line is kept: Kubernetes and Loki cut longer ones.
const maxLine = 256 << 10

// Logs returns the newest lines that a pipeline's code has written, oldest
// first.
func (c *Client) Logs(ctx context.Context, id PipelineID, o LogsOptions) ([]LogLine, error) {
	// A spout's lines come from the worker master's logger (2.6 to 2.11).
	request := &pps.GetLogsRequest{Pipeline: id.proto(), Master: o.Spout, Tail: int64(10 * o.Lines)}
	if o.Since > 0 {
		request.Since = types.DurationProto(o.Since)
	}
	stream, err := c.PPS.GetLogs(ctx, request)
	var last []LogLine
	for err == nil {
		var message *pps.LogMessage
		if message, err = stream.Recv(); err != nil {
			break
		}
		if !message.User && !o.Own {
			continue
		}
		job := message.JobID
		if o.Spout {
			job = "" // it is always "spout"
		}
		last = append(last, LogLine{Time: timeFrom(message.Ts), Worker: message.WorkerID, Job: job, Text: lineOf(message.Message), User: message.User})
		if len(last) >= 2*o.Lines {
			last = slices.Delete(last, 0, len(last)-o.Lines)
		}
	}
	last = last[max(0, len(last)-o.Lines):]
	if err != nil && !errors.Is(err, io.EOF) {
		return last, fmt.Errorf("logs of %s: %w", id, err)
	}
	// The lines of several pods come one pod after the other.
	slices.SortStableFunc(last, func(a, b LogLine) int { return a.Time.Compare(b.Time) })
	return last, nil
}

func lineOf(text string) string {
	if len(text) > maxLine {
		text = strings.Clone(text[:maxLine])
	}
	return strings.TrimRight(text, "\n")
}

// IsWithoutPods says that there is no pod whose log could be read, as of a
// pipeline that is stopped.
func IsWithoutPods(err error) bool {
	return says(err, "no pods belonging to the rc")
}
