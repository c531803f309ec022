// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

const pipeline = "spout"

// world is all that a schedule has to do with.
type world struct {
	tape     *tape
	trace    bool // print each step
	server   *pachtest.Server
	main     *pachyderm.Client // of pachd itself; nothing goes wrong on its way
	branch   *pachyderm.Branch
	model    model
	stream   *stream
	settings settings.Settings
	chunk    int // records that the source has in a chunk
	writers  []*writer
	wake     chan struct{}

	rates
	release  func() // of commits that are held FINISHING; nil if none are
	rejected int    // validations that were made to fail
	full     bool   // the disk
	stopped  bool   // the pipeline
	dropped  []offsets
	target   int          // records to produce
	steps    atomic.Int64 // read by the runners, too
	told     []string     // descriptions of all commits, at the end

	mu       sync.Mutex
	problems []string
}

func (w *world) say(format string, args ...any) {
	if w.trace {
		fmt.Printf("%4d  %s\n", w.steps.Load(), fmt.Sprintf(format, args...))
	}
}

func (w *world) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
	w.say("PROBLEM  %s", w.problems[len(w.problems)-1])
}

// sound says whether there is no problem so far.
func (w *world) sound() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.problems) == 0
}

func newWorld(t *tape, trace bool) *world {
	return newWorldOn(t, trace, nil)
}

// newKafkaWorld is a world whose records are in Kafka.
func newKafkaWorld(t *tape, trace bool) *world {
	k, err := newKafkaTopic()
	if err != nil {
		panic(err)
	}
	return newWorldOn(t, trace, k)
}

func newWorldOn(t *tape, trace bool, k *kafkaTopic) *world {
	w := &world{tape: t, trace: trace, wake: make(chan struct{}, 1), stream: &stream{parse: parseOffsets, kafka: k, fill: 100, grown: make(chan struct{}), merged: map[string][]spoutcommit.Description{}}}
	version := []string{pachtest.Version26, pachtest.Version211}[t.below(2)]
	var err error
	if w.server, err = pachtest.Start(pachtest.WithoutNetwork(), pachtest.WithVersion(version)); err != nil {
		panic(err)
	}
	w.main = w.connect(plainly(w.server.Direct(pachtest.Main, "", "")), func(int) {})
	w.branch = w.main.Branch(pachyderm.DefaultProject, pipeline, "master")
	if k != nil {
		w.stream.parse = parseKafkaOffsets
	}
	w.model = model{branch: w.branch, owners: map[string]string{}, parse: w.stream.parse}
	_, err = w.main.PPS.CreatePipeline(context.Background(), &pps.CreatePipelineRequest{Pipeline: w.pipeline(),
		Transform: &pps.Transform{Image: "runner", Cmd: []string{"/spout-runner"}}, Spout: &pps.Spout{}})
	if err != nil {
		panic(err)
	}
	w.stream.acked = w.checkAcknowledged
	w.settings = settings.Default()
	w.settings.File.Format = "jsonl"
	w.settings.Batch.MaxRecords = []int{10, 3, 25, 1000}[t.below(4)]
	w.settings.Batch.MaxAge = settings.Duration([]time.Duration{time.Second, 10 * time.Second}[t.below(2)])
	if t.happens(2) {
		w.settings.MemoryBudget, w.stream.fill = 16<<10, 1000
	}
	if t.happens(3) {
		w.stream.most = int(w.stream.fill)
		w.settings.Record.MaxBytes, w.settings.Record.OnRefused = settings.Bytes(w.stream.most), "dead_letter"
		if w.settings.Record.Filter, err = settings.ParseFilter("value:wanted == true"); err != nil {
			panic(err)
		}
	}
	w.chunk, w.target = 1+t.below(8), 20+t.below(40)
	w.rates = drawRates(t)
	w.say("pachd %s, batches of %d records or %s", version, w.settings.Batch.MaxRecords, w.settings.Batch.MaxAge)
	return w
}

func (*world) pipeline() *pps.Pipeline {
	return &pps.Pipeline{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: pipeline}
}

func (w *world) connect(send sender, upload func(int)) *pachyderm.Client {
	client, err := pachyderm.Connect(pachyderm.Options{Address: pachyderm.Address{Host: "simulated", Port: 1}, DialOptions: dialOptions(send, upload)})
	if err != nil {
		panic(err)
	}
	return client
}

// run lives through the schedule and returns what was wrong with it.
func (w *world) run() []string {
	w.startWriter()
	for length := int64(30 + w.tape.below(170)); w.steps.Load() < length && w.sound(); {
		w.step(true)
	}
	w.leaveInPeace()
	return w.finish()
}

// finish ends everything, and returns what was wrong.
func (w *world) finish() []string {
	for _, left := range w.alive() {
		w.kill(left)
	}
	synctest.Wait()
	for _, c := range w.history() {
		d, _, _ := spoutcommit.ParseDescription(c.Description) //nolint:errcheck // of whom it is does not matter
		d.Restored = ""                                        // an id, which is another in each life
		w.told = append(w.told, c.Error+d.String())
	}
	if w.sound() {
		w.audit()
	}
	for _, each := range w.writers {
		for _, e := range each.link.pending() {
			e.forget()
		}
		each.client.Close() //nolint:errcheck // there is no connection
	}
	w.main.Close() //nolint:errcheck // likewise
	if w.stream.kafka != nil {
		w.stream.kafka.close()
	}
	w.server.Close()
	return w.problems
}

// step lets one thing happen.
func (w *world) step(disturbed bool) {
	synctest.Wait()
	w.steps.Add(1)
	w.reap()
	if w.deliver() {
		return
	}
	if disturbed && w.tape.happens(w.disturbance) {
		w.disturb()
		return
	}
	ready := w.ready()
	if len(ready) == 0 {
		w.idle(disturbed)
		return
	}
	chosen, f := ready[0], replyAtOnce
	if disturbed {
		if chosen = ready[w.tape.below(len(ready))]; chosen.is(sent) {
			if f = w.fate(chosen); f == refused {
				return
			}
		}
	}
	w.proceed(chosen, f)
}

// deliver hands over a reply that nothing holds up: one at a time, so that
// what one part of a runner does of it does not race with what another does.
func (w *world) deliver() (delivered bool) {
	for _, each := range w.writers {
		for _, e := range each.link.pending() {
			if each.frozen || !e.is(worked) || e.fate == replyLater {
				continue
			}
			var err error
			if e.fate == replyLost {
				err = errLost
			}
			w.say("%s hears of %s: %v", each.name, e.name, errorOf(e, err))
			e.tell(err)
			e.forget()
			return true
		}
	}
	return false
}

func errorOf(e *event, err error) error {
	if err != nil {
		return err
	}
	return e.err
}

// ready lists what may happen next: calls that have not reached the server,
// and replies that were held up.
func (w *world) ready() (ready []*event) {
	for _, each := range w.writers {
		if each.frozen {
			continue
		}
		for _, e := range each.link.pending() {
			if e.is(sent) || e.is(worked) {
				ready = append(ready, e)
			}
		}
	}
	return ready
}

// proceed has the server do a call, or the runner hear of its end.
func (w *world) proceed(e *event, f fate) {
	if e.is(worked) {
		e.fate = replyAtOnce
		w.deliver()
		return
	}
	if problem := w.model.refuses(e); problem != "" {
		w.problem("%s: %s %s", e.link.owner, e.name, problem)
	}
	e.work(f)
	synctest.Wait()
	if e.is(worked) {
		w.model.did(e)
	}
	w.say("%s: %s%s%s: %v", e.link.owner, e.name, subject(e), []string{"", ", reply held", ", reply lost", ", twice"}[f], e.err)
}

// subject names the commit that a call is about.
func subject(e *event) string {
	if e.middle {
		return ""
	}
	switch request := e.requests[0].(type) {
	case *pfs.InspectCommitRequest:
		return fmt.Sprintf(" %.6s %s", request.Commit.ID, request.Wait)
	case *pfs.FinishCommitRequest:
		return fmt.Sprintf(" %.6s %s%s", request.Commit.ID, request.Error, request.Description)
	case *pfs.AddFileSetRequest:
		return fmt.Sprintf(" %.6s", request.Commit.ID)
	case *pfs.StartCommitRequest:
		if e.is(worked) && len(e.replies) == 1 {
			return fmt.Sprintf(" %.6s", e.replies[0].(*pfs.Commit).ID)
		}
	}
	return ""
}

// idle does what happens when no call is under way: somebody starts what is
// not running, records are produced, or time passes.
func (w *world) idle(disturbed bool) {
	switch {
	case w.stopped && w.tape.happens(3):
		w.stopOrStart()
	case !w.stopped && len(w.alive()) == 0:
		w.startWriter()
	case disturbed && w.stream.total() < w.target:
		w.produce()
	default:
		w.pass(time.Minute)
	}
}

func (w *world) produce() {
	partition, n := w.tape.below(partitions), 1+w.tape.below(9)
	w.stream.produce(partition, n)
	w.say("%d records in partition %d", n, partition)
}

// pass lets time pass until something has changed.
func (w *world) pass(most time.Duration) {
	select {
	case <-w.wake:
	default:
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-w.wake:
	case <-timer.C:
	}
}

// leaveInPeace mends everything and lets a runner finish.
func (w *world) leaveInPeace() {
	w.say("from here on, nothing goes wrong")
	synctest.Wait()
	w.mend()
	w.stream.produce(0, 1) // a runner that is idle notices with its next commit that its last one was dropped
	for limit := w.steps.Load() + 4000; w.sound(); {
		synctest.Wait()
		if len(w.alive()) == 0 {
			w.startWriter()
			continue
		}
		if w.steps.Load() > limit {
			w.problem("I7: no end: a runner that was left in peace has not ingested all")
			return
		}
		if len(w.ready()) == 0 && w.done() {
			return
		}
		w.step(false)
	}
}

// done says whether all records are in a commit that is finished.
func (w *world) done() bool {
	last, d, err := ingest.LastCommit(context.Background(), w.branch)
	if err != nil || last == nil {
		return false
	}
	at, err := w.stream.parse(d.Position)
	return err == nil && at.between(w.ends()) == 0
}

func (w *world) ends() offsets {
	ends := offsets{}
	for stream, end := range w.stream.Ends() {
		ends[stream.Partition] = end
	}
	return ends
}

// checkAcknowledged holds an acknowledgement against what is FINISHED (I3).
func (w *world) checkAcknowledged(position offsets) {
	covers := func(at offsets) bool {
		for p, next := range position {
			if at[p] < next {
				return false
			}
		}
		return true
	}
	for _, c := range w.server.Commits(pachyderm.DefaultProject, pipeline, "master") {
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		if err != nil || !ours || d.Position == nil || !c.Finished || c.Error != "" {
			continue
		}
		if at, err := w.stream.parse(d.Position); err == nil && covers(at) {
			return
		}
	}
	if !slices.ContainsFunc(w.dropped, covers) {
		w.problem("I3: %v was acknowledged, and is in no finished commit", position)
	}
}

// audit reads every commit.
func (w *world) audit() {
	report, err := audit.Branch(context.Background(), w.branch, settings.LayoutOf("kafka", ""), w.stream)
	if err != nil {
		w.problem("audit: %v", err)
		return
	}
	w.say("audit: %s", report)
	if !report.OK() {
		w.problem("audit: %s", report)
	}
	if panics := w.server.Panics(); len(panics) > 0 {
		w.problem("the server panicked: %v", panics)
	}
}

var errRefused = status.Error(codes.Unavailable, "the server is going down")
var errFull = status.Error(codes.Unknown, "write /pach/chunk: no space left on device")
