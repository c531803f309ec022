// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"time"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq/wire"
)

// part is one stream that is read. Its goroutine connects to the leader, finds
// out whether the stream is still the one that was read and whether the next
// messages are still there, and reads on.
type part struct {
	source *Streams
	name   string
	index  int

	// Of its goroutine: the place up to which it has read.
	stream   source.Stream
	place    positions.Stream
	reader   wire.Reader
	justSeen bool // the last chunk had the message before the place

	lag // under the source's lock
}

// newPart makes a part that goes on where the position says. A stream that the
// position does not know has come later, and is read from its beginning.
func newPart(s *Streams, name string, index int) *part {
	p := &part{source: s, name: name, index: index, place: positions.Stream{Begin: "first"}}
	if mark := s.position.Streams[name]; mark != nil {
		p.place = *mark
	}
	p.stream = source.Stream{Name: name, Generation: p.place.Generation}
	p.lag.from(p.place)
	return p
}

// credit is how many chunks are on their way.
const credit = 10

// run reads until the source is closed or an operator is needed.
func (p *part) run() {
	defer p.reader.Close()
	s, pause := p.source, minPause
	for {
		before := p.place
		err := p.session()
		switch {
		case s.ctx.Err() != nil:
			return
		case source.IsStop(err):
			s.fail(err)
			return
		}
		if p.place != before {
			pause = minPause
		}
		var moved *wire.Moved
		if errors.As(err, &moved) || errors.Is(err, errHole) {
			s.log.Debug("connecting to a stream again", "stream", p.name, "reason", err)
		} else {
			p.trouble(err)
			s.log.Warn("a stream cannot be read at the moment", "stream", p.name, "reason", err, "again_in", pause.String())
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// errHole says that messages are missing in the middle of reading: either what
// is there are no messages, as offsets that consumers have stored, or retention
// has overtaken reading. A look from the message before it tells.
var errHole = errors.New("there is a hole in the offsets")

// errStill says that there is more to read, and nothing comes. Nodes are known to
// forget consumers when a stream starts again.
var errStill = errors.New("the stream has more messages, and the node sends none")

// smallHole is how many offsets may be missing without a look: nodes store what
// is no message between messages all the time.
const smallHole = 8

// session reads over one connection.
func (p *part) session() error {
	s := p.source
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	c, err := s.leader(ctx, p.name)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	from := wire.First
	switch p.place.Begin {
	case "":
		from = wire.At(max(p.place.Next-1, 0))
		end, err := endAt(c, p.name)
		if err != nil {
			return err
		}
		if end < p.place.Next {
			if err := p.reset(fmt.Sprintf("it ends at offset %d", end)); err != nil {
				return err
			}
			from = wire.First
		}
	case "first":
	case "offset":
		from = wire.At(p.place.Next)
	default:
		at, err := time.Parse(time.RFC3339, p.place.Begin)
		if err != nil {
			return stopf("stream %s: the position begins at %q, which is no time", p.name, p.place.Begin)
		}
		from = wire.Since(at)
	}
	if err := c.Subscribe(reading, p.name, from, credit); err != nil {
		return err
	}
	p.trouble(nil)
	var probes sync.WaitGroup
	defer probes.Wait()
	defer cancel()
	probes.Go(func() { p.probe(ctx, c) })
	return p.receive(c)
}

// probeInterval is how often a stream's end is asked for.
const probeInterval = 10 * time.Second

// probe asks for the end of the stream now and then: nodes do not tell it.
func (p *part) probe(ctx context.Context, c *wire.Conn) {
	wait := time.Second
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = probeInterval
		if c.Probe(probing, p.name) != nil {
			return // who reads learns of it
		}
	}
}

// receive takes chunks until something fails.
func (p *part) receive(c *wire.Conn) error {
	s := p.source
	seen := false  // the message before the place, or that it is gone
	still := false // since the last look at the end, at which there was more to read
	for {
		var taken *streamChunk
		chunk, err := c.Receive(func(id uint8, h wire.Head) ([]byte, error) {
			if id != reading {
				return nil, nil
			}
			var err error
			taken, err = s.take(p, h)
			if err != nil {
				return nil, err
			}
			return taken.buffer, nil
		})
		switch {
		case errors.Is(err, wire.ErrUnsubscribed):
			continue
		case err != nil:
			if taken != nil {
				taken.free()
			}
			var large *wire.TooLargeError
			if errors.As(err, &large) {
				return stopf("stream %s: %w; raise SPOUT_MEMORY_BUDGET, of which an eighth is for the chunks of streams", p.name, err)
			}
			return err
		case chunk.ID == probing:
			p.seeEnd(chunk.Head.Next())
			more := p.place.Begin == "" && chunk.Head.Next() > p.place.Next
			if still && more {
				return errStill
			}
			still = more
			if err := c.Unsubscribe(probing); err != nil {
				return err
			}
			continue
		}
		still = false
		p.seeEnd(chunk.Head.Next())
		if seen, err = p.accept(taken, chunk, seen); err != nil {
			return err
		}
		if err := c.Credit(reading, 1); err != nil {
			return err
		}
	}
}

// accept hands a chunk on, whose room it takes over. seen says whether the
// message before the place was looked for, and it returns whether it was now.
func (p *part) accept(taken *streamChunk, chunk *wire.Chunk, seen bool) (bool, error) {
	s, h := p.source, chunk.Head
	place, gap := p.place, (*source.Gap)(nil)
	compare := int64(-1) // the message to compare
	switch {
	case place.Begin != "" && place.Begin != "offset": // wherever that is
		place.Next = h.First
	case place.Begin == "" && !seen:
		switch before := place.Next - 1; {
		case h.Next() <= before: // nodes may begin earlier
			taken.free()
			return false, nil
		case h.First <= before:
			compare = before
			if h.Timestamp != place.At {
				taken.free()
				return false, p.again(fmt.Sprintf("the message at offset %d is of another time", before))
			}
		case h.First > place.Next:
			gap = p.gap(place.Next, h.First)
		}
	case place.Begin == "offset":
		if h.First > place.Next {
			gap = p.gap(place.Next, h.First)
		}
	case h.First > place.Next+smallHole && !p.justSeen:
		taken.free()
		return seen, errHole
	}
	p.justSeen = compare >= 0
	if gap != nil {
		if s.config.OnGap != "skip" {
			taken.free()
			return false, stopf("stream %s: messages %d to %d are gone, since its retention has dropped them before they were read; set SPOUT_RABBITMQ_ON_GAP=skip to continue at offset %d, and keep messages longer (x-max-length-bytes, x-max-age)",
				p.name, gap.From, gap.To-1, gap.To)
		}
		s.log.Warn("messages are gone", "stream", p.name, "from_offset", gap.From, "to_offset", gap.To)
		place.Next = gap.To
	}
	same := true
	err := p.reader.Messages(chunk, taken.grow, func(offset int64, raw []byte) error {
		if offset < place.Next {
			if offset == compare {
				m, err := wire.ParseMessage(raw, func(string, []byte) {})
				same = err == nil && crc32.Checksum(m.Body, castagnoli) == place.Sum
			}
			return nil
		}
		return taken.add(offset, h.Timestamp, raw)
	})
	taken.unpacked()
	switch {
	case err != nil:
		taken.free()
		if errors.Is(err, wire.ErrDamaged) {
			return false, stopf("stream %s, offset %d: %w; if it is so again after a restart, the stream's files are damaged. To leave the chunk out, begin in another output branch after it", p.name, h.First, err)
		}
		return false, err
	case !same:
		taken.free()
		return false, p.again(fmt.Sprintf("the message at offset %d is another one", compare))
	case len(taken.chunk.Records) == 0:
		taken.free()
		return true, nil
	}
	last := taken.chunk.Records[len(taken.chunk.Records)-1]
	p.place = positions.Stream{Generation: p.place.Generation, Next: h.Next(), At: h.Timestamp, Sum: crc32.Checksum(last.Value, castagnoli)}
	c := taken.chunk
	c.Gap, c.Next, c.Index, c.Origin = gap, h.Next(), p.index, taken
	p.fetched(h)
	return true, s.push(c)
}

func (p *part) gap(from, to int64) *source.Gap {
	return &source.Gap{From: from, To: to, Reason: "the stream's retention has dropped these messages before they were read"}
}

// again is reset in the middle of a session, which must begin anew then.
func (p *part) again(why string) error {
	if err := p.reset(why); err != nil {
		return err
	}
	return fmt.Errorf("stream %s was made again: %s", p.name, why)
}

// reset decides what to do with a stream that is not the one that was read.
func (p *part) reset(why string) error {
	if p.source.config.OnReset != "restart" {
		return stopf("stream %s is not the one that was read: messages up to offset %d are in the output branch, but %s. It was deleted and made again, or restored from an older backup. "+
			"Set SPOUT_RABBITMQ_ON_RESET=restart to read the new one from its beginning, use another output branch, or bring the old one back", p.name, p.place.Next-1, why)
	}
	p.source.log.Warn("a stream was made again, and is read from its beginning", "stream", p.name, "because", why)
	p.place = positions.Stream{Generation: p.place.Generation + 1, Begin: "first"}
	p.stream.Generation = p.place.Generation
	p.anew(p.stream.Generation)
	return nil
}

// trouble keeps why the stream cannot be read, nil if it can.
func (p *part) trouble(err error) {
	s := p.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		p.failure, p.failedSince = "", time.Time{}
		return
	}
	s.totals.Reconnects++
	p.failure = strings.ReplaceAll(err.Error(), "\n", "; ")
	if p.failedSince.IsZero() {
		p.failedSince = time.Now()
	}
}

// streamChunk is a chunk on its way, with all that it refers to. It is used
// again after it was released.
type streamChunk struct {
	source  *Streams
	part    *part
	chunk   *source.Chunk
	buffer  []byte
	headers []byte // of all records
	records []source.Record
	grown   int64 // of s.unpacked
	taken   int64 // of s.raw
	at      int64 // timestamp of the chunk

	unpacking bool // it has s.unpack
}

// unpacked ends what grow has begun.
func (c *streamChunk) unpacked() {
	if c.unpacking {
		c.unpacking = false
		c.source.unpack.Unlock()
	}
}

// recordSize is what a record takes besides its bytes, about.
const recordSize = 128

// take waits for memory for a chunk.
func (s *Streams) take(p *part, h wire.Head) (*streamChunk, error) {
	size := min(int64(h.Bytes)*2+int64(h.Messages)*recordSize, s.memory)
	if err := s.raw.Acquire(s.ctx, size); err != nil {
		return nil, err
	}
	s.held.Add(size)
	c := s.pool.Get().(*streamChunk)
	c.part, c.taken, c.at = p, size, h.Timestamp
	if cap(c.buffer) < h.Bytes {
		c.buffer = make([]byte, h.Bytes)
	}
	c.buffer = c.buffer[:h.Bytes]
	c.chunk = source.NewChunk(p.stream, c.free)
	c.chunk.Records, c.chunk.Bytes = c.records[:0], int(size)
	c.headers = c.headers[:0]
	return c, nil
}

// grow makes room for a batch that was compressed.
func (c *streamChunk) grow(n int) ([]byte, error) {
	s, size := c.source, int64(n)*2
	if c.grown+size > s.memory {
		return nil, &wire.TooLargeError{Bytes: int(c.grown + size), Most: int(s.memory)}
	}
	if !c.unpacking {
		s.unpack.Lock() // until all of the chunk is unpacked
		c.unpacking = true
	}
	if err := s.unpacked.Acquire(s.ctx, size); err != nil {
		return nil, err
	}
	c.grown += size
	s.held.Add(size)
	return make([]byte, n), nil
}

// largestKept is how large a buffer may be that is kept for the next chunk.
const largestKept = 1 << 20

// free gives the memory back.
func (c *streamChunk) free() {
	s := c.source
	s.raw.Release(c.taken)
	s.unpacked.Release(c.grown)
	s.held.Add(-c.taken - c.grown)
	c.taken, c.grown = 0, 0
	if c.chunk != nil {
		c.records = c.chunk.Records[:0]
	}
	c.chunk, c.part = nil, nil
	if cap(c.buffer)+cap(c.headers)+cap(c.records)*recordSize > largestKept {
		c.buffer, c.headers, c.records = nil, nil, nil
	}
	s.pool.Put(c)
}

// add takes a message.
func (c *streamChunk) add(offset, at int64, raw []byte) error {
	headers := source.Headers{Raw: c.headers[len(c.headers):]}
	m, err := wire.ParseMessage(raw, func(name string, value []byte) { headers.Append(name, value) })
	if err != nil {
		return fmt.Errorf("offset %d: %w", offset, err)
	}
	if headers.Count > 0 {
		if end := len(c.headers) + len(headers.Raw); end <= cap(c.headers) {
			c.headers = c.headers[:end] // they were written behind those before
		} else {
			c.headers = append(make([]byte, 0, 2*end), headers.Raw...)
			headers.Raw = c.headers
		}
		headers.Raw = headers.Raw[:len(headers.Raw):len(headers.Raw)]
	}
	if m.Created != 0 {
		at = m.Created
	}
	if m.Body == nil {
		m.Body = []byte{}
	}
	c.chunk.Records = append(c.chunk.Records, source.Record{Offset: offset, Timestamp: at, Key: m.RoutingKey, Value: m.Body, Headers: headers})
	return nil
}
