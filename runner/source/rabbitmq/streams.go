// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/semaphore"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq/wire"
)

// Streams is a [source.Source] of streams.
type Streams struct {
	config  settings.RabbitMQ
	log     hclog.Logger
	dialer  *dialer
	invalid error // what is wrong with config

	memory   int64
	raw      *semaphore.Weighted // for chunks as they came
	unpacked *semaphore.Weighted // for batches that were compressed
	unpack   sync.Mutex          // of who takes of it, so that nobody waits for another who waits
	held     atomic.Int64
	pool     sync.Pool   // of *streamChunk
	blocks   sync.Pool   // of *block, for chunks as they came
	reader   wire.Reader // unpacks with the lock of unpack

	chunks   chan *source.Chunk
	position *positions.Position // of the consumer; no lock, see source.Source
	ctx      context.Context
	cancel   context.CancelFunc
	group    sync.WaitGroup
	opened   bool
	failed   chan struct{} // closed when reading has ended for good

	mu      sync.Mutex
	failure error
	parts   map[string]*part
	sent    []sentOffsets
	trouble source.Trouble // of what is not one stream's
	totals  source.Totals
}

var (
	_ source.Source   = (*Streams)(nil)
	_ source.Observed = (*Streams)(nil)
)

// chunkQueue is how many chunks may wait for Next. Memory is what really
// limits them.
const chunkQueue = 64

func newStreams(config settings.RabbitMQ, o source.Options) *Streams {
	s := &Streams{config: config, log: o.Log, memory: int64(o.Memory) / 2, chunks: make(chan *source.Chunk, chunkQueue), cancel: func() {},
		failed: make(chan struct{}), parts: map[string]*part{}}
	s.raw, s.unpacked = semaphore.NewWeighted(s.memory), semaphore.NewWeighted(s.memory)
	s.pool.New = func() any { return &streamChunk{source: s} }
	s.blocks.New = func() any { return &block{} }
	s.dialer, s.invalid = newDialer(config)
	return s
}

// Traits implements [source.Source].
func (*Streams) Traits() source.Traits { return source.Traits{Kind: source.Replay} }

// Open implements [source.Source]. It returns once every stream is there, if
// there is no position yet. Those that a position knows are not waited for.
func (s *Streams) Open(ctx context.Context, raw json.RawMessage) error {
	if s.invalid != nil {
		return &source.Stop{Err: s.invalid}
	}
	if s.opened {
		return errors.New("rabbitmq: opened twice")
	}
	s.opened = true
	s.position = &positions.Position{VHost: s.config.VHost, Streams: map[string]*positions.Stream{}}
	if raw != nil {
		if err := s.resume(raw); err != nil {
			return err
		}
	}
	names, err := s.await(ctx, raw == nil)
	if err != nil {
		return err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, name := range names {
		s.add(name)
	}
	if len(s.config.SuperStreams) > 0 {
		s.group.Go(s.discover)
	}
	return nil
}

// resume takes a position.
func (s *Streams) resume(raw json.RawMessage) error {
	position, err := positions.Parse(raw)
	switch {
	case err != nil:
		return stopf("the position in the output branch is not one of RabbitMQ: %w; use another output branch, or restore the one that this spout wrote", err)
	case position.Streams == nil:
		return stopf("the position in the output branch is of queues, and streams are read now; use another output branch for them")
	case position.VHost != s.config.VHost && s.config.OnReset == "restart":
		s.log.Warn("the virtual host is another one; streams are read from their beginning", "was", position.VHost, "is", s.config.VHost)
		for _, mark := range position.Streams {
			*mark = positions.Stream{Generation: mark.Generation + 1, Begin: "first"}
		}
		position.VHost = s.config.VHost
	case position.VHost != s.config.VHost:
		return stopf("the position in the output branch is of the virtual host %q, and SPOUT_RABBITMQ_VHOST is %q; set it back, use another output branch, or set SPOUT_RABBITMQ_ON_RESET=restart to read the streams of the new one from their beginning", position.VHost, s.config.VHost)
	}
	s.position = position
	return nil
}

// await returns the streams that are to be read. At first it waits until all
// of them are there, and fixes where they begin.
func (s *Streams) await(ctx context.Context, first bool) ([]string, error) {
	return waitFor(ctx, s.log, s.config.Password, s.note, func() ([]string, error) { return s.survey(ctx, first) })
}

// survey asks for the streams once.
func (s *Streams) survey(ctx context.Context, first bool) ([]string, error) {
	c, err := s.anyNode(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	names, err := s.names(c)
	if err != nil || !first {
		return names, err
	}
	found, err := c.Metadata(names...)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if f := found[name]; f.Code != wire.OK || f.Leader == "" {
			return nil, unavailable(name, f)
		}
		mark := &positions.Stream{Begin: s.config.Start}
		if s.config.Start == "next" {
			end, err := s.endOf(ctx, name)
			if err != nil {
				return nil, err
			}
			mark = &positions.Stream{Next: end, Begin: "offset"}
		}
		s.position.Streams[name] = mark
	}
	return names, nil
}

func unavailable(name string, f wire.Stream) error {
	if f.Code != wire.OK {
		return &wire.Error{What: "stream " + name, Code: f.Code}
	}
	return fmt.Errorf("stream %s has no leader at the moment", name)
}

// names are all streams that are to be read, partitions included.
func (s *Streams) names(c *wire.Conn) ([]string, error) {
	names, seen := slices.Clone(s.config.Streams), map[string]bool{}
	for _, name := range names {
		seen[name] = true
	}
	for _, super := range s.config.SuperStreams {
		partitions, err := c.Partitions(super)
		if err != nil {
			return nil, err
		}
		if len(partitions) == 0 {
			return nil, fmt.Errorf("super stream %s does not exist, or has no partitions", super)
		}
		for _, name := range partitions {
			if !settings.IsQueueName(name) {
				return nil, stopf("the partition %q of super stream %s cannot be read: names must have 1 to 249 bytes of UTF-8, and no control characters", name, super)
			}
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	if most := s.mostStreams(); len(names) > most {
		return nil, stopf("there are %d streams to read, with the partitions of super streams, and there is memory for %d, since each has a connection of its own; raise SPOUT_MEMORY_BUDGET to at least %d MiB, or divide the super streams among several spouts", len(names), most, (len(names)*streamMemory)>>20*budgetParts+budgetParts)
	}
	return names, nil
}

const (
	// streamMemory is what is left of the memory for each stream.
	streamMemory = 32 << 10
	// budgetParts is the part of the budget that memory is.
	budgetParts = 8
)

// mostStreams is how many streams can be read.
func (s *Streams) mostStreams() int { return max(int(s.memory/streamMemory), len(s.config.Streams)) }

// anyNode connects to one of the nodes that are configured.
func (s *Streams) anyNode(ctx context.Context) (*wire.Conn, error) {
	var failures []error
	for _, address := range s.config.Addresses {
		c, err := s.dialer.openStream(ctx, address, s.memory)
		if err == nil {
			return c, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// discover looks for partitions that are added to super streams.
func (s *Streams) discover() {
	const interval = time.Minute
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(interval):
		}
		names, err := s.survey(s.ctx, false)
		switch {
		case err == nil:
			for _, name := range names {
				s.add(name)
			}
		case source.IsStop(err):
			s.fail(err)
			return
		case s.ctx.Err() == nil:
			s.log.Warn("cannot look for new partitions", "reason", source.Quoted(err, s.config.Password))
		}
	}
}

// add begins to read a stream.
func (s *Streams) add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts[name] != nil || s.ctx.Err() != nil {
		return
	}
	p := newPart(s, name, len(s.parts))
	s.parts[name] = p
	s.group.Go(p.run)
}

// Next implements [source.Source].
func (s *Streams) Next(ctx context.Context) (*source.Chunk, error) {
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
	case <-s.failed:
		s.mu.Lock()
		defer s.mu.Unlock()
		return nil, s.failure
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Consume implements [source.Source].
func (s *Streams) Consume(chunk *source.Chunk, n int) {
	if n == 0 {
		return // there is no chunk without records
	}
	c := chunk.Origin.(*streamChunk)
	last := &chunk.Records[n-1]
	mark := s.position.Streams[chunk.Stream.Name]
	if mark == nil {
		mark = &positions.Stream{}
		s.position.Streams[chunk.Stream.Name] = mark
	}
	*mark = positions.Stream{Generation: chunk.Stream.Generation, Next: last.Offset + 1, At: c.at, Sum: crc32.Checksum(last.Value, castagnoli)}
	c.part.consumed(last)
}

// Position implements [source.Source].
func (s *Streams) Position() json.RawMessage {
	raw := s.position.Render()
	s.remember(raw)
	return raw
}

// Acknowledge implements [source.Source]. A stream keeps its messages whoever
// has read them: only the lag depends on it.
func (s *Streams) Acknowledge(_ context.Context, position json.RawMessage) { s.durable(position) }

// Close implements [source.Source].
func (s *Streams) Close() error {
	s.cancel()
	s.group.Wait()
	s.reader.Close()
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
func (s *Streams) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.failure = err
		close(s.failed)
	}
	s.cancel()
}

// push hands a chunk to Next.
func (s *Streams) push(chunk *source.Chunk) error {
	select {
	case s.chunks <- chunk:
		return nil
	case <-s.ctx.Done():
		chunk.Release()
		return s.ctx.Err()
	}
}

// leader connects to the node that leads a stream: others may not have all of
// it yet, and would make a stream look shorter than it was.
func (s *Streams) leader(ctx context.Context, name string) (*wire.Conn, error) {
	var failures []error
	tried := map[string]bool{}
	for _, address := range s.config.Addresses {
		c, err := s.dialer.openStream(ctx, address, s.memory)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		stop := context.AfterFunc(ctx, c.Close)
		found, err := c.Metadata(name)
		stop()
		f := found[name]
		switch {
		case err != nil:
		case f.Code != wire.OK || f.Leader == "":
			err = unavailable(name, f)
		case f.Leader == c.Advertised || f.Leader == address:
			return c, nil
		case tried[f.Leader]:
		default:
			tried[f.Leader] = true
			c.Close()
			if c, err = s.dialer.openStream(ctx, f.Leader, s.memory); err == nil {
				return c, nil
			}
			failures = append(failures, fmt.Errorf("the leader of stream %s: %w", name, err))
			continue
		}
		c.Close()
		if err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) == 0 {
		failures = append(failures, fmt.Errorf("the leader of stream %s is not found", name))
	}
	return nil, errors.Join(failures...)
}

// endOf is the offset after the last message of a stream, 0 if it has none.
func (s *Streams) endOf(ctx context.Context, name string) (int64, error) {
	c, err := s.leader(ctx, name)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	return endAt(c, name)
}

// silence is after how long a stream that gives no last chunk is taken for an
// empty one. The node answers other requests meanwhile.
const silence = 5 * time.Second

// Subscriptions of a connection.
const (
	reading = 0
	probing = 1
)

// endAt asks the leader of a stream for its end: 0 if it is empty. There must
// be no other subscription.
func endAt(c *wire.Conn, name string) (int64, error) {
	if err := c.Subscribe(probing, name, wire.Last, 1); err != nil {
		return 0, err
	}
	// That nothing comes is an answer, too: the request after it is answered, and
	// nothing has come.
	var silent atomic.Bool
	timer := time.AfterFunc(silence, func() {
		silent.Store(true)
		_ = c.Unsubscribe(probing) // its answer ends the wait; an error shows there
	})
	defer timer.Stop()
	chunk, err := c.Receive(func(uint8, wire.Head) ([]byte, error) { return nil, nil })
	switch {
	case errors.Is(err, wire.ErrUnsubscribed) && silent.Load():
		return 0, nil
	case err != nil:
		return 0, err
	}
	if timer.Stop() {
		err = c.Unsubscribe(probing)
	}
	return chunk.Head.Next(), err
}

// note keeps what is in the way of all streams, nil if nothing is.
func (s *Streams) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.trouble = source.Trouble{}
	case s.trouble.Since.IsZero():
		s.trouble.Since = time.Now()
		fallthrough
	default:
		s.trouble.Text = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
}

// partList are the streams that are read, in the order of their names.
func (s *Streams) partList() []*part {
	list := make([]*part, 0, len(s.parts))
	for _, name := range slices.Sorted(maps.Keys(s.parts)) {
		list = append(list, s.parts[name])
	}
	return list
}
