// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// clock is the wall clock of a spout's runners, those to come included. Only a
// runner of artifacts.RunnerWithClock goes by it.
type clock struct {
	path  string
	ahead time.Duration
	moved bool          // since the runner was last asked the time
	was   time.Duration // ahead before that
}

func newClock(dir string) (*clock, error) {
	c := &clock{path: filepath.Join(dir, "clock")}
	return c, os.WriteFile(c.path, make([]byte, 8), 0o644)
}

// move sets the clock forward, or back if d is negative, at once: the file is
// memory of the runners.
func (c *clock) move(d time.Duration) error {
	file, err := os.OpenFile(c.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	c.was, c.ahead, c.moved = c.ahead, c.ahead+d, true
	_, err = file.Write(binary.NativeEndian.AppendUint64(nil, uint64(c.ahead)))
	return errors.Join(err, file.Close())
}

// moveClock sets the clock by some minutes to some days.
func (s *spout) moveClock(direction time.Duration) outcome {
	const shortest, longest = 2 * time.Minute, 3 * 24 * time.Hour
	d := time.Duration(float64(shortest) * math.Pow(float64(longest/shortest), s.random.Float64())).Round(time.Second)
	s.say("the runner's clock is set by %s", direction*d)
	return s.note(s.clock.move(direction * d))
}

// checkClock holds the time of the runner's last line in the log against the
// clock. It is about this campaign: a clock that did not jump proves nothing.
// The line of a commit comes a moment after the commit.
func (s *spout) checkClock(ctx context.Context) error {
	if !s.clock.moved {
		return nil
	}
	s.clock.moved = false
	path, err := s.Cluster.UserLogPath(pachyderm.DefaultProject, s.name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the runner's log has no line by a clock that is ahead by %s", s.clock.ahead))
	defer cancel()
	return poll(ctx, func() (bool, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return false, err
		}
		last := lastTime(string(text))
		away := func(ahead time.Duration) time.Duration { return time.Since(last.Add(-ahead)).Abs() }
		return !last.IsZero() && away(s.clock.ahead) <= away(s.clock.was), nil
	})
}

// lastTime returns the time of a runner's last line in the log of its pod, in
// which Pachyderm puts each line into one of its own.
func lastTime(text string) time.Time {
	lines := strings.Split(text, "\n")
	for _, line := range slices.Backward(lines) {
		var worker struct{ Message string }
		var own struct {
			Time time.Time `json:"@timestamp"`
		}
		if json.Unmarshal([]byte(line), &worker) == nil && json.Unmarshal([]byte(worker.Message), &own) == nil && !own.Time.IsZero() {
			return own.Time
		}
	}
	return time.Time{}
}
