// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

const (
	consumedTopic = "bench"
	turnTime      = 400 * time.Millisecond
	// Until the buffers that a client uses again have all been in use once,
	// what counts is the kernel that gives memory. Time alone does not tell,
	// with other processes about.
	warmUp        = 700 * time.Millisecond
	warmUpRecords = 3_000_000
	// How often a client looks at the clock, which also takes time.
	recordsPerLook = 5_000
)

// consumers are the clients that are compared, by name. Each counts the
// records that it has read until its context ends.
var consumers = map[string]func(ctx context.Context, brokers []string, partitions int, count func(records int)) error{
	"runner":   consumeRunner,
	"franz-go": consumeFranz,
	"kafka-go": consumeReader,
}

// beBroker is the process of the broker: it writes its address and serves
// canned batches that never end, until its input does.
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

// used is what a client has used since it was started.
type used struct {
	Records     int
	Processor   time.Duration // the kernel's included
	Allocations uint64
}

// beClient is the process of a client. Once it is warm, and after each turn,
// it rests, writes what it has used, and waits for a line that starts a turn.
func beClient(ctx context.Context, client string, brokers []string, partitions int, profile string) error {
	stopProfile, err := startProfile(profile)
	if err != nil {
		return err
	}
	defer stopProfile()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	turns, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	records, least, until := 0, warmUpRecords, time.Now().Add(warmUp)
	var failure error
	err = consumers[client](ctx, brokers, partitions, func(n int) {
		if records += n; records < least {
			return
		}
		if least = records + recordsPerLook; time.Now().Before(until) || ctx.Err() != nil {
			return
		}
		rest()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		failure = answers.Encode(used{Records: records, Processor: processor(), Allocations: m.Mallocs})
		if failure != nil || !turns.Scan() {
			stop()
		}
		until = time.Now().Add(turnTime)
	})
	if failure == nil && ctx.Err() == nil {
		failure = err
	}
	return failure
}

// startProfile profiles this process until stop is called; no file, no profile.
func startProfile(name string) (stop func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		file.Close() //nolint:errcheck // a profile that is cut off says so itself
	}, nil
}

// rest blocks until this process does nothing any more: a client reads ahead
// of what is asked of it, which is to be its own time and not the next one's.
func rest() {
	for before := processor(); ; {
		time.Sleep(10 * time.Millisecond)
		now := processor()
		if now-before < time.Millisecond {
			return
		}
		before = now
	}
}

// processor returns the processor time that this process has used.
func processor() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err) // it has no way to fail
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
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
	type open struct {
		stream source.Stream
		file   encode.File
	}
	files, size := []open{}, 0 // by index, as runner/ingest looks them up
	for {
		chunk, err := src.Next(ctx)
		if err != nil {
			return err
		}
		if len(chunk.Records) > 0 {
			if more := chunk.Index + 1 - len(files); more > 0 {
				files = append(files, make([]open, more)...)
			}
			at := &files[chunk.Index]
			if at.file == nil || at.stream != chunk.Stream {
				at.stream, at.file = chunk.Stream, encoder.NewFile(encode.Place{Stream: chunk.Stream})
			}
			before := at.file.Size()
			if _, err := at.file.Append(chunk.Records, batchBytes); err != nil {
				return err
			}
			if size += at.file.Size() - before; size >= batchBytes {
				for _, open := range files {
					if open.file == nil {
						continue
					}
					if err := open.file.Write(func(string, ...[]byte) error { return nil }); err != nil {
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
