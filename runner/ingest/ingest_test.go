// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
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
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const project, pipeline = "default", "spout"

var versions = []string{"2.6.0", "2.11.6"}

// bench is a fake pachd with a spout, a log to ingest, and what is needed to run ingesters.
type bench struct {
	t        *testing.T
	server   *pachtest.Server
	main     *pachyderm.Client // of pachd itself
	log      *log
	settings settings.Settings
	source   func() *memorySource
	expect   func(*audit.Entry) // what the files should hold of a record, if not its value
	writers  int
}

func newBench(t *testing.T, version string, options ...pachtest.Option) *bench {
	t.Helper()
	server := pachtest.New(t, append(options, pachtest.WithVersion(version))...)
	b := &bench{t: t, server: server, log: newLog(3), settings: settings.Default()}
	b.main = b.connect(server.Address())
	_, err := b.main.PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{
		Pipeline:  &pps.Pipeline{Project: &pfs.Project{Name: project}, Name: pipeline},
		Transform: &pps.Transform{Image: "runner", Cmd: []string{"/spout-runner"}}, Spout: &pps.Spout{},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.settings.File.Format = "jsonl"
	b.settings.Batch.MaxRecords = 50
	b.settings.Batch.MaxAge = settings.Duration(50 * time.Millisecond)
	b.source = func() *memorySource { return &memorySource{log: b.log, max: 7} }
	return b
}

func (b *bench) connect(address string) *pachyderm.Client {
	b.t.Helper()
	parsed, err := pachyderm.ParseAddress(address)
	if err != nil {
		b.t.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: parsed, UserAgent: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { client.Close() }) //nolint:errcheck // the test is over
	return client
}

// branch is the output branch as seen through pachd itself.
func (b *bench) branch() *pachyderm.Branch { return b.main.Branch(project, pipeline, "master") }

// ingester makes a writer that nobody was before.
func (b *bench) ingester() *ingest.Ingester {
	b.t.Helper()
	client := b.connect(b.server.Sidecar(project, pipeline))
	b.writers++
	var out io.Writer = io.Discard
	if os.Getenv("SPOUT_TEST_LOG") != "" {
		out = os.Stderr
	}
	in, err := ingest.New(ingest.Config{
		Settings: b.settings, NewSource: func() (source.Source, error) { return b.source(), nil }, Client: client,
		Branch: client.Branch(project, pipeline, "master"), Writer: fmt.Sprintf("writer-%d", b.writers),
		Log: hclog.New(&hclog.LoggerOptions{Output: out, Level: hclog.Debug}), Metrics: ingest.NewMetrics(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return in
}

// run starts an ingester. stop ends it abruptly; ended gets its error.
func (b *bench) run() (stop func(), ended <-chan error) {
	b.t.Helper()
	in := b.ingester()
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	b.t.Cleanup(cancel)
	return cancel, done
}

// end ends an ingester that run started.
func (b *bench) end(stop func(), ended <-chan error) {
	b.t.Helper()
	stop()
	if err := <-ended; err == nil {
		b.t.Error("Run returned nil")
	}
}

// awaitAll waits until the log is in finished commits.
func (b *bench) awaitAll() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		last, d, err := ingest.LastCommit(ctx, b.branch())
		if err != nil && status.Code(err) != codes.Unavailable { // a connection that a test has cut is noticed when it is used
			b.t.Fatal(err)
		}
		if last != nil && (truth{b.log}).reached(d.Position) {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatal("not all records arrived")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// audit checks every commit.
func (b *bench) audit() *audit.Report {
	b.t.Helper()
	report, err := audit.Branch(b.t.Context(), b.branch(), settings.LayoutOf("kafka", ""), expected{truth{b.log}, b.expect})
	if err != nil {
		b.t.Fatal(err)
	}
	if !report.OK() {
		b.t.Fatalf("%s", report)
	}
	return report
}

// truth lets a log be audited.
type truth struct{ log *log }

func (t truth) Records(stream source.Stream, from, to int64) (out []audit.Entry) {
	for _, r := range t.log.partitions[stream.Partition][from:to] {
		out = append(out, audit.Entry{Stream: stream, Offset: r.Offset, Value: string(r.Value)})
	}
	return out
}

// expected is a truth with what the settings make of it.
type expected struct {
	truth
	expect func(*audit.Entry)
}

func (e expected) Records(stream source.Stream, from, to int64) []audit.Entry {
	out := e.truth.Records(stream, from, to)
	for i := range out {
		if e.expect != nil {
			e.expect(&out[i])
		}
	}
	return out
}

func (t truth) Ends() map[source.Stream]int64 {
	ends := map[source.Stream]int64{}
	for p, records := range t.log.partitions {
		ends[source.Stream{Name: "t", Partition: int32(p)}] = int64(len(records))
	}
	return ends
}

func (truth) Starts() map[source.Stream]int64 { return map[source.Stream]int64{} }

func (truth) Offsets(raw json.RawMessage) (map[source.Stream]int64, error) {
	var position memoryPosition
	err := json.Unmarshal(raw, &position)
	out := map[source.Stream]int64{}
	for p, next := range position {
		out[source.Stream{Name: "t", Partition: p}] = next
	}
	return out, err
}

func (t truth) reached(raw json.RawMessage) bool {
	have, err := t.Offsets(raw)
	for stream, end := range t.Ends() {
		if err != nil || have[stream] < end {
			return false
		}
	}
	return true
}

func forVersions(t *testing.T, test func(t *testing.T, version string)) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

func TestIngest(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newBench(t, version)
		b.log.produce(200)
		stop, ended := b.run()
		b.awaitAll()
		b.log.produce(3) // less than a batch: committed by age
		b.awaitAll()
		b.end(stop, ended)
		report := b.audit()
		if report.Records != 609 || report.Commits < 609/50 {
			t.Error(report)
		}
		reasons := map[spoutcommit.Reason]int{}
		for _, c := range b.server.Commits(project, pipeline, "master") {
			d, _, err := spoutcommit.ParseDescription(c.Description)
			if err != nil {
				t.Fatal(err)
			}
			reasons[d.Reason]++
		}
		full := reasons[spoutcommit.ReasonRecords] // 12, or fewer where a busy machine takes longer for one than its age
		if reasons[spoutcommit.ReasonStart] != 1 || reasons[spoutcommit.ReasonAge] == 0 || full == 0 || full > 12 {
			t.Error(reasons)
		}
		if len(b.server.Panics()) > 0 {
			t.Error(b.server.Panics())
		}
	})
}

// TestResume starts ingester after ingester; each goes on where the last
// commit ends, without a start commit of its own.
func TestResume(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newBench(t, version)
		for range 5 {
			b.log.produce(40)
			stop, ended := b.run()
			b.awaitAll()
			b.end(stop, ended)
		}
		if report := b.audit(); report.Records != 600 {
			t.Error(report)
		}
	})
}

// TestAcknowledge: nothing beyond a finished commit is acknowledged.
func TestAcknowledge(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	release := b.server.HoldFinishing()
	b.log.produce(100)
	b.run()
	waitFor(t, "a commit waits to be finished", func() bool {
		commits := b.server.Commits(project, pipeline, "master")
		return len(commits) > 1
	})
	b.log.mu.Lock()
	acked := len(b.log.acked)
	b.log.mu.Unlock()
	if acked != 0 {
		t.Error("acknowledged before FINISHED")
	}
	release()
	b.awaitAll()
	waitFor(t, "all is acknowledged", func() bool {
		b.log.mu.Lock()
		defer b.log.mu.Unlock()
		return b.log.acked[0] == 100 && b.log.acked[2] == 100
	})
	b.audit()
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for !holds() {
		select {
		case <-deadline:
			t.Fatal("never: " + what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// TestStoppedAndStarted: 2.6 empties the head, 2.11 leaves it open.
func TestStoppedAndStarted(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newBench(t, version)
		name := &pps.Pipeline{Project: &pfs.Project{Name: project}, Name: pipeline}
		for range 3 {
			b.log.produce(60)
			stop, ended := b.run()
			b.awaitAll()
			b.end(stop, ended)
			if _, err := b.main.PPS.StopPipeline(t.Context(), &pps.StopPipelineRequest{Pipeline: name}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.main.PPS.StartPipeline(t.Context(), &pps.StartPipelineRequest{Pipeline: name}); err != nil {
				t.Fatal(err)
			}
		}
		b.log.produce(1)
		b.run()
		b.awaitAll()
		report := b.audit()
		if want := map[string]int{"2.6.0": 3, "2.11.6": 0}[version]; report.Repairs != want {
			t.Errorf("want %d repairs: %s", want, report)
		}
	})
}

// TestOpenHead: what another writer left open is rolled back, whatever is in it.
func TestOpenHead(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newBench(t, version)
		branch := b.connect(b.server.Sidecar(project, pipeline)).Branch(project, pipeline, "master")
		id, err := branch.Start(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		files, err := branch.NewFileSet(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := files.Put("/t/00000/garbage.jsonl", []byte("garbage")); err != nil {
			t.Fatal(err)
		}
		set, err := files.Close()
		if err != nil {
			t.Fatal(err)
		}
		if err := branch.AddFileSet(t.Context(), id, set); err != nil {
			t.Fatal(err)
		}
		b.log.produce(10)
		b.run()
		b.awaitAll()
		if report := b.audit(); report.RolledBack != 1 {
			t.Error(report)
		}
	})
}

// TestRejectedCommit: a commit that validation rejects takes nothing after it along.
func TestRejectedCommit(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newBench(t, version, pachtest.WithFinishDelay(5*time.Millisecond))
		b.log.produce(100)
		b.run()
		b.awaitAll()
		b.server.FailNextValidation("file / directory path collision (/t)")
		b.log.produce(200)
		b.awaitAll()
		if report := b.audit(); report.RolledBack < 1 {
			t.Error(report)
		}
	})
}

// TestTwoWriters lets two ingesters write one branch: the newer one wins, the
// older one ends and says why.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	forVersions(t, func(t *testing.T, version string) {
		b := newBench(t, version)
		b.log.produce(50)
		_, ended := b.run()
		b.awaitAll()
		b.run()
		var superseded *ingest.SupersededError
		for done := false; !done; {
			b.log.produce(2) // slower than it is ingested, however busy the machine is
			select {
			case err := <-ended:
				if !errors.As(err, &superseded) || !strings.Contains(err.Error(), "writer-2") {
					t.Errorf("ended with %v", err)
				}
				done = true
			case <-time.After(20 * time.Millisecond):
			case <-t.Context().Done():
				t.Fatal(t.Context().Err())
			}
		}
		b.awaitAll()
		b.audit()
	})
}

// TestWrongServer: pachd itself refuses writes to the output branch, and
// trying again would not help.
func TestWrongServer(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	in, err := ingest.New(ingest.Config{Settings: b.settings, NewSource: func() (source.Source, error) { return b.source(), nil },
		Client: b.main, Branch: b.branch(), Writer: "w", Log: hclog.NewNullLogger(), Metrics: ingest.NewMetrics()})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Run(t.Context()); !pachyderm.IsOutputBranch(err) {
		t.Error(err)
	}
}

// TestSourceStops: what only an operator can solve ends the run.
func TestSourceStops(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	b.log.produce(10)
	gone := errors.New("the offset is gone")
	b.source = func() *memorySource {
		return &memorySource{log: b.log, max: 7, fail: func() error { return &source.Stop{Err: gone} }}
	}
	_, ended := b.run()
	if err := <-ended; !errors.Is(err, gone) {
		t.Error(err)
	}
}

// TestGap: records that were gone at the source are noted in the commit.
func TestGap(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	b.log.gap = &source.Gap{From: 3, To: 9, Reason: "retention"}
	b.log.produce(1)
	b.run()
	b.awaitAll()
	for _, c := range b.server.Commits(project, pipeline, "master") {
		if strings.Contains(c.Description, `"gaps":[{"topic":"t","partition":0,"from":3,"to":9,"reason":"retention"}]`) {
			return
		}
	}
	t.Error("no commit tells of the gap")
}

// TestSmallMemory: a batch that is larger than its share of the memory goes
// up in several files a stream, in one commit.
func TestSmallMemory(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	b.settings.MemoryBudget = 64 << 10
	b.settings.Batch.MaxRecords = 3000
	b.settings.Batch.MaxAge = settings.Duration(time.Hour)
	b.log.produce(1000)
	b.run()
	b.awaitAll()
	b.audit()
	commits := b.server.Commits(project, pipeline, "master")
	d, _, err := spoutcommit.ParseDescription(commits[len(commits)-1].Description)
	if err != nil || d.Reason != spoutcommit.ReasonRecords || d.Written != 3000 || d.Files < 6 {
		t.Error(d, err)
	}
}

// TestTimeInPath: records go to the files of their own hour, each file's in order.
func TestTimeInPath(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	if err := b.settings.File.Path.UnmarshalText([]byte("{year}/{month}/{day}/{hour}{minute}/{topic}-{partition}-{first_offset}.{ext}")); err != nil {
		t.Fatal(err)
	}
	b.log.produce(100) // a second apart
	b.run()
	b.awaitAll()
	b.audit()
	paths := b.headFiles()
	for p := range 2 {
		for minute, first := range []int{0, 40} { // 22:13:20 is the first record's time
			if want := fmt.Sprintf("/2023/11/14/22%d/t-%05d-%020d.jsonl", 13+minute, p, first); !slices.Contains(paths, want) {
				t.Errorf("%s is not among %s", want, paths)
			}
		}
	}
}

// TestFaults runs ingesters, several at a time, against a pachd that loses
// requests and replies, stalls and cuts connections at random, and restarts
// them at random. The seed is in the test's name.
func TestFaults(t *testing.T) {
	t.Parallel()
	rounds := 20
	for range rounds {
		seed := rand.Uint64()
		version := versions[seed%2]
		t.Run(fmt.Sprintf("%s-seed-%d", version, seed), func(t *testing.T) {
			t.Parallel()
			testFaults(t, version, seed)
		})
	}
}

func testFaults(t *testing.T, version string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	b := newBench(t, version, pachtest.WithFinishDelay(time.Duration(random.IntN(4))*time.Millisecond))
	b.server.RandomFaults(rand.NewPCG(seed, 2), pachtest.Rates{Side: pachtest.Sidecar, Before: 0.02, LoseReply: 0.02, Cut: 0.01, Delay: 0.2})
	type life struct {
		stop  func()
		ended <-chan error
	}
	var lives []life
	for range 15 {
		b.log.produce(10 + random.IntN(30))
		switch random.IntN(4) {
		case 0:
			if len(lives) > 0 {
				at := random.IntN(len(lives))
				lives[at].stop()
			}
		case 1:
			b.server.CutConnections()
		default:
			stop, ended := b.run()
			lives = append(lives, life{stop, ended})
		}
		select {
		case <-time.After(time.Duration(random.IntN(30)) * time.Millisecond): // any point of the protocol
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	for _, l := range lives {
		b.end(l.stop, l.ended)
	}
	b.server.RandomFaults(nil, pachtest.Rates{})
	b.run()
	b.awaitAll()
	t.Log(b.audit())
}

// TestUnavailable: an outage of pachd is waited for.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	fault := b.server.Inject(pachtest.Fault{Method: "StartCommit", Count: 3, Before: status.Error(codes.Unavailable, "down")})
	b.log.produce(10)
	_, ended := b.run()
	b.awaitAll()
	b.audit()
	select {
	case err := <-ended:
		t.Error(err)
	default:
	}
	if fault.Fired() != 3 {
		t.Error(fault.Fired(), "calls failed")
	}
}
