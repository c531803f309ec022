// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// What a commit costs depends on what is in the branch already. A spout makes
// commits of a few small files as fast as it can, and what each share of
// Pachyderm takes for a commit is noted as they get more: the time between
// commits, which is what the machine has to spare, and processor time, which
// other programs change little.

// grower is a spout that only makes commits.
type grower struct {
	*deployment
	broker *kafkatest.Broker
	branch *pachyderm.Branch
	grows
	name     string
	settings settings.Settings
}

// grows says what commits a grower makes.
type grows struct {
	files   int // of a commit
	records int // of a commit
	keys    int // of records; 0 for none
	change  func(*settings.Settings)
}

// ofFiles are commits of so many small files, of a record each.
func ofFiles(files int) grows {
	return grows{files: files, records: files, change: func(s *settings.Settings) { s.File.Format, s.Batch.MaxFiles = "raw", files }}
}

// growthRecord is the size of a record.
const growthRecord = 100

// newGrower starts a spout that has so many commits to make.
func (d *deployment) newGrower(ctx context.Context, name string, commits int, what grows) (*grower, error) {
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: name, Partitions: 1})
	if err != nil {
		return nil, err
	}
	g := &grower{deployment: d, broker: broker, name: name, grows: what}
	if err := g.produce(ctx, commits); err != nil {
		broker.Stop()
		return nil, err
	}
	g.settings = settings.Default()
	s := &g.settings
	s.Kafka.Brokers, s.Kafka.Topics, s.HTTPPort = broker.Addresses(), []string{name}, 0
	what.change(s)
	if g.branch, err = d.createSpout(ctx, name, s.OutputBranch, s.Environment()); err != nil {
		broker.Stop()
		return nil, err
	}
	return g, nil
}

// produce gives the spout records for more commits.
func (g *grower) produce(ctx context.Context, commits int) error {
	records := make([]*kgo.Record, commits*g.records)
	content := incompressible(growthRecord * len(records))
	for i := range records {
		records[i] = &kgo.Record{Topic: g.name, Value: content[i*growthRecord : (i+1)*growthRecord]}
		if g.keys > 0 { // in an order in which neighbours differ
			records[i].Key = fmt.Appendf(nil, "key-%06d", i*7919%g.keys)
		}
	}
	return g.broker.Produce(ctx, nil, records...)
}

func (g *grower) stop(ctx context.Context) error {
	g.broker.Stop()
	return g.deleteSpout(ctx, g.name)
}

// grown is what was seen of a grower at a moment.
type grown struct {
	commits int
	id      string    // of the last of them
	at      time.Time // when that was FINISHED
	spent   spent
}

// look says how far the spout is. It asks little of pachd.
func (g *grower) look(ctx context.Context) (seen grown, err error) {
	last, d, err := ingest.LastCommit(ctx, g.branch)
	if err != nil || last == nil {
		return seen, err
	}
	offsets, err := audit.OffsetsOf("kafka")(d.Position)
	if err != nil {
		return seen, err
	}
	for _, next := range offsets {
		seen.commits += int(next) / g.records
	}
	seen.id, seen.at = last.ID, last.Finished
	seen.spent, err = spentBelow(os.Getpid())
	return seen, err
}

// stretch is what commits have cost from one look to another.
type stretch struct {
	from, to grown
	files    int // of a commit
	finishing
}

// finishing is what pachd notes of how it has finished a commit.
type finishing struct{ compacting, validating time.Duration }

// finishingOf returns the mean of some commits up to one.
func (g *grower) finishingOf(ctx context.Context, id string) (f finishing, err error) {
	const some = 20
	commit := &pfs.Commit{Repo: repo(g.name), Branch: &pfs.Branch{Repo: repo(g.name), Name: g.branch.Name}, ID: id}
	stream, err := g.client.PFS.ListCommit(ctx, &pfs.ListCommitRequest{Repo: repo(g.name), To: commit, Number: some})
	if err != nil {
		return f, err
	}
	n := time.Duration(0)
	for {
		info, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			n = max(n, 1)
			return finishing{f.compacting / n, f.validating / n}, nil
		}
		if err != nil {
			return f, err
		}
		if d := info.Details; d != nil {
			n++
			for _, part := range []struct {
				to *time.Duration
				of *types.Duration
			}{{&f.compacting, d.CompactingTime}, {&f.validating, d.ValidatingTime}} {
				if part.of == nil { // as of commits that Pachyderm makes itself
					continue
				}
				took, err := types.DurationFromProto(part.of)
				if err != nil {
					return f, err
				}
				*part.to += took
			}
		}
	}
}

func (s stretch) commits() float64 { return float64(s.to.commits - s.from.commits) }

// between is the time from commit to commit, in milliseconds.
func (s stretch) between() float64 { return s.to.at.Sub(s.from.at).Seconds() * 1e3 / s.commits() }

// processor is the processor time of a commit, in milliseconds, of a share or
// of all.
func (s stretch) processor(share string) float64 {
	spent := s.to.spent.since(s.from.spent)
	used := spent[share]
	if share == "" {
		used = spent.sum()
	}
	return used.Seconds() * 1e3 / s.commits()
}

// before is how many files there are in the middle of the stretch.
func (s stretch) before() float64 { return float64((s.from.commits+s.to.commits)*s.files) / 2 }

func (s stretch) String() string {
	text := fmt.Sprintf("commits %d to %d (%d files): %.0f ms between commits (compaction %.0f, validation %.0f), processor time %.0f ms a commit:",
		s.from.commits, s.to.commits, s.to.commits*s.files, s.between(), s.compacting.Seconds()*1e3, s.validating.Seconds()*1e3, s.processor(""))
	for _, share := range shares {
		text += fmt.Sprintf(" %s %.1f", share, s.processor(share))
	}
	return text
}

// watch follows the spout until it has made so many commits, and returns what
// they have cost in stretches of at least so many.
func (g *grower) watch(ctx context.Context, commits, every int) (list []stretch, err error) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var from grown
	for {
		seen, err := g.look(ctx)
		switch {
		case err != nil:
			return nil, err
		case from.at.IsZero() && seen.commits > 0:
			from = seen // the pod starts before
		case !from.at.IsZero() && (seen.commits-from.commits >= every || seen.commits >= commits && seen.commits > from.commits):
			how, err := g.finishingOf(ctx, seen.id)
			if err != nil {
				return nil, err
			}
			list = append(list, stretch{from, seen, g.files, how})
			fmt.Println(list[len(list)-1])
			from = seen
		}
		if seen.commits >= commits {
			return list, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C:
		}
	}
}

// line is a straight line through points, by least squares.
type line struct{ at0, slope float64 }

func fit(list []stretch, value func(stretch) float64) line {
	var n, x, y, xx, xy float64
	for _, s := range list {
		w := s.commits() // a longer stretch says more
		n, x, y = n+w, x+w*s.before(), y+w*value(s)
		xx, xy = xx+w*s.before()*s.before(), xy+w*s.before()*value(s)
	}
	if n*xx == x*x { // all is in one place
		return line{y / n, 0}
	}
	slope := (n*xy - x*y) / (n*xx - x*x)
	return line{(y - slope*x) / n, slope}
}

// recovery kills the runner, and returns how long the next one takes from its
// start to the start of its first commit.
func (g *grower) recovery(ctx context.Context) (time.Duration, error) {
	if _, err := g.AwaitUserCode(ctx, pachyderm.DefaultProject, g.name); err != nil {
		return 0, err
	}
	before, err := g.look(ctx)
	if err != nil {
		return 0, err
	}
	if err := g.KillUserCode(pachyderm.DefaultProject, g.name, syscall.SIGKILL); err != nil {
		return 0, err
	}
	if err := g.produce(ctx, 1); err != nil {
		return 0, err
	}
	if _, err := g.watch(ctx, before.commits+1, 1); err != nil {
		return 0, err
	}
	started, commits, err := g.sinceStart(ctx, g.branch, g.name)
	if err != nil || len(commits) == 0 {
		return 0, fmt.Errorf("no commit of the next runner: %w", err)
	}
	return commits[len(commits)-1].Started.Sub(started), nil
}

// sinceStart returns when the runner of a spout was started, and the commits
// since then, newest first.
func (d *deployment) sinceStart(ctx context.Context, branch *pachyderm.Branch, name string) (started time.Time, commits []*pachyderm.Commit, err error) {
	pids, err := d.UserCodePIDs(pachyderm.DefaultProject, name)
	if err != nil || len(pids) == 0 {
		return started, nil, fmt.Errorf("the runner of %s has ended: %w", name, err)
	}
	if started, err = startOf(pids[0]); err != nil {
		return started, nil, err
	}
	head, err := branch.Head(ctx)
	if err != nil || head == nil {
		return started, nil, err
	}
	err = branch.Ancestry(ctx, head.ID, func(c *pachyderm.Commit) bool {
		if c.Started.Before(started) {
			return false
		}
		commits = append(commits, c)
		return true
	})
	return started, commits, err
}

const (
	growthFiles      = 4    // of a small commit
	growthLargeFiles = 1000 // of a large one

	// A line is drawn through what was measured: it takes two stretches at least.
	leastGrowthCommits = 60
	leastGrowthFiles   = 15 * growthLargeFiles
)

// growth measures what commits cost as there get more of them, and more files.
func growth(ctx context.Context, b *bench) (measured []figures.Figure, err error) {
	if b.commits < leastGrowthCommits || b.files < leastGrowthFiles {
		return nil, fmt.Errorf("-commits is %d and -files %d: growth takes at least %d and %d", b.commits, b.files, leastGrowthCommits, leastGrowthFiles)
	}
	d, err := b.deployment(ctx)
	if err != nil {
		return nil, err
	}
	lower := func(name string, value float64, unit string, target *float64) {
		measured = append(measured, figures.Figure{Name: name, Value: value, Target: target, Better: figures.Lower, Unit: unit})
	}
	processor := func(share string) func(stretch) float64 {
		return func(s stretch) float64 { return s.processor(share) }
	}
	small, err := d.newGrower(ctx, "bench-growth", b.commits, ofFiles(growthFiles))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, small.stop(ctx)) }()
	list, err := small.watch(ctx, b.commits, max(25, b.commits/40))
	if err != nil {
		return nil, err
	}
	lower("growth_between_commits", fit(list, stretch.between).at0, "ms", nil)
	base := fit(list, processor(""))
	lower("growth_processor_per_commit", base.at0, "ms", nil)
	for _, share := range shares {
		of := fit(list, processor(share))
		lower("growth_processor_per_commit_"+share, of.at0, "ms", nil)
		fmt.Printf("%s: %.1f ms, and %.2f for each 1,000 files\n", share, of.at0, of.slope*1000)
	}
	if err := small.reads(ctx, lower); err != nil {
		return nil, err
	}

	large, err := d.newGrower(ctx, "bench-growth-files", b.files/growthLargeFiles, ofFiles(growthLargeFiles))
	if err != nil {
		return nil, err
	}
	list, err = large.watch(ctx, b.files/growthLargeFiles, max(5, b.files/growthLargeFiles/20))
	if err = errors.Join(err, large.stop(ctx)); err != nil {
		return nil, err
	}
	of := fit(list, processor(""))
	lower("growth_processor_per_file", (of.at0-base.at0)*1000/(growthLargeFiles-growthFiles), "µs", nil)
	lower("growth_processor_per_1000_files_before", of.slope*1000, "ms", nil)
	if b.hold {
		fmt.Printf("holding: process %d\n", os.Getpid())
		<-ctx.Done()
	}
	return measured, nil
}

// reads compares what looks at the spout, and the recovery of its runner, with
// small commits.
func (g *grower) reads(ctx context.Context, lower func(name string, value float64, unit string, target *float64)) error {
	commit, err := g.timeCommits(ctx, g.name+"-small", 1)
	if err != nil {
		return err
	}
	fmt.Printf("a small commit takes %v\n", commit.Round(time.Millisecond))
	took, err := g.readings(ctx)
	if err != nil {
		return err
	}
	var worst time.Duration
	for name, d := range took {
		if name != readingAll {
			worst = max(worst, d)
		}
	}
	recovery, err := g.recovery(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("the runner takes %v to go on\n", recovery.Round(time.Millisecond))
	lower("growth_slowest_read", float64(worst)/float64(commit), "small commits", figures.Target(2))
	lower("growth_position_show", float64(took[readingShow])/float64(commit), "small commits", figures.Target(2))
	lower("growth_recovery", float64(recovery)/float64(commit), "small commits", figures.Target(2))
	return nil
}
