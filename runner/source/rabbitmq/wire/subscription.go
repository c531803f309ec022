// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"time"
)

// Stream is where a stream is.
type Stream struct {
	Code   Code
	Leader string // HOST:PORT, "" if there is none
}

// Metadata says where streams are.
func (c *Conn) Metadata(names ...string) (map[string]Stream, error) {
	request := binary.BigEndian.AppendUint32(c.request(cmdMetadata), uint32(len(names)))
	for _, name := range names {
		request = appendString(request, name)
	}
	answer, err := c.ask("ask where streams are", request)
	if err != nil {
		return nil, err
	}
	nodes := map[uint16]string{}
	for range answer.count() {
		reference, host, port := answer.uint16(), answer.string(), answer.uint32()
		nodes[reference] = net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
	}
	streams := map[string]Stream{}
	for range answer.count() {
		name := answer.string()
		s := Stream{Code: Code(answer.uint16())}
		s.Leader = nodes[answer.uint16()]
		for range answer.count() {
			answer.uint16()
		}
		streams[name] = s
	}
	return streams, answer.err
}

// Partitions are the streams of a super stream, in their order.
func (c *Conn) Partitions(super string) ([]string, error) {
	answer, err := c.ask("ask for the partitions of the super stream "+super, appendString(c.request(cmdPartitions), super))
	if err != nil {
		return nil, err
	}
	return answer.strings(), answer.err
}

// Specification is where reading of a stream begins.
type Specification struct {
	kind  uint16
	value uint64
}

// Places at which reading can begin. A node begins with the whole chunk.
var (
	First = Specification{kind: 1}
	Last  = Specification{kind: 2} // chunk
	Next  = Specification{kind: 3}
)

// At is the chunk with an offset.
func At(offset int64) Specification { return Specification{4, uint64(offset)} }

// Since is the first chunk that is not older.
func Since(at time.Time) Specification { return Specification{5, uint64(at.UnixMilli())} }

// Subscribe has the node send chunks, as many as there is credit.
func (c *Conn) Subscribe(id uint8, stream string, from Specification, credit uint16) error {
	_, err := c.ask("subscribe to the stream "+stream, subscription(c.request(cmdSubscribe), id, stream, from, credit))
	return err
}

func subscription(request []byte, id uint8, stream string, from Specification, credit uint16) []byte {
	request = appendString(append(request, id), stream)
	request = binary.BigEndian.AppendUint16(request, from.kind)
	if from.kind >= 4 {
		request = binary.BigEndian.AppendUint64(request, from.value)
	}
	return binary.BigEndian.AppendUint16(request, credit)
}

// Probe asks for the last chunk of a stream, which Receive then returns, and
// does not wait for an answer.
func (c *Conn) Probe(id uint8, stream string) error {
	return c.send(subscription(c.request(cmdSubscribe), id, stream, Last, 1))
}

// Unsubscribe ends a subscription, and does not wait for an answer.
func (c *Conn) Unsubscribe(id uint8) error { return c.send(append(c.request(cmdUnsubscribe), id)) }

// Credit allows n more chunks.
func (c *Conn) Credit(id uint8, n uint16) error {
	return c.send(binary.BigEndian.AppendUint16(append(c.head(cmdCredit), id), n))
}

// Moved says that a stream is somewhere else now, or gone.
type Moved struct {
	Stream string
	Code   Code
}

func (m *Moved) Error() string {
	return (&Error{"the stream " + m.Stream + " has moved or is gone", m.Code}).Error()
}

// Chunk is a chunk as it was sent.
type Chunk struct {
	ID   uint8 // of the subscription
	Head Head
	Data []byte // the entries
}

// Room gives the buffer for the entries of a chunk of a subscription, once
// their size is known: as many bytes, or fewer to leave out the rest.
type Room func(id uint8, h Head) ([]byte, error)

// ErrUnsubscribed is the answer to Unsubscribe.
var ErrUnsubscribed = errors.New("the subscription has ended")

// Receive returns the next chunk. It waits for one as long as the node shows
// that it is there. room may block; heartbeats go on meanwhile. A stream that
// moves is a [Moved] error.
func (c *Conn) Receive(room Room) (*Chunk, error) {
	for {
		f, err := c.frame(room)
		if err != nil {
			return nil, err
		}
		switch f.key {
		case cmdDeliver:
			return f.chunk, nil
		case cmdMetadataUpdate:
			code := Code(f.body.uint16())
			return nil, &Moved{f.body.string(), code}
		case cmdCredit | response:
			code := Code(f.body.uint16())
			return nil, &Error{"ask for more of a stream", code}
		case cmdUnsubscribe | response:
			return nil, ErrUnsubscribed
		case cmdSubscribe | response: // of Probe
			f.body.uint32()
			if code := Code(f.body.uint16()); code != OK {
				return nil, &Error{"ask for the end of a stream", code}
			}
		}
	}
}
