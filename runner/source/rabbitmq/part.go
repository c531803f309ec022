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
	pending  *source.Gap // of the next chunk that is handed on
	justSeen bool        // the last chunk had the message before the place

	complained time.Time // of messages that were left out

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
	s, pause := p.source, minPause
	for {
		before := p.place
		err := source.Quoted(p.session(), s.config.Password)
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
	p.pending = nil // what was left out is met again
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
			return stopf("stream %s: the position begins at %q, which is not a time", p.name, p.place.Begin)
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
		var taken *pieces
		chunk, err := c.Receive(func(id uint8, h wire.Head) ([]byte, error) {
			if id != reading {
				return nil, nil
			}
			var err error
			taken, err = s.take(p, h)
			if err != nil {
				return nil, err
			}
			return taken.raw.buffer, nil
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
func (p *part) accept(taken *pieces, chunk *wire.Chunk, seen bool) (bool, error) {
	defer taken.free()
	s, h := p.source, chunk.Head
	place, gap := p.place, (*source.Gap)(nil)
	read := place.Next // and what was left out after it
	if p.pending != nil {
		read = max(read, p.pending.To)
	}
	compare := int64(-1) // the message to compare
	switch {
	case place.Begin != "" && place.Begin != "offset": // wherever that is
		place.Next = h.First
	case place.Begin == "" && !seen:
		switch before := place.Next - 1; {
		case h.Next() <= before: // nodes may begin earlier
			return false, nil
		case h.First <= before:
			compare = before
			if h.Timestamp != place.At {
				return false, p.again(fmt.Sprintf("the message at offset %d is of another time", before))
			}
		case h.First > place.Next:
			gap = p.gap(place.Next, h.First)
		}
	case place.Begin == "offset":
		if h.First > read {
			gap = p.gap(read, h.First)
		}
	case h.First > read+smallHole && !p.justSeen:
		return seen, errHole
	}
	p.justSeen = compare >= 0
	if gap != nil {
		if s.config.OnGap != "skip" {
			return false, stopf("stream %s: messages %d to %d are gone, since its retention has dropped them before they were read; set SPOUT_RABBITMQ_ON_GAP=skip to continue at offset %d, and keep messages longer (x-max-length-bytes, x-max-age)",
				p.name, gap.From, gap.To-1, gap.To)
		}
		s.log.Warn("messages are gone", "stream", p.name, "from_offset", gap.From, "to_offset", gap.To)
		place.Next = gap.To
		p.leaveOut(gap)
	}
	err := s.reader.Messages(chunk, taken.grow, func(offset int64, raw []byte) error {
		if offset >= place.Next {
			return taken.add(offset, raw)
		}
		if offset == compare && crc32.Checksum(bodyOf(raw), castagnoli) != place.Sum {
			return errOther
		}
		return nil
	}, func(offset int64, messages int, why error) error {
		if offset+int64(messages) <= place.Next {
			return nil // it was left out before
		}
		return p.unreadable(taken, max(offset, place.Next), offset+int64(messages), why)
	})
	switch {
	case errors.Is(err, errOther):
		return false, p.again(fmt.Sprintf("the message at offset %d is another one", compare))
	case errors.Is(err, wire.ErrDamaged):
		return false, stopf("stream %s, offset %d: %w; if it is so again after a restart, the stream's files are damaged. To leave the chunk out, begin in another output branch after it", p.name, h.First, err)
	case err != nil:
		return false, err
	}
	p.fetched(h)
	return true, taken.cut()
}

const complainAgain = 10 * time.Second

// errOther says that a message is not the one that was read.
var errOther = errors.New("the message is another one")

// unreadable does with the messages of a batch that cannot be read what the
// policy says: its publisher has made it so, and it is so again after a restart.
func (p *part) unreadable(taken *pieces, from, to int64, why error) error {
	if p.source.config.OnGap != "skip" {
		return stopf("stream %s: messages %d to %d cannot be read, as their publisher has made a batch of them that is damaged or too large: %v. Set SPOUT_RABBITMQ_ON_GAP=skip to leave them out, or raise SPOUT_MEMORY_BUDGET if they are too large", p.name, from, to-1, why)
	}
	if err := taken.cut(); err != nil {
		return err
	}
	if now := time.Now(); now.Sub(p.complained) >= complainAgain { // there may be as many as somebody likes to publish
		p.complained = now
		p.source.log.Warn("messages cannot be read, and are left out", "stream", p.name, "from_offset", from, "to_offset", to, "reason", why)
	}
	p.leaveOut(&source.Gap{From: from, To: to, Reason: "the batch in which they were published cannot be read"})
	return nil
}

// leaveOut has the next chunk tell of a gap.
func (p *part) leaveOut(gap *source.Gap) {
	if p.pending != nil && p.pending.To == gap.From {
		p.pending.To = gap.To
		return
	}
	p.pending = gap
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
