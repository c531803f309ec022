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
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

// The processor time that a client takes for a record is that of a process of
// its own, which reads from a broker in another: canned batches that never end.
// They have 1 MiB, and 8 KiB where the number of partitions is compared: the
// broker puts one of each partition into every answer.
const (
	consumedTopic = "bench"
	measured      = 2 * time.Second
	// Until the buffers that a client uses again have all been in use once,
	// what counts is the kernel that gives memory. Time alone does not tell,
	// with other processes about.
	warmUp        = 700 * time.Millisecond
	warmUpRecords = 3_000_000
)

// consumers are the clients that are compared, by name. Each counts the
// records that it has read until its context ends.
var consumers = map[string]func(ctx context.Context, brokers []string, partitions int, count func(records int)) error{
	"runner":   consumeRunner,
	"franz-go": consumeFranz,
	"kafka-go": consumeReader,
}

// cost is what a client takes for a record.
type cost struct {
	Nanoseconds float64 // of processor time, the kernel's included
	Allocations float64
	Rate        float64 // records a second, the broker having its share of the processors
}

// beBroker is the process of the broker: it writes its address and serves
// until its input ends.
func beBroker(recordBytes, batchBytes, partitions int) error {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(int32(partitions), consumedTopic),
		kfake.SyntheticFetch(kfake.SyntheticBatch{RecordBytes: recordBytes, Records: batchBytes / recordBytes, RandomFrac: 0.3}))
	if err != nil {
		return err
	}
	defer broker.Close()
	fmt.Println(strings.Join(broker.ListenAddrs(), ","))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// beClient is the process of a client: it writes what a record costs.
func beClient(ctx context.Context, client string, brokers []string, partitions int, profile string) error {
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // a profile that is cut off says so itself
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	records, total, began := 0, 0, time.Now()
	var before, after taken
	failure := consumers[client](ctx, brokers, partitions, func(n int) {
		total += n
		switch {
		case before.at.IsZero() && total > warmUpRecords && time.Since(began) > warmUp:
			before, records = used(), total
		case !before.at.IsZero() && after.at.IsZero() && time.Since(before.at) > measured:
			after, records = used(), total-records
			stop()
		}
	})
	if after.at.IsZero() {
		return fmt.Errorf("%s ended early: %w", client, failure)
	}
	n := float64(records)
	return json.NewEncoder(os.Stdout).Encode(cost{
		Nanoseconds: float64((after.processor - before.processor).Nanoseconds()) / n,
		Allocations: float64(after.allocations-before.allocations) / n,
		Rate:        n / after.at.Sub(before.at).Seconds(),
	})
}

// taken is what this process has used so far.
type taken struct {
	at          time.Time
	processor   time.Duration
	allocations uint64
}

func used() taken {
	var r syscall.Rusage
	var m runtime.MemStats
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err) // it has no way to fail
	}
	runtime.ReadMemStats(&m)
	return taken{at: time.Now(), processor: time.Duration(r.Utime.Nano() + r.Stime.Nano()), allocations: m.Mallocs}
}

// consumeRunner fetches and decodes as the runner does, and makes files of
// lines that nobody gets.
func consumeRunner(ctx context.Context, brokers []string, _ int, count func(int)) error {
	s := settings.Default()
	s.Kafka.Brokers, s.Kafka.Topics = brokers, []string{consumedTopic}
	encoder, err := encode.NewEncoder(s)
	if err != nil {
		return err
	}
	src := kafka.New(s.Kafka, ingest.SourceShare(s), hclog.NewNullLogger())
	defer src.Close() //nolint:errcheck // a measurement
	if err := src.Open(ctx, nil); err != nil {
		return err
	}
	files, size := map[source.Stream]encode.File{}, 0
	for {
		chunk, err := src.Next(ctx)
		if err != nil {
			return err
		}
		if len(chunk.Records) > 0 {
			file := files[chunk.Stream]
			if file == nil {
				file = encoder.NewFile(encode.Place{Stream: chunk.Stream})
				files[chunk.Stream] = file
			}
			before := file.Size()
			if _, err := file.Append(chunk.Records, batchBytes); err != nil {
				return err
			}
			if size += file.Size() - before; size >= batchBytes {
				for _, file := range files {
					if err := file.Write(func(string, ...[]byte) error { return nil }); err != nil {
						return err
					}
				}
				clear(files)
				size = 0
			}
		}
		n := len(chunk.Records)
		src.Consume(chunk, n)
		chunk.Release()
		count(n)
	}
}

// consumeFranz polls, with the defaults and without making anything of it.
func consumeFranz(ctx context.Context, brokers []string, _ int, count func(int)) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(consumedTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		n := 0
		fetches.EachRecord(func(*kgo.Record) { n++ })
		count(n)
	}
	return ctx.Err()
}

// consumeReader reads all partitions, one Reader each, as kafka-go does for
// consumer groups, with the defaults and without making anything of it.
func consumeReader(ctx context.Context, brokers []string, partitions int, count func(int)) error {
	counts, failures := make(chan int, partitions), make(chan error, partitions)
	for partition := range partitions {
		go func() {
			r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: brokers, Topic: consumedTopic, Partition: partition, MaxBytes: 8 << 20})
			defer r.Close() //nolint:errcheck // a measurement
			for n := 1; ; n++ {
				if _, err := r.ReadMessage(ctx); err != nil {
					failures <- err
					return
				}
				if n == 1000 {
					counts <- n
					n = 0
				}
			}
		}()
	}
	for {
		select {
		case n := <-counts:
			count(n)
		case err := <-failures:
			return err
		}
	}
}

// child starts this program again, as another part of a measurement.
func child(ctx context.Context, arguments ...string) *exec.Cmd {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Stderr = os.Stderr
	return cmd
}

// measureClient returns what a client takes for a record.
func measureClient(ctx context.Context, client string, recordBytes, batchBytes, partitions int) (c cost, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	broker := child(ctx, "-serve", fmt.Sprint(recordBytes), "-batch", fmt.Sprint(batchBytes), "-partitions", fmt.Sprint(partitions))
	input, err := broker.StdinPipe()
	if err != nil {
		return c, err
	}
	output, err := broker.StdoutPipe()
	if err != nil {
		return c, err
	}
	if err := broker.Start(); err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, input.Close(), broker.Wait()) }()
	var addresses string
	if _, err := fmt.Fscanln(output, &addresses); err != nil {
		return c, fmt.Errorf("the broker did not start: %w", err)
	}
	answer, err := child(ctx, "-consume", client, "-brokers", addresses, "-partitions", fmt.Sprint(partitions)).Output()
	if err != nil {
		return c, fmt.Errorf("%s: %w", client, err)
	}
	return c, json.Unmarshal(answer, &c)
}

// processorTime compares the clients, in rounds that take turns.
func processorTime(ctx context.Context, b *bench) ([]figures.Figure, error) {
	type run struct {
		client                   string
		record, batch, partition int
	}
	const large, small = 1 << 20, 8 << 10
	few, many := run{"runner", 100, small, 4}, run{"runner", 100, small, 1000}
	runs := []run{{"runner", 100, large, 4}, {"franz-go", 100, large, 4}, {"kafka-go", 100, large, 4},
		{"runner", 1024, large, 4}, {"franz-go", 1024, large, 4},
		few, many, few, many, few, many} // they differ by less than one does from itself at another time
	costs := map[run][]cost{}
	for round := range b.rounds {
		for _, r := range runs {
			c, err := measureClient(ctx, r.client, r.record, r.batch, r.partition)
			if err != nil {
				return nil, err
			}
			fmt.Printf("%d B records, %d KiB batches, %d partitions, round %d: %s takes %.0f ns and %.4f allocations a record\n",
				r.record, r.batch>>10, r.partition, round+1, r.client, c.Nanoseconds, c.Allocations)
			costs[r] = append(costs[r], c)
		}
	}
	value := func(r run, of func(cost) float64) float64 {
		var values []float64
		for _, c := range costs[r] {
			values = append(values, of(c))
		}
		return figures.Median(values)
	}
	nanoseconds := func(c cost) float64 { return c.Nanoseconds }
	ratio := func(a, b run) float64 {
		var values []float64
		for i := range costs[a] {
			values = append(values, costs[a][i].Nanoseconds/costs[b][i].Nanoseconds)
		}
		return figures.Median(values)
	}
	lower := func(name string, value float64, unit string, target *float64) figures.Figure {
		return figures.Figure{Name: name, Value: value, Target: target, Better: figures.Lower, Unit: unit}
	}
	return []figures.Figure{
		lower("cpu_per_record_100B", value(runs[0], nanoseconds), "ns", nil),
		lower("cpu_to_franz_go_100B", ratio(runs[0], runs[1]), "ratio", figures.Target(1.0/3)),
		lower("cpu_to_kafka_go_reader_100B", ratio(runs[0], runs[2]), "ratio", figures.Target(0.1)),
		lower("cpu_per_record_1024B", value(runs[3], nanoseconds), "ns", nil),
		lower("cpu_to_franz_go_1024B", ratio(runs[3], runs[4]), "ratio", nil), // three copies of the bytes, and little else
		lower("cpu_1000_partitions_to_4", ratio(many, few), "ratio", figures.Target(1.2)),
		lower("allocations_per_record", value(runs[0], func(c cost) float64 { return c.Allocations }), "count", figures.Target(0.01)),
	}, nil
}
