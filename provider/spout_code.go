// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
)

// reportLines is how much of a spout's log is looked at for what it says of
// the spout. While the runner is not ready, it says so several times a minute.
const reportLines = 300

// podVersion finds the pipeline's version in the name of a pod, which is that
// of its replication controller, <project>-<name>-v<version>, and a suffix.
var podVersion = regexp.MustCompile(`-v(\d+)-[^-]+$`)

func isPodOf(pod string, version uint64) bool {
	m := podVersion.FindStringSubmatch(pod)
	return m != nil && m[1] == strconv.FormatUint(version, 10)
}

// reportOf reads what the log of a spout's newest pod says. Without Loki,
// Pachyderm has the lines of pods that are there; with it, those of all pods
// that there were, also of older versions. Pods in except are left out.
func reportOf(ctx context.Context, client *pachyderm.Client, p *pachyderm.Pipeline, except map[string]bool) (spoutlog.Report, error) {
	lines, err := client.Logs(ctx, p.ID, pachyderm.LogsOptions{Lines: reportLines, Spout: true, Own: true})
	newest := ""
	var said []spoutlog.Line
	for _, line := range slices.Backward(lines) {
		if !isPodOf(line.Worker, p.Version) || except[line.Worker] {
			continue
		}
		if newest == "" {
			newest = line.Worker
		}
		if line.Worker == newest {
			said = append(said, spoutlog.Line{Text: line.Text, User: line.User})
		}
	}
	slices.Reverse(said)
	report := spoutlog.Read(said)
	report.Problem = pachyderm.Plain(report.Problem)
	if report.Problem == spoutlog.Killed {
		report.Problem += ". " + outOfMemory(p)
	}
	return report, err
}

// outOfMemory is what most likely ails code that is killed again and again, and
// what helps. Pachyderm says nothing of it.
func outOfMemory(p *pachyderm.Pipeline) string {
	if memoryLimit(p) == "" {
		return "Most likely it takes more memory than its node has left. Set resource_requests.memory to what it needs, so that Kubernetes finds a node for it"
	}
	return "Most likely it takes more memory than " + limitToRaise(p)
}

// podUnknown is what to do about a pod of which Pachyderm says nothing, such as
// one with a container that ends again and again, or one that Kubernetes does
// not admit: only its controller's events say that.
func podUnknown(p *pachyderm.Pipeline) string {
	text := fmt.Sprintf("Pachyderm does not say why its pod does not work. Kubernetes does: kubectl describe replicationcontrollers,pods -n <namespace of Pachyderm> -l pipelineProject=%s,pipelineName=%s", p.ID.Project, p.ID.Name)
	if memoryLimit(p) != "" {
		text += "\n\nIf that says OOMKilled, it takes more memory than " + limitToRaise(p) + "."
	}
	return text
}

func memoryLimit(p *pachyderm.Pipeline) string {
	if p.Spec.ResourceLimits == nil {
		return ""
	}
	return p.Spec.ResourceLimits.Memory
}

// limitToRaise names the limit, and for the bundled runner what it should be.
func limitToRaise(p *pachyderm.Pipeline) string {
	text := fmt.Sprintf("resource_limits.memory = %q allows. Raise the limit", memoryLimit(p))
	if !isBundledRunner(p.Spec) {
		return text
	}
	runner := settings.Default()
	if budget, err := settings.ParseBytes(p.Spec.Env["SPOUT_MEMORY_BUDGET"]); err == nil {
		runner.MemoryBudget = budget
	}
	return fmt.Sprintf("%s to %s, which it may need with runner.memory_budget = %s, or lower the budget", text, runner.ContainerMemory(), runner.MemoryBudget)
}

// codeBefore is what was there of a spout's code before an operation, and says
// nothing about what it does after.
type codeBefore struct {
	fresh bool            // there was nothing: the spout is new
	head  string          // of the output branch
	pods  map[string]bool // of the same version
}

// before looks at what a paused spout has left. That nothing can be seen of it
// is no obstacle: then there is nothing that could be mistaken.
func (o *pipelineOperation) before() codeBefore {
	b := codeBefore{pods: map[string]bool{}}
	if head, err := o.branch().Head(o.ctx); err == nil && head != nil {
		b.head = head.ID
	}
	lines, err := o.client.Logs(o.ctx, o.id, pachyderm.LogsOptions{Lines: reportLines, Spout: true, Own: true})
	if err != nil {
		tflog.Debug(o.ctx, "cannot read the log", map[string]any{"error": pachyderm.Reason(err)})
	}
	for _, line := range lines {
		b.pods[line.Worker] = true
	}
	return b
}

func (o *pipelineOperation) branch() *pachyderm.Branch {
	return o.client.Branch(o.id.Project, o.id.Name, o.wanted.outputBranch)
}

// runnerWorks says whether the bundled runner ingests, as its log and its
// commits tell; either alone is enough.
func (o *pipelineOperation) runnerWorks(b codeBefore) func(context.Context, *pachyderm.Pipeline) pachyderm.Code {
	return func(ctx context.Context, p *pachyderm.Pipeline) pachyderm.Code {
		report, err := reportOf(ctx, o.client, p, b.pods)
		tflog.Debug(ctx, "looking whether the runner ingests", map[string]any{"ready": report.Ready, "problem": report.Problem, "log_error": errorText(err)})
		if report.Ready || o.hasCommitted(ctx, p, b) {
			return pachyderm.Code{Works: true}
		}
		return pachyderm.Code{Problem: report.Problem, Final: report.Final}
	}
}

// hasCommitted says whether the runner of this version has committed what only
// one does that has met its source. In a new spout that is its first commit. In
// one that was there before, the first may come earlier, and only one with
// records counts.
func (o *pipelineOperation) hasCommitted(ctx context.Context, p *pachyderm.Pipeline, b codeBefore) bool {
	head, err := o.branch().Head(ctx)
	if err != nil || head == nil || head.ID == b.head || head.Error != "" {
		return false
	}
	d, ours, err := spoutcommit.ParseDescription(head.Description)
	if err != nil || !ours {
		return false
	}
	pod, _, _ := strings.Cut(d.Writer, "/")
	return b.fresh || d.Read > 0 && isPodOf(pod, p.Version)
}

// looksAtOtherCode is how often the log of code other than the runner's is
// looked at for whether it has begun.
const looksAtOtherCode = 3

// otherCodeRuns says whether code of the user's own was started and has not
// failed at once. All that can be seen of it is what Pachyderm's worker tells.
func (o *pipelineOperation) otherCodeRuns(b codeBefore) func(context.Context, *pachyderm.Pipeline) pachyderm.Code {
	looks := 0
	return func(ctx context.Context, p *pachyderm.Pipeline) pachyderm.Code {
		looks++
		report, err := reportOf(ctx, o.client, p, b.pods)
		if report.Problem != "" {
			return pachyderm.Code{Problem: report.Problem, Final: true}
		}
		return pachyderm.Code{Works: report.Began || err != nil || looks >= looksAtOtherCode}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return pachyderm.Reason(err)
}
