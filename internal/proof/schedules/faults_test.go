// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// rates say how often what goes wrong in a schedule: in one of so many cases.
// Each schedule has a choice of faults, so that some have few of them, but
// many times.
type rates struct {
	disturbance         int
	disturbances        []func(*world)
	refuse, lose, later int
	twice               int
}

// disturbances are what may happen between two calls.
var disturbances = []func(*world){
	(*world).another, (*world).killOne, (*world).freeze, (*world).thaw, (*world).cutOne, (*world).restartServer,
	(*world).holdFinishing, (*world).failValidation, (*world).stopOrStart, (*world).changeByHand, (*world).squash,
	(*world).drop, (*world).rewind, (*world).jump, (*world).wait, (*world).failSource, (*world).produce, (*world).fillDisk,
}

func drawRates(t *tape) (r rates) {
	few := []int{0, 40, 15, 5}
	r.disturbance = few[t.below(len(few))]
	r.refuse, r.lose, r.later = few[t.below(len(few))], few[t.below(len(few))], few[t.below(len(few))]
	r.twice = few[t.below(len(few))]
	for _, disturbance := range disturbances {
		if t.happens(2) {
			r.disturbances = append(r.disturbances, disturbance)
		}
	}
	return r
}

func (w *world) disturb() {
	if len(w.disturbances) > 0 {
		w.disturbances[w.tape.below(len(w.disturbances))](w)
	}
}

// refused is the fate of a call that the server never does.
const refused fate = -1

// fate decides about a call that is about to reach the server.
func (w *world) fate(e *event) fate {
	refuse := func(err error) fate {
		w.say("%s: %s is refused: %v", e.link.owner, e.name, err)
		e.tell(err)
		e.forget()
		return refused
	}
	switch {
	case w.full && (strings.HasPrefix(e.name, "CreateFileSet") || e.name == "AddFileSet"):
		return refuse(errFull)
	case w.tape.happens(w.refuse):
		return refuse(errRefused)
	case w.tape.happens(w.lose):
		return replyLost
	case w.tape.happens(w.later):
		return replyLater
	case w.tape.happens(w.twice) && (e.name == "StartCommit" || e.name == "AddFileSet" || e.name == "FinishCommit"):
		return doneTwice
	}
	return replyAtOnce
}

// mend ends all that is wrong.
func (w *world) mend() {
	w.full, w.stream.failures = false, 0
	if w.release != nil {
		w.holdFinishing()
	}
	if w.stopped {
		w.stopOrStart()
	}
	for _, each := range w.alive() {
		each.frozen = false
	}
}

// most is how many runners there are at a time.
const most = 3

func (w *world) another() {
	if len(w.alive()) < most && !w.stopped {
		w.startWriter()
	}
}

// one chooses a runner; nil if none is alive.
func (w *world) one() *writer {
	alive := w.alive()
	if len(alive) == 0 {
		return nil
	}
	return alive[w.tape.below(len(alive))]
}

func (w *world) killOne() {
	if victim := w.one(); victim != nil {
		w.kill(victim)
		w.another()
	}
}

// freeze has a runner stand still, and another take its place.
func (w *world) freeze() {
	if victim := w.one(); victim != nil && !victim.frozen {
		w.say("freeze %s", victim.name)
		victim.frozen = true
		w.another()
	}
}

func (w *world) thaw() {
	if sleeper := w.one(); sleeper != nil && sleeper.frozen {
		w.say("%s wakes up", sleeper.name)
		sleeper.frozen = false
	}
}

func (w *world) cutOne() {
	if victim := w.one(); victim != nil {
		w.say("cut %s off", victim.name)
		w.disconnect(victim)
	}
}

func (w *world) restartServer() {
	w.say("the server restarts")
	for _, each := range w.alive() {
		w.disconnect(each)
	}
}

func (w *world) holdFinishing() {
	if w.release == nil {
		w.say("commits stay FINISHING")
		w.release = w.server.HoldFinishing()
		return
	}
	w.say("commits become FINISHED again")
	w.release()
	w.release = nil
}

// failValidation stays below the number of rejections that end a runner.
func (w *world) failValidation() {
	if w.rejected < 3 {
		w.say("the next validation fails")
		w.rejected++
		w.server.FailNextValidation(fmt.Sprintf("file / directory path collision (/%d)", w.rejected))
	}
}

// stopOrStart stops the pipeline, which ends its pod, or starts it again. A
// runner that stands still may be on a node that has lost its contact.
func (w *world) stopOrStart() {
	if w.stopped = !w.stopped; w.stopped {
		w.say("stop the pipeline")
		for _, each := range w.alive() {
			if !each.frozen {
				w.kill(each)
			}
		}
		if _, err := w.main.PPS.StopPipeline(context.Background(), &pps.StopPipelineRequest{Pipeline: w.pipeline()}); err != nil {
			w.problem("stop the pipeline: %v", err)
		}
		return
	}
	w.say("start the pipeline")
	if _, err := w.main.PPS.StartPipeline(context.Background(), &pps.StartPipelineRequest{Pipeline: w.pipeline()}); err != nil {
		w.problem("start the pipeline: %v", err)
	}
	w.another()
}

// changeByHand puts a file into the branch, as a user can while the pipeline
// is stopped. Into a commit that a runner has left open it would go, too, and
// be rolled back with it or not.
func (w *world) changeByHand() {
	if commits := w.history(); !w.stopped || len(commits) == 0 || commits[0].Open() && !commits[0].Auto {
		return
	}
	stream, err := w.main.PFS.ModifyFile(context.Background())
	repo := &pfs.Repo{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: pipeline, Type: pfs.UserRepoType}
	for _, request := range []*pfs.ModifyFileRequest{
		{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: &pfs.Commit{Repo: repo, Branch: &pfs.Branch{Repo: repo, Name: "master"}}}},
		{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{Path: fmt.Sprintf("/by-hand-%d.txt", w.steps.Load()),
			Source: &pfs.AddFile_Raw{Raw: &types.BytesValue{Value: []byte("by hand")}}}}},
	} {
		if err == nil {
			err = stream.Send(request)
		}
	}
	if err == nil {
		_, err = stream.CloseAndRecv()
	}
	w.say("a user puts a file: %v", err)
}

// history lists the branch's commits, newest first.
func (w *world) history() (commits []*pachyderm.Commit) {
	head, err := w.branch.Head(context.Background())
	if err == nil && head != nil {
		err = w.branch.Ancestry(context.Background(), head.ID, func(c *pachyderm.Commit) bool {
			commits = append(commits, c)
			return true
		})
	}
	if err != nil {
		w.problem("history: %v", err)
	}
	return commits
}

// holds returns what a commit that counts says of itself; ok is false for all others.
func holds(c *pachyderm.Commit) (d spoutcommit.Description, ok bool) {
	d, ours, err := spoutcommit.ParseDescription(c.Description)
	return d, err == nil && ours && d.Position != nil && !c.Finished.IsZero() && c.Error == ""
}

// squash has a user squash a commit into the next. Both are of runners and
// count: what is squashed into a commit that says nothing takes the position
// along, as the documentation warns.
func (w *world) squash() {
	commits := w.history()
	if len(commits) < 2 {
		return
	}
	at := 1 + w.tape.below(len(commits)-1)
	into, victim := commits[at-1], commits[at]
	d, ok := holds(victim)
	if _, countsToo := holds(into); !ok || !countsToo {
		return
	}
	_, err := w.main.PFS.SquashCommitSet(context.Background(), &pfs.SquashCommitSetRequest{CommitSet: &pfs.CommitSet{ID: victim.ID}})
	w.say("a user squashes %.6s into %.6s: %v", victim.ID, into.ID, err)
	if err == nil {
		w.stream.merged[into.ID] = append(append(w.stream.merged[into.ID], d), w.stream.merged[victim.ID]...)
	}
}

// drop has a user drop the head with its data and its position.
func (w *world) drop() {
	commits := w.history()
	if len(commits) == 0 {
		return
	}
	d, ok := holds(commits[0])
	if !ok {
		return
	}
	_, err := w.main.PFS.DropCommitSet(context.Background(), &pfs.DropCommitSetRequest{CommitSet: &pfs.CommitSet{ID: commits[0].ID}})
	w.say("a user drops %.6s: %v", commits[0].ID, err)
	if err == nil {
		w.leave(d)
	}
}

// rewind has a user move the branch back to an older commit, as is possible
// while the pipeline is stopped.
func (w *world) rewind() {
	commits := w.history()
	if !w.stopped || len(commits) < 2 {
		return
	}
	at := 1 + w.tape.below(len(commits)-1)
	if _, ok := holds(commits[at]); !ok {
		return
	}
	repo := &pfs.Repo{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: pipeline, Type: pfs.UserRepoType}
	branch := &pfs.Branch{Repo: repo, Name: "master"}
	_, err := w.main.PFS.CreateBranch(context.Background(), &pfs.CreateBranchRequest{Branch: branch,
		Head: &pfs.Commit{Repo: repo, Branch: branch, ID: commits[at].ID}})
	w.say("a user moves the branch back to %.6s: %v", commits[at].ID, err)
	for _, c := range commits[:at] {
		if d, ok := holds(c); ok && err == nil {
			w.leave(d)
		}
	}
}

// leave notes a position whose commit a user has taken off the branch.
func (w *world) leave(d spoutcommit.Description) {
	at, err := w.stream.parse(d.Position)
	if err != nil {
		w.problem("%v", err)
	}
	w.dropped = append(w.dropped, at)
}

// jump moves the server's clock on. File sets may be too old then.
func (w *world) jump() {
	by := []time.Duration{time.Second, 11 * time.Minute, 25 * time.Hour, -time.Hour}[w.tape.below(4)]
	w.say("the server's clock jumps by %s", by)
	w.server.Advance(by)
}

// wait lets time pass with calls under way: slow storage.
func (w *world) wait() {
	d := []time.Duration{time.Second, 20 * time.Second, 6 * time.Minute, 20 * time.Minute}[w.tape.below(4)]
	w.say("%s pass", d)
	time.Sleep(d)
}

func (w *world) failSource() {
	w.say("the source fails")
	if w.stream.kafka != nil {
		w.stream.kafka.network.cut(false)
		return
	}
	w.stream.mu.Lock()
	defer w.stream.mu.Unlock()
	w.stream.failures++
}

func (w *world) fillDisk() {
	w.full = !w.full
	w.say("the disk is full: %v", w.full)
}
