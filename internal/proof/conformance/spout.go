// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	project, pipeline = "default", "spout"
	patience          = time.Minute           // for what comes sooner if all is well
	look              = 2 * time.Millisecond  // between two looks
	short             = 20 * time.Millisecond // the age of batches
)

// spout is a pipeline with a source, and what its runners have done.
type spout struct {
	testing.TB
	side     Side
	server   *pachtest.Server
	settings settings.Settings
	traits   source.Traits
	pkg      string // the source's
	writers  int
	hook     hook
}

func traitsOf(t testing.TB, side Side) source.Traits {
	s := &spout{TB: t, side: side, settings: side.Settings()}
	src := s.open()
	defer src.Close() //nolint:errcheck // it was never opened
	return src.Traits()
}

func newSpout(t testing.TB, side Side) *spout {
	s := &spout{TB: t, side: side, server: pachtest.New(t), settings: side.Settings()}
	s.settings.Batch.MaxAge, s.settings.Batch.MaxRecords = settings.Duration(short), 20
	src := s.open()
	of := reflect.TypeOf(src)
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	s.pkg, s.traits = of.PkgPath(), src.Traits()
	if err := src.Close(); err != nil {
		t.Errorf("Close without Open: %v", err)
	}
	_, err := s.connect(s.server.Address()).PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{
		Pipeline:  &pps.Pipeline{Project: &pfs.Project{Name: project}, Name: pipeline},
		Transform: &pps.Transform{Image: "runner", Cmd: []string{"/spout-runner"}}, Spout: &pps.Spout{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open makes a source.
func (s *spout) open() source.Source {
	s.Helper()
	src, err := s.side.New(s.settings, source.Options{Memory: ingest.SourceShare(s.settings), Log: s.log()})
	if err != nil {
		s.Fatal(err)
	}
	return src
}

func (s *spout) log() hclog.Logger {
	var out io.Writer = io.Discard
	if os.Getenv("SPOUT_TEST_LOG") != "" {
		out = os.Stderr
	}
	return hclog.New(&hclog.LoggerOptions{Output: out, Level: hclog.Debug})
}

func (s *spout) connect(address string) *pachyderm.Client {
	s.Helper()
	parsed, err := pachyderm.ParseAddress(address)
	if err != nil {
		s.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: parsed, UserAgent: "conformance"})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { client.Close() }) //nolint:errcheck // the test is over
	return client
}

func (s *spout) branch() *pachyderm.Branch {
	return s.connect(s.server.Address()).Branch(project, pipeline, "master")
}

// runner is a running loop.
type runner struct {
	s     *spout
	stop  context.CancelFunc
	ended chan error
}

// run starts a loop.
func (s *spout) run() *runner {
	s.Helper()
	client := s.connect(s.server.Sidecar(project, pipeline))
	s.writers++
	in, err := ingest.New(ingest.Config{
		Settings: s.settings, Client: client, Branch: client.Branch(project, pipeline, "master"), Writer: fmt.Sprintf("writer-%d", s.writers),
		NewSource: func() (source.Source, error) { return &hooked{Source: s.open(), hook: &s.hook}, nil },
		Log:       s.log(), Metrics: ingest.NewMetrics(),
	})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	r := &runner{s, cancel, make(chan error, 1)}
	go func() { r.ended <- in.Run(ctx) }()
	s.Cleanup(cancel)
	return r
}

// kill ends the loop, and returns its error.
func (r *runner) kill() error {
	r.s.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		if err == nil {
			r.s.Error("the loop returned nil")
		}
		return err
	case <-time.After(patience):
		r.s.Fatal("the loop does not end with its context")
	}
	return nil
}

// finished are the commits that count, the oldest first, with what they say.
func (s *spout) finished() (list []spoutcommit.Description, commits []*pachyderm.Commit) {
	s.Helper()
	branch := s.branch()
	head, err := branch.Head(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	if head == nil {
		return nil, nil
	}
	err = branch.Ancestry(s.Context(), head.ID, func(c *pachyderm.Commit) bool {
		if d, ours, err := spoutcommit.ParseDescription(c.Description); err == nil && ours && c.Error == "" && !c.Finished.IsZero() && d.Position != nil {
			list, commits = append(list, d), append(commits, c)
		}
		return true
	})
	if err != nil {
		s.Fatal(err)
	}
	slices.Reverse(list)
	slices.Reverse(commits)
	return list, commits
}

// await waits until what the finished commits say is enough.
func (s *spout) await(r *runner, what string, enough func([]spoutcommit.Description) bool) {
	s.Helper()
	deadline := time.After(patience)
	for {
		if list, _ := s.finished(); enough(list) {
			return
		}
		select {
		case err := <-r.ended:
			s.Fatalf("the loop has ended, and not %s: %v", what, err)
		case <-deadline:
			list, _ := s.finished()
			s.Fatalf("not %s: %v", what, list)
		case <-time.After(look):
		}
	}
}

// awaitAll waits until as many records are in commits as were made.
func (s *spout) awaitAll(r *runner) {
	s.Helper()
	s.await(r, "all records in commits", func(list []spoutcommit.Description) bool {
		written := int64(0)
		for _, d := range list {
			written += d.Written
		}
		return written >= int64(len(s.side.Values()))
	})
}

// verify checks that each record is in exactly one commit, and each commit.
func (s *spout) verify() {
	s.Helper()
	layout := s.settings.Layout()
	descriptions, commits := s.finished()
	branch, seen, count := s.branch(), map[string]bool{}, map[string]int{}
	for i, commit := range commits {
		d := descriptions[i]
		if sum := d.Written + d.Filtered + d.DeadLettered + d.Redelivered; d.Read != sum {
			s.Errorf("commit %d has read %d records, and tells of %d", i, d.Read, sum)
		}
		files, err := branch.Files(s.Context(), commit.ID)
		if err != nil {
			s.Fatal(err)
		}
		var values []string
		for _, file := range files {
			if seen[file.Path] {
				continue
			}
			seen[file.Path] = true
			content, err := branch.ReadFile(s.Context(), commit.ID, file.Path)
			if err != nil {
				s.Fatal(err)
			}
			entries, err := audit.Records(layout, file.Path, content)
			if err != nil {
				s.Fatalf("%s: %v", file.Path, err)
			}
			for _, e := range entries {
				values = append(values, e.Value)
				count[e.Value]++
			}
		}
		if int64(len(values)) != d.Written {
			s.Errorf("commit %d has %d records, and tells of %d", i, len(values), d.Written)
		}
		if whole, ok := s.side.(Whole); ok {
			if problem := whole.Torn(values); problem != "" {
				s.Errorf("commit %d: %s", i, problem)
			}
		}
	}
	made := s.side.Values()
	for _, value := range made {
		if count[value] != 1 {
			s.Errorf("the record %s is in the files %d times", value, count[value])
		}
	}
	if len(count) > len(made) {
		s.Errorf("the files have %d records that nobody made", len(count)-len(made))
	}
	if truth, ok := s.side.(Exact); ok {
		report, err := audit.Branch(s.Context(), branch, layout, truth)
		if err != nil {
			s.Fatal(err)
		}
		if !report.OK() {
			s.Error(report)
		}
	}
}

// position is that of the newest commit.
func (s *spout) position() json.RawMessage {
	list, _ := s.finished()
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1].Position
}

// checkGoroutines waits for the goroutines of the source to end.
func (s *spout) checkGoroutines() {
	s.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := goroutinesOf(s.pkg)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%d goroutines of the source are left after Close, as\n%s", len(left), left[0])
		}
		time.Sleep(look)
	}
}

// goroutinesOf are the stacks of goroutines that a source has begun, or that are
// in its package or one below it, apart from those of tests.
func goroutinesOf(pkg string) (list []string) {
	text := make([]byte, 1<<20)
	for n := runtime.Stack(text, true); ; n = runtime.Stack(text, true) {
		if n < len(text) {
			text = text[:n]
			break
		}
		text = make([]byte, 2*len(text))
	}
	for stack := range strings.SplitSeq(string(text), "\n\n") {
		if strings.Contains(stack, "testing.tRunner(") {
			continue
		}
		if strings.Contains(stack, pkg+".(*Source)") || !strings.Contains(stack, "_test.go:") && (strings.Contains(stack, pkg+".") || strings.Contains(stack, pkg+"/")) {
			list = append(list, stack)
		}
	}
	return list
}
