// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
)

// The processor time that a client takes for a record is that of a process of
// its own, which reads from a broker in another. Clients that are compared take
// short turns: what the machine does besides comes and goes, and is then the
// same for all of them. Each round has processes of its own: by where their
// memory lies, the same program takes some percent more or less.

// turnsOfRound is how many turns each client has in a round.
const turnsOfRound = 8

// roundTime is the most time that a round may take.
const roundTime = time.Minute

// workload is a client and what it reads.
type workload struct {
	client     string
	record     int // bytes
	batch      int // bytes
	partitions int
}

func (w workload) String() string {
	return fmt.Sprintf("%d B records, %d KiB batches, %d partitions: %s", w.record, w.batch>>10, w.partitions, w.client)
}

// cost is what a client takes for a record.
type cost struct {
	Nanoseconds float64 // of processor time
	Allocations float64
}

// child starts this program again, as another part of a measurement, and
// returns its input and output.
func child(ctx context.Context, arguments ...string) (process *exec.Cmd, input io.WriteCloser, output io.Reader, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	process = exec.CommandContext(ctx, program, arguments...)
	process.Stderr = os.Stderr
	if input, err = process.StdinPipe(); err != nil {
		return nil, nil, nil, err
	}
	if output, err = process.StdoutPipe(); err != nil {
		return nil, nil, nil, err
	}
	return process, input, output, process.Start()
}

// contender is a client at work, with a broker of its own.
type contender struct {
	input   io.Writer
	answers *json.Decoder
	so      used // far
	end     func() error
}

// contestant is what takes turns with others.
type contestant interface {
	fmt.Stringer
	// contend starts the contestant's processes, and returns when they are warm.
	contend(ctx context.Context) (*contender, error)
}

// contend implements [contestant].
func (w workload) contend(ctx context.Context) (c *contender, err error) {
	partitions := fmt.Sprint(w.partitions)
	broker, brokerInput, addresses, err := child(ctx, "-serve", fmt.Sprint(w.record), "-batch", fmt.Sprint(w.batch), "-partitions", partitions)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	endBroker := func() error { return errors.Join(brokerInput.Close(), broker.Wait()) }
	var address string
	if _, err := fmt.Fscanln(addresses, &address); err != nil {
		return nil, errors.Join(fmt.Errorf("the broker did not start: %w", err), endBroker())
	}
	client, input, output, err := child(ctx, "-consume", w.client, "-brokers", address, "-partitions", partitions)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", w.client, err), endBroker())
	}
	c = &contender{input: input, answers: json.NewDecoder(output),
		end: func() error { return errors.Join(input.Close(), client.Wait(), endBroker()) }}
	if err := c.answers.Decode(&c.so); err != nil {
		return nil, errors.Join(fmt.Errorf("%s ended early: %w", w.client, err), c.end())
	}
	return c, nil
}

// turn lets the client read for a while, and returns what a record cost.
func (c *contender) turn() (cost, error) {
	before := c.so
	if _, err := io.WriteString(c.input, "\n"); err != nil {
		return cost{}, err
	}
	if err := c.answers.Decode(&c.so); err != nil {
		return cost{}, err
	}
	n := float64(c.so.Records - before.Records)
	return cost{Nanoseconds: float64((c.so.Processor - before.Processor).Nanoseconds()) / n,
		Allocations: float64(c.so.Allocations-before.Allocations) / n}, nil
}

// compare lets clients take turns, and returns what each took in each turn.
func compare[C contestant](ctx context.Context, rounds int, workloads ...C) ([][]cost, error) {
	costs := make([][]cost, len(workloads))
	for round := range rounds {
		took, err := compareOnce(ctx, workloads)
		if err != nil {
			return nil, err
		}
		for i, w := range workloads {
			costs[i] = append(costs[i], took[i]...)
			fmt.Printf("%s takes %.0f ns and %.4f allocations a record in round %d\n", w,
				figures.Median(nanoseconds(took[i])), figures.Median(allocations(took[i])), round+1)
		}
	}
	return costs, nil
}

// compareOnce is a round of compare.
func compareOnce[C contestant](ctx context.Context, workloads []C) (costs [][]cost, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	var all []*contender
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.end())
		}
	}()
	for _, w := range workloads {
		c, err := w.contend(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	costs = make([][]cost, len(all))
	for range turnsOfRound {
		for i, c := range all {
			took, err := c.turn()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", workloads[i], err)
			}
			costs[i] = append(costs[i], took)
		}
	}
	return costs, nil
}

func nanoseconds(costs []cost) (values []float64) {
	for _, c := range costs {
		values = append(values, c.Nanoseconds)
	}
	return values
}

func allocations(costs []cost) (values []float64) {
	for _, c := range costs {
		values = append(values, c.Allocations)
	}
	return values
}

// ratio returns the median of what a takes in relation to b, turn by turn.
func ratio(a, b []cost) float64 {
	var values []float64
	for i := range a {
		values = append(values, a[i].Nanoseconds/b[i].Nanoseconds)
	}
	return figures.Median(values)
}

// processorTime compares the runner with other clients, and with itself at
// many partitions. Batches have 1 MiB, and 8 KiB where the number of
// partitions is compared. All partitions have more to read than an answer holds.
func processorTime(ctx context.Context, b *bench) ([]figures.Figure, error) {
	const large, small = 1 << 20, 8 << 10
	short, err := compare(ctx, b.rounds, workload{"runner", 100, large, 4}, workload{"franz-go", 100, large, 4}, workload{"kafka-go", 100, large, 4})
	if err != nil {
		return nil, err
	}
	long, err := compare(ctx, b.rounds, workload{"runner", 1024, large, 4}, workload{"franz-go", 1024, large, 4})
	if err != nil {
		return nil, err
	}
	spread, err := compare(ctx, 4*b.rounds, workload{"runner", 100, small, 1000}, workload{"runner", 100, small, 4})
	if err != nil {
		return nil, err
	}
	lower := func(name string, value float64, unit string, target *float64) figures.Figure {
		return figures.Figure{Name: name, Value: value, Target: target, Better: figures.Lower, Unit: unit}
	}
	return []figures.Figure{
		lower("cpu_per_record_100B", figures.Median(nanoseconds(short[0])), "ns", nil),
		lower("cpu_to_franz_go_100B", ratio(short[0], short[1]), "ratio", figures.Target(1.0/3)),
		lower("cpu_to_kafka_go_reader_100B", ratio(short[0], short[2]), "ratio", figures.Target(0.1)),
		lower("cpu_per_record_1024B", figures.Median(nanoseconds(long[0])), "ns", nil),
		lower("cpu_to_franz_go_1024B", ratio(long[0], long[1]), "ratio", nil), // three copies of the bytes, and little else
		lower("cpu_1000_partitions_to_4", ratio(spread[0], spread[1]), "ratio", figures.Target(1.2)),
		lower("allocations_per_record", figures.Median(allocations(short[0])), "count", figures.Target(0.01)),
	}, nil
}
