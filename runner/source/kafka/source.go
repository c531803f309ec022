// SPDX-License-Identifier: Apache-2.0

// Package kafka reads the partitions of some topics of a Kafka cluster: all of
// them, or the share that several spouts have agreed upon.
//
// One goroutine, the supervisor, keeps the table of partitions in accord with
// the cluster's metadata and settles where each partition is read from: the
// configured start, the position that was given, or what the policies say if
// that no longer exists. For each broker there are two goroutines: one fetches
// the partitions that the broker leads, the other decodes what came. A
// partition is in the care of one of them at a time:
//
//	start ──► (announce) ──► fetch ◄──► check ──► announce ──► fetch
//	 │ where does it begin?    │ any error: look  │ it goes on elsewhere:
//	 │ ask its leader          │ at the metadata  │ say so in a chunk that
//	 │                         │ and the log      │ has no record
//
// The mechanisms of SASL are those of segmentio/kafka-go; its Reader is not
// used, since it delivers what was aborted, checks no checksum, stalls at
// compacted tails and passes over lost records without a word.
package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Source is a [source.Source] of Kafka topics.
type Source struct {
	config       settings.Kafka
	wants        func(topic string) bool
	log          hclog.Logger
	complain     complaints
	dialer       *dialer
	invalid      error         // what is wrong with config
	fetchBytes   int           // most bytes to ask of a broker at once
	fetchWait    time.Duration // most that a broker may wait for records
	maxBatch     int           // most bytes of a record batch
	fetchVersion int16         // newest version of the fetch request to use
	memory       *memory
	bounds       bounds
	counters     counters
	troubles     troubles
	chunks       chan *source.Chunk
	control      control
	kicked       chan struct{} // tells the supervisor to look at the table
	position     *position     // of the consumer; no lock, see source.Source
	patience     time.Duration // see checkPatience
	publisher    *publisher    // nil if offsets are not published
	opened       bool
	samePattern  bool // the position was made with the pattern that is set
	resharded    bool // the position was made with another shard
	group        errgroup.Group
	done         chan struct{} // closed when all goroutines have ended
	cancel       context.CancelFunc
	stopFetching context.CancelFunc
	fetching     context.Context
	running      context.Context

	table table
}

var _ source.Source = (*Source)(nil)

// Option changes how a Source works.
type Option func(*options)

type options struct {
	dial dialFunc
}

// WithDial makes the source open its network connections with dial, in place
// of [net.Dialer.DialContext]. TLS and SASL come on top.
func WithDial(dial dialFunc) Option { return func(o *options) { o.dial = dial } }

// chunkQueue is how many chunks may wait for Next. Memory is what really
// limits them.
const chunkQueue = 64

// The fetch request has whole milliseconds, where 0 is not to wait at all, and
// sizes of 31 bits. Settings beyond these are brought back to them.
const (
	maxFetchBytes = 1 << 30
	minFetchWait  = time.Millisecond
	maxFetchWait  = time.Minute
)

// aroundRecords is room beside a record of the size that a batch may have by
// default, a round one: for its head, key and headers.
const aroundRecords = 64 << 10

// Make is a [source.New].
func Make(s settings.Settings, o source.Options) (source.Source, error) {
	return New(s.Kafka, o.Memory, o.Log), nil
}

// New returns a source that reads as config says and that keeps what it
// fetched and what the caller did not release yet under memory. What is wrong
// with config is an error of Open.
func New(config settings.Kafka, memory settings.Bytes, log hclog.Logger, opts ...Option) *Source {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	s := &Source{
		config:       config,
		wants:        config.Selector(),
		log:          log,
		complain:     complaints{log: log},
		memory:       newMemory(int64(memory)),
		bounds:       boundsOf(memory),
		fetchVersion: newestKnown[kmsg.Fetch.Int16()],
		fetchBytes:   int(min(config.FetchMaxBytes, max(memory/2, 64<<10), maxFetchBytes)),
		maxBatch:     int(min(config.MaxBatchBytes, memory)),
		fetchWait:    min(max(config.FetchMaxWait.Std(), minFetchWait), maxFetchWait),
		chunks:       make(chan *source.Chunk, chunkQueue),
		kicked:       make(chan struct{}, 1),
		done:         make(chan struct{}),
		position:     positions.New(),
		patience:     checkPatience,
		cancel:       func() {},
	}
	if config.GroupID != "" {
		s.publisher = newPublisher(s, config.GroupID)
	}
	if s.maxBatch == 0 {
		s.maxBatch = int(memory/2) + aroundRecords
	}
	s.table.init()
	s.dialer, s.invalid = newDialer(config, s.memory, o.dial)
	return s
}

// Traits implements [source.Source].
func (s *Source) Traits() source.Traits { return source.Traits{Kind: source.Replay} }

// Open implements [source.Source]. It returns once every topic exists and the
// start of every partition is known. Topics that position knows are not waited
// for very long; they go on where they were when they can be read again.
func (s *Source) Open(ctx context.Context, raw json.RawMessage) error {
	if s.invalid != nil {
		return &source.Stop{Err: s.invalid}
	}
	if s.opened {
		return errors.New("kafka: opened twice")
	}
	s.opened = true
	if raw != nil {
		position, err := positions.Parse(raw)
		if err != nil {
			return stopf("the position in the output branch is not one of a Kafka source: %w; use another output branch, or restore the one that this spout wrote", err)
		}
		s.position = position
		if err := s.checkShard(); err != nil {
			return err
		}
		s.samePattern = s.config.Pattern != "" && s.config.Pattern == position.Pattern
	}
	s.position.Shard, s.position.Pattern = s.shard(), s.config.Pattern
	if err := s.prepare(ctx); err != nil {
		s.control.close()
		return err
	}
	s.running, s.cancel = context.WithCancel(context.Background())
	s.fetching, s.stopFetching = context.WithCancel(s.running)
	s.group.Go(func() error {
		defer s.control.close()
		return s.supervise(s.fetching)
	})
	if s.publisher != nil {
		s.group.Go(func() error { return s.publisher.run(s.fetching) })
		if raw != nil {
			s.publisher.offer(raw)
		}
	}
	go func() {
		_ = s.group.Wait() // why it ended is in the table
		close(s.done)
	}()
	return nil
}

// Next implements [source.Source].
func (s *Source) Next(ctx context.Context) (*source.Chunk, error) {
	select {
	case chunk := <-s.chunks:
		return chunk, nil
	default:
	}
	select {
	case chunk := <-s.chunks:
		return chunk, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.done:
	}
	select {
	case chunk := <-s.chunks: // what was read before the end still counts
		return chunk, nil
	default:
		return nil, s.reason()
	}
}

// Consume implements [source.Source]. The epoch of a chunk is the newest leader
// epoch seen in it.
func (s *Source) Consume(chunk *source.Chunk, n int) {
	m := mark{Next: chunk.Next, Epoch: chunk.Epoch}
	if n < len(chunk.Records) {
		if n == 0 {
			return
		}
		m.Next = chunk.Records[n-1].Offset + 1
	}
	p := chunk.Origin.(*partition)
	if !p.marked {
		if p.marked = s.enter(p); !p.marked {
			return // a topic that is no more
		}
	}
	if m.Epoch < 0 && p.mark.Next == m.Next {
		m.Epoch = p.mark.Epoch
	}
	if len(chunk.Records) == 0 {
		m = p.mark.After(m.Next, m.Epoch)
	}
	p.mark = m
	s.table.consumed(p, m.Next, chunk.Records[:min(n, len(chunk.Records))])
}

// enter makes a partition's mark a part of the position, unless a topic that
// was made later bears its name there.
func (s *Source) enter(p *partition) bool {
	t := s.position.Topics[p.stream.Name]
	if t != nil && p.stream.Generation < t.Generation {
		return false
	}
	if t == nil || t.Generation != p.stream.Generation {
		t = &topicPosition{ID: s.table.identity(p), Generation: p.stream.Generation, Partitions: map[int32]*mark{}}
		s.position.Topics[p.stream.Name] = t
	}
	p.mark = mark{Next: p.begin(), Epoch: -1} // until it is set
	if m := t.Partitions[p.stream.Partition]; m != nil {
		p.mark = *m
	}
	t.Partitions[p.stream.Partition] = &p.mark
	return true
}

// Position implements [source.Source]; see the type position for its form.
func (s *Source) Position() json.RawMessage {
	raw := s.position.Render()
	s.table.sent(raw)
	return raw
}

// Acknowledge implements [source.Source]. Kafka needs no acknowledgement: its
// retention does not depend on what was read. The lag does, and if there is a
// group id, the position is published as offsets of that group.
func (s *Source) Acknowledge(_ context.Context, position json.RawMessage) {
	s.table.durable(position)
	if s.publisher != nil {
		s.publisher.offer(position)
	}
}

// Close implements [source.Source]. Chunks that Next returned stay valid until
// they are released.
func (s *Source) Close() error {
	s.cancel()
	if s.running == nil {
		return nil
	}
	<-s.done
	for {
		select {
		case chunk := <-s.chunks:
			chunk.Release()
		default:
			return nil
		}
	}
}

// fail ends reading; Next returns err after what was read before.
func (s *Source) fail(err error) {
	s.table.mu.Lock()
	if s.table.failure == nil {
		s.table.failure = err
	}
	s.table.mu.Unlock()
	s.stopFetching()
}

// reason returns why reading ended.
func (s *Source) reason() error {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	if s.table.failure != nil {
		return s.table.failure
	}
	return fmt.Errorf("kafka: the source is closed")
}

// kick makes the supervisor look at the table.
func (s *Source) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// push hands a chunk to Next.
func (s *Source) push(ctx context.Context, chunk *source.Chunk) error {
	select {
	case s.chunks <- chunk: // with room for it, as mostly, this costs half
		return nil
	default:
	}
	select {
	case s.chunks <- chunk:
		return nil
	case <-ctx.Done():
		chunk.Release()
		return ctx.Err()
	}
}
