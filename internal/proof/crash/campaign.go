// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
)

// Image is the name that the runner's image must have on the cluster.
const Image = "crash.local/spout-runner:latest"

// roundsPerSpout keeps histories short: Pachyderm and the audit look at all
// files of a repo for each commit.
const roundsPerSpout = 20

// Options say what a campaign does, and where.
type Options struct {
	Cluster *cluster.Cluster
	Runner  string // the runner's binary, for a second one beside the pod
	// MovableClock says that Runner and the one in the image were built by
	// artifacts.RunnerWithClock.
	MovableClock bool
	Source       string         // of SourceNames
	Broker       string         // program of artifacts.Broker for Kafka; "" for Apache Kafka
	Dir          string         // for the server's records, logs and sockets
	Disk         string         // file system of its own that Pachyderm keeps its data on, to be filled up; "" if there is none
	Seed         uint64         // decides what happens in which round
	Rounds       int            // faults, each with its recovery
	For          time.Duration  // no round begins after it; 0 for no such time
	Faults       *regexp.Regexp // matches the names of the faults to do; nil for all
	Log          io.Writer      // is told of each round
}

// Result is what a campaign has found.
type Result struct {
	Rounds, Records             int64
	Lost, Duplicated, Reordered int64
	Problems                    []string // with the invariant that is broken, if one is
}

// OK says whether nothing at all was wrong.
func (r *Result) OK() bool {
	return len(r.Problems) == 0 && r.Lost == 0 && r.Duplicated == 0 && r.Reordered == 0
}

func (r *Result) String() string {
	return fmt.Sprintf("crash: rounds %d, records %d, lost %d, duplicated %d, reordered %d",
		r.Rounds, r.Records, r.Lost, r.Duplicated, r.Reordered)
}

// campaign is a run of rounds.
type campaign struct {
	Options
	kind   kind
	random *rand.Rand
	deck   []fault // not dealt yet
	began  time.Time
	result Result
}

// Run does the rounds. The error is about doing them; what the runner did
// wrong is in the result.
func Run(ctx context.Context, o Options) (*Result, error) {
	kind, err := kindOf(o.Source)
	if err != nil {
		return nil, err
	}
	c := &campaign{Options: o, kind: kind, random: rand.New(rand.NewPCG(o.Seed, 0)), began: time.Now()}
	if len(c.possible()) == 0 {
		return nil, fmt.Errorf("no fault that can be done here has a name like %q", o.Faults)
	}
	c.say("%s, seed %d, %d rounds, %d kinds of faults", o.Source, o.Seed, o.Rounds, len(c.possible()))
	for done := 0; done < o.Rounds && len(c.result.Problems) == 0 && !c.over(); done += roundsPerSpout {
		if err := c.live(ctx, done/roundsPerSpout, min(roundsPerSpout, o.Rounds-done)); err != nil {
			return &c.result, err
		}
	}
	return &c.result, nil
}

// over says that no other round is to begin.
func (c *campaign) over() bool { return c.For > 0 && time.Since(c.began) > c.For }

func (c *campaign) say(format string, args ...any) {
	fmt.Fprintf(c.Log, "%6.1fs  %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

func (c *campaign) problem(format string, args ...any) {
	c.result.Problems = append(c.result.Problems, fmt.Sprintf(format, args...))
	c.say("PROBLEM: %s", c.result.Problems[len(c.result.Problems)-1])
}

// live does rounds on one spout, from its creation to the audit.
func (c *campaign) live(ctx context.Context, number, rounds int) (err error) {
	s, err := c.newSpout(ctx, number)
	if err != nil {
		return errors.Join(fmt.Errorf("%w\n%s", err, s.logTail()), s.close())
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for range rounds {
		f := c.deal()
		line, err := s.round(ctx, f)
		if err != nil {
			return fmt.Errorf("round %d, %s: %w\n%s", c.result.Rounds+1, f.name, err, s.logTail())
		}
		c.result.Rounds++
		c.say("round %d of %d: %s", c.result.Rounds, c.Rounds, line)
		if len(c.result.Problems) > 0 || c.over() {
			break
		}
	}
	return s.audit(ctx)
}

// possible lists the faults that this campaign can do and is to do.
func (c *campaign) possible() (out []fault) {
	for _, f := range slices.Concat(faults, kubernetesFaults) {
		if (f.possible == nil || f.possible(c)) && (c.Faults == nil || c.Faults.MatchString(f.name)) {
			out = append(out, f)
		}
	}
	return out
}

// deal returns the next fault: all of them, in an order of chance, and then
// all of them again.
func (c *campaign) deal() fault {
	if len(c.deck) == 0 {
		c.deck = c.possible()
		c.random.Shuffle(len(c.deck), func(i, j int) { c.deck[i], c.deck[j] = c.deck[j], c.deck[i] })
	}
	f := c.deck[0]
	c.deck = c.deck[1:]
	return f
}
