// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// tick is how often records are produced and the branch is looked at.
const tick = 100 * time.Millisecond

// ingest produces, shows commits arriving, kills the runner halfway, and ends
// once everything that was produced is in a finished commit.
func (d *demo) ingest(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	produced := make(chan struct{})
	group.Go(func() error {
		defer close(produced)
		return d.produce(ctx)
	})
	group.Go(func() error { return d.killRunner(ctx) })
	group.Go(func() error { return d.watch(ctx, produced) })
	return group.Wait()
}

func (d *demo) produce(ctx context.Context) error {
	next, closeInput, err := d.values()
	if err != nil {
		return err
	}
	defer closeInput()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	total := int64(0)
	for done := false; !done; {
		var batch []*kgo.Record
		for range max(d.rate/int(time.Second/tick), 1) {
			value, ok := next()
			if !ok {
				done = true
				break
			}
			batch = append(batch, &kgo.Record{Topic: topic, Partition: int32(total % partitions), Value: []byte(value)})
			total++
		}
		if err := d.broker.Produce(ctx, d.taken, batch...); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	d.say("all %d records are produced", total)
	return nil
}

func (d *demo) taken(topic string, partition int32, offset int64, value string) {
	d.produced.Add(source.Stream{Name: topic, Partition: partition}, offset, value)
}

// values returns a function that yields the records' values.
func (d *demo) values() (next func() (string, bool), closeInput func(), err error) {
	if d.input == "" {
		left, n := d.rate*d.seconds, 0
		return func() (string, bool) {
			n++
			return fmt.Sprintf(`{"order":%d,"item":"item-%d","amount":%d.50,"note":%q}`, n, n%97, n%500, strings.Repeat("x", n%64)), n <= left
		}, func() {}, nil
	}
	file, err := os.Open(d.input)
	if err != nil {
		return nil, nil, fmt.Errorf("DEMO_INPUT: %w", err)
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	return func() (string, bool) {
		if lines.Scan() {
			return lines.Text(), true
		}
		return "", false
	}, func() { file.Close() }, nil //nolint:errcheck // only read
}

// killRunner kills the runner with SIGKILL once a few commits are there.
func (d *demo) killRunner(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for commits := 0; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		head, err := d.branch.Head(ctx)
		if err != nil {
			return err
		}
		if commits = 0; head != nil {
			if err := d.branch.Ancestry(ctx, head.ID, func(*pachyderm.Commit) bool { commits++; return true }); err != nil {
				return err
			}
		}
		if commits < 6 {
			continue
		}
		err = d.cluster.KillUserCode(pachyderm.DefaultProject, spout, syscall.SIGKILL)
		if errors.Is(err, os.ErrProcessDone) {
			continue
		}
		if err == nil {
			d.say("killed the runner with SIGKILL; Pachyderm will start it again in 5 to 22 s")
		}
		return err
	}
}

// watch prints each commit once it is finished, and ends when all is in.
func (d *demo) watch(ctx context.Context, produced <-chan struct{}) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	w := watcher{demo: d, shown: map[string]bool{}, at: time.Now()}
	for {
		done, err := w.look(ctx)
		if err != nil {
			return err
		}
		select {
		case <-produced:
			if done {
				return nil
			}
		default:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

type watcher struct {
	*demo
	shown   map[string]bool
	records int64
	at      time.Time // of the last commit shown
}

// look shows the commits that are new since the last look. done says whether
// the newest one holds everything that has been produced so far.
func (w *watcher) look(ctx context.Context) (done bool, err error) {
	head, err := w.branch.Head(ctx)
	if err != nil || head == nil {
		return false, err
	}
	var fresh []*pachyderm.Commit
	err = w.branch.Ancestry(ctx, head.ID, func(c *pachyderm.Commit) bool {
		if w.shown[c.ID] {
			return false
		}
		fresh = append(fresh, c)
		return true
	})
	if err != nil {
		return false, err
	}
	for i := len(fresh) - 1; i >= 0; i-- {
		c := fresh[i]
		if c.Finished.IsZero() {
			return false, nil
		}
		w.shown[c.ID] = true
		if err := w.show(c); err != nil {
			return false, err
		}
	}
	last, d, err := ingest.LastCommit(ctx, w.branch)
	if err != nil || last == nil {
		return false, err
	}
	return w.produced.Reached(d.Position)
}

func (w *watcher) show(c *pachyderm.Commit) error {
	d, ours, err := spoutcommit.ParseDescription(c.Description)
	switch {
	case err != nil:
		return err
	case c.Error != "":
		w.say("commit %.8s  rolled back: %s", c.ID, c.Error)
		return nil
	case !ours:
		w.say("commit %.8s  made by Pachyderm", c.ID)
		return nil
	}
	now := time.Now()
	rate := float64(d.Written) / now.Sub(w.at).Seconds()
	w.records, w.at = w.records+d.Written, now
	offsets, err := w.produced.Offsets(d.Position)
	if err != nil {
		return err
	}
	var ends []int64 // of the partitions, after this commit
	for partition := range int32(partitions) {
		ends = append(ends, offsets[source.Stream{Name: topic, Partition: partition}])
	}
	w.say("commit %.8s  %6d records  %2d files  %7d bytes  %6.0f records/s  lag %-5d  offsets %v  (%s)",
		c.ID, d.Written, d.Files, d.Bytes, rate, w.produced.Count()-w.records, ends, d.Reason)
	return nil
}
