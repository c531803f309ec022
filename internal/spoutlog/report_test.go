// SPDX-License-Identifier: Apache-2.0

package spoutlog_test

import (
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
)

func TestReport(t *testing.T) {
	t.Parallel()
	worker := func(text string) spoutlog.Line { return spoutlog.Line{Text: text} }
	user := func(text string) spoutlog.Line { return spoutlog.Line{Text: text, User: true} }
	begins, starts := worker("beginning to run user code"), user(`{"@level":"info","@message":"spout-runner starts"}`)
	ingesting, ends := user(`{"@message":"ingesting"}`), user(`{"@message":"spout-runner ends","reason":"no disk"}`)
	failed := worker("errored running user code after 1.5s: exit status 1\ngithub.com/pachyderm/…")
	killed := worker("errored running user code after 1.5s: signal: killed\ngithub.com/pachyderm/…")
	notReady := user(`{"@message":"not ready","status":"opening the source","problems":["no broker, for 5s","topic t, for 1s"]}`)
	for name, c := range map[string]struct {
		lines   []spoutlog.Line
		ready   bool
		problem string
		final   bool
	}{
		"nothing":                         {},
		"begun":                           {lines: []spoutlog.Line{begins, starts}},
		"ingesting":                       {lines: []spoutlog.Line{begins, starts, ingesting, user(`{"@message":"committed"}`)}, ready: true},
		"waiting":                         {lines: []spoutlog.Line{starts, notReady}, problem: "no broker, for 5s; topic t, for 1s"},
		"waiting without a reason":        {lines: []spoutlog.Line{user(`{"@message":"not ready","status":"opening the source","problems":[]}`)}, problem: "its status is: opening the source"},
		"ready again":                     {lines: []spoutlog.Line{notReady, user(`{"@message":"ready"}`)}, ready: true},
		"not ready any more":              {lines: []spoutlog.Line{ingesting, notReady}, problem: "no broker, for 5s; topic t, for 1s"},
		"ended":                           {lines: []spoutlog.Line{begins, starts, ingesting, ends, failed}, problem: "no disk"},
		"started again after an error":    {lines: []spoutlog.Line{begins, starts, ends, failed, begins, starts}, problem: "no disk"},
		"ingesting after an error":        {lines: []spoutlog.Line{begins, starts, ends, failed, begins, starts, ingesting}, ready: true},
		"killed after an earlier error":   {lines: []spoutlog.Line{begins, starts, ends, failed, begins, starts, failed}, problem: "its command fails (exit status 1), and Pachyderm starts it again and again"},
		"killed while it ingests":         {lines: []spoutlog.Line{begins, starts, ingesting, killed}, problem: spoutlog.Killed},
		"killed while it waits":           {lines: []spoutlog.Line{begins, starts, notReady, killed}, problem: spoutlog.Killed},
		"killed and started again":        {lines: []spoutlog.Line{begins, starts, ingesting, killed, begins, starts}, problem: spoutlog.Killed},
		"killed, and well again":          {lines: []spoutlog.Line{begins, starts, ingesting, killed, begins, starts, ingesting}, ready: true},
		"killed with its pod":             {lines: []spoutlog.Line{begins, starts, worker("errored running user code after 1s: signal: killed because context canceled")}, problem: "its command fails (signal: killed because context canceled), and Pachyderm starts it again and again"},
		"wrong settings":                  {lines: []spoutlog.Line{user(`{"@message":"wrong setting","variable":"A","problem":"must be 1"}`), user(`{"@message":"wrong setting","variable":"B","problem":"must be 2"}`), user(`{"@message":"spout-runner ends","reason":"2 wrong settings"}`), failed}, problem: "A must be 1; B must be 2", final: true},
		"stopped":                         {lines: []spoutlog.Line{ingesting, user(`{"@message":"stopped: an operator has to decide","reason":"the topic is another"}`), ends}, problem: "the topic is another", final: true},
		"command missing":                 {lines: []spoutlog.Line{begins, worker("errored running user code after 9ms: fork/exec /nope: no such file or directory\nstack")}, problem: "its command fails (fork/exec /nope: no such file or directory), and Pachyderm starts it again and again"},
		"other code, started again":       {lines: []spoutlog.Line{begins, failed, begins, user("hello"), user("{not JSON"), user(`{"level":"info"}`)}},
		"ended well":                      {lines: []spoutlog.Line{begins, user("bye"), worker("finished running user code after 2s")}, problem: "exit code 0", final: true},
		"what others say is not believed": {lines: []spoutlog.Line{worker(`{"@message":"ingesting"}`), user("finished running user code after 2s")}},
	} {
		got := spoutlog.Read(c.lines)
		same := got.Problem == c.problem || name == "ended well" && strings.Contains(got.Problem, c.problem)
		if got.Ready != c.ready || got.Final != c.final || !same {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
