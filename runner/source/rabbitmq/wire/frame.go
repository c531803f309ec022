// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// frame is what a node has sent.
type frame struct {
	key   uint16
	body  body
	chunk *Chunk // of cmdDeliver
}

// frame reads the next frame that is no heartbeat. Chunks that no room is given
// for are an error.
func (c *Conn) frame(room Room) (*frame, error) {
	for {
		// A node that is there sends a heartbeat at least.
		if err := c.conn.SetReadDeadline(time.Now().Add(3 * c.heartbeat)); err != nil {
			return nil, err
		}
		var head [8]byte
		if _, err := io.ReadFull(c.read, head[:]); err != nil {
			return nil, lost(err)
		}
		size, key := int(binary.BigEndian.Uint32(head[:])), binary.BigEndian.Uint16(head[4:])
		left := size - 4
		if left < 0 {
			return nil, fmt.Errorf("the node has sent a frame of %d bytes", size)
		}
		if key == cmdDeliver {
			chunk, err := c.chunk(left, room)
			return &frame{key: key, chunk: chunk}, err
		}
		if left > c.answer {
			return nil, fmt.Errorf("the node has sent a frame of %d bytes", size)
		}
		f := &frame{key: key, body: body{rest: make([]byte, left)}}
		if _, err := io.ReadFull(c.read, f.body.rest); err != nil {
			return nil, lost(err)
		}
		switch key {
		case cmdHeartbeat:
			continue
		case cmdClose:
			corr, code := f.body.uint32(), Code(f.body.uint16())
			reason := f.body.string()
			out := binary.BigEndian.AppendUint32(c.head(cmdClose|response), corr)
			_ = c.send(binary.BigEndian.AppendUint16(out, uint16(OK))) // it is about to end anyway
			return nil, fmt.Errorf("the node has closed the connection: %s (code %d)", reason, code)
		}
		return f, nil
	}
}

func lost(err error) error { return fmt.Errorf("the connection was lost: %w", err) }

// chunk reads the rest of a frame that is a chunk.
func (c *Conn) chunk(left int, room Room) (*Chunk, error) {
	if room == nil {
		return nil, errors.New("the node has sent a chunk that nobody has asked for")
	}
	var raw [1 + headSize]byte
	if left < len(raw) || left > c.largest {
		return nil, &TooLargeError{left, c.largest}
	}
	if _, err := io.ReadFull(c.read, raw[:]); err != nil {
		return nil, lost(err)
	}
	head, err := ParseHead(raw[1:])
	if err != nil {
		return nil, err
	}
	left -= len(raw)
	if head.Bytes > left {
		return nil, fmt.Errorf("a chunk of %d bytes is in a frame of %d", head.Bytes, left)
	}
	buffer, err := room(raw[0], head)
	if err != nil {
		return nil, err
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(3 * c.heartbeat)) // room may have taken its time; an error shows below
	if _, err := io.ReadFull(c.read, buffer); err != nil {
		return nil, lost(err)
	}
	if _, err := c.read.Discard(left - len(buffer)); err != nil {
		return nil, lost(err)
	}
	return &Chunk{ID: raw[0], Head: head, Data: buffer}, nil
}

// TooLargeError says that a chunk is larger than the memory for it.
type TooLargeError struct{ Bytes, Most int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a chunk takes %d bytes, and there is memory for %d", e.Bytes, e.Most)
}

// ask sends a request and returns the answer after its code. Chunks that come
// before it are not for anybody: requests come before subscriptions.
func (c *Conn) ask(what string, request []byte) (*body, error) {
	want, corr := binary.BigEndian.Uint16(request[4:])|response, binary.BigEndian.Uint32(request[8:])
	if err := c.send(request); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	for {
		f, err := c.frame(drop)
		if err == nil && f.key == cmdDeliver && want == cmdSubscribe|response && f.chunk.ID == request[12] {
			err = errors.New("the node has sent a chunk before its answer")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		if f.key|response != want || f.body.uint32() != corr { // 3.10 answers for partitions without the bit
			continue
		}
		if want == cmdMetadata|response {
			return &f.body, nil // it has no code
		}
		if code := Code(f.body.uint16()); code != OK {
			return nil, &Error{what, code}
		}
		return &f.body, f.body.err
	}
}

// drop gives room to chunks of which nothing is read.
func drop(uint8, Head) ([]byte, error) { return nil, nil }

// head begins a frame; its size is set when it is sent.
func (c *Conn) head(key uint16) []byte {
	out := make([]byte, 4, 64)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, key), version)
}

func (c *Conn) request(key uint16) []byte {
	return binary.BigEndian.AppendUint32(c.head(key), c.corr.Add(1))
}

// writeTimeout is how long a node may take to take a frame.
const writeTimeout = 20 * time.Second

func (c *Conn) send(frame []byte) error {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(frame)
	return err
}

func appendString(out []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(out, uint16(len(s))), s...)
}

// body is what is left of a frame. After an error all that is read is zero.
type body struct {
	rest []byte
	err  error
}

func (b *body) take(n int) []byte {
	if b.err != nil || n > len(b.rest) {
		if b.err == nil {
			b.err = errors.New("the node has sent a frame that is cut off")
		}
		return nil
	}
	taken := b.rest[:n]
	b.rest = b.rest[n:]
	return taken
}

func (b *body) uint16() uint16 {
	if raw := b.take(2); raw != nil {
		return binary.BigEndian.Uint16(raw)
	}
	return 0
}

func (b *body) uint32() uint32 {
	if raw := b.take(4); raw != nil {
		return binary.BigEndian.Uint32(raw)
	}
	return 0
}

func (b *body) string() string {
	n := b.uint16()
	if n == 0xffff { // null
		return ""
	}
	return string(b.take(int(n)))
}

// count is the number of elements of a list, which cannot be more than there
// are bytes.
func (b *body) count() int {
	n := b.uint32()
	if int64(n) > int64(len(b.rest)) || n > maxStrings {
		if n != 0xffffffff && b.err == nil { // that is null
			b.err = fmt.Errorf("the node has sent a list of %d in %d bytes", n, len(b.rest))
		}
		return 0
	}
	return int(n)
}

func (b *body) strings() []string {
	list := make([]string, 0, 8)
	for range b.count() {
		list = append(list, b.string())
	}
	return list
}

func (b *body) pairs() map[string]string {
	pairs := map[string]string{}
	for range b.count() {
		name := b.string()
		pairs[name] = b.string()
	}
	return pairs
}
