// SPDX-License-Identifier: Apache-2.0

// Package spoutlog is what a spout's log says of the spout: the runner writes
// lines of JSON that tell whether it ingests, Pachyderm's worker tells what
// became of the command, and whoever can read the log learns it from both.
package spoutlog

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Messages of the runner's lines that tell what it does. It writes them
// whatever its log level is.
const (
	Starts       = "spout-runner starts" // a process begins
	Ingesting    = "ingesting"           // the source was met, and where reading begins is settled
	Ready        = "ready"               // it ingests again after NotReady
	NotReady     = "not ready"           // with status and problems; repeated while that lasts
	WrongSetting = "wrong setting"       // with variable and problem
	Stopped      = "stopped: an operator has to decide"
	Ends         = "spout-runner ends" // with reason
	Released     = "released"          // what was made at the source is gone; nothing more is read
)

// Messages of Pachyderm's worker (2.0 to 2.12), with which they begin.
const (
	commandBegins = "beginning to run user code"
	commandFailed = "errored running user code after "
	commandEnded  = "finished running user code after "
)

// Killed is the problem of a command that was ended by SIGKILL, which it cannot
// tell of itself. If its pod goes on, that is the kernel's doing, for memory.
const Killed = "its command was killed (signal: killed), and Pachyderm starts it again and again"

// Line is a line of a spout's log.
type Line struct {
	Text string
	User bool // of the spout's own code, not of Pachyderm's worker
}

// Report is what a log says of a spout at its end.
type Report struct {
	Began   bool   // the command was started
	Ready   bool   // the bundled runner ingests
	Problem string // what the spout waits for or has failed at; "" if the log tells of nothing
	Final   bool   // the problem does not go away by itself

	before string // the problem of the process before this one
	said   bool   // the runner has said what the problem is
}

// Read reads lines, oldest first, that one pod has written.
func Read(lines []Line) (r Report) {
	for _, line := range lines {
		if line.User {
			r.runner(line.Text)
		} else {
			r.worker(line.Text)
		}
	}
	return r
}

// message is what the runner's lines may hold.
type message struct {
	Text     string   `json:"@message"`
	Status   string   `json:"status"`
	Problems []string `json:"problems"`
	Reason   string   `json:"reason"`
	Variable string   `json:"variable"`
	Problem  string   `json:"problem"`
}

func (r *Report) runner(text string) {
	var m message
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &m) != nil {
		return
	}
	switch m.Text {
	case Starts:
		*r = Report{Began: true, Problem: r.before} // until it says more
	case Ingesting, Ready:
		*r = Report{Began: true, Ready: true}
	case NotReady:
		r.Ready, r.Final, r.said = false, false, true
		r.Problem = strings.Join(m.Problems, "; ")
		if r.Problem == "" {
			r.Problem = "its status is: " + m.Status
		}
	case WrongSetting:
		r.Ready = false
		if r.Final {
			r.Problem += "; "
		} else {
			r.Problem, r.Final = "", true
		}
		r.Problem += m.Variable + " " + m.Problem
		r.said = true
	case Stopped:
		r.Ready, r.Problem, r.Final, r.said = false, m.Reason, true, true
	case Ends:
		r.Ready, r.said = false, true
		if !r.Final { // what it has stopped for says more
			r.Problem = m.Reason
		}
	}
}

func (r *Report) worker(text string) {
	switch {
	case strings.HasPrefix(text, commandBegins):
		*r = Report{Began: true, before: r.Problem}
	case strings.HasPrefix(text, commandFailed):
		r.Ready = false
		_, why, _ := strings.Cut(strings.TrimPrefix(text, commandFailed), ": ")
		switch why = firstLine(why); {
		case why == "signal: killed": // whatever it said before
			r.Problem, r.Final = Killed, false
		case !r.said:
			r.Problem = fmt.Sprintf("its command fails (%s), and Pachyderm starts it again and again", why)
		}
	case strings.HasPrefix(text, commandEnded):
		r.Ready, r.Final = false, true
		r.Problem = "its command has ended with exit code 0, or with one of accept_return_code. Pachyderm never starts it again then. The code of a spout must run without end"
	}
}

// firstLine leaves out the stack that Pachyderm adds to errors.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
