// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"
)

// throttle is a connection of AMQP 0.9.1 that is not read while the messages
// that came over it and were not released take more memory than they may. The
// client library keeps all that it reads, however much that is.
type throttle struct {
	net.Conn
	limit int64

	mu       sync.Mutex
	wake     sync.Cond
	held     int64 // by complete messages that were not released
	tables   int64 // by headers of messages that the client library holds, at most
	untaken  int64 // such messages
	partial  int64 // bytes of messages that have not come as a whole
	total    int64 // bytes that were read
	tooLarge int64 // a message that is larger than the limit, 0 for none
	closed   bool

	// What is being read: a frame is a type, a channel and a size, so many bytes,
	// and an end. A header's frame has the size of the message.
	head   [frameHead + contentHead]byte
	filled int // of head
	left   int // bytes of the frame after head
	open   map[uint16]*content
}

// content is a message that has not come as a whole, by its channel.
type content struct{ size, left int64 }

const (
	frameHead   = 7
	contentHead = 12 // class, weight, size
	frameEnd    = 1
	typeHeader  = 2
	typeBody    = 3

	// aroundMessage is what a message takes besides its body, about.
	aroundMessage = 600

	// usualProperties is how long those of a message are that aroundMessage
	// accounts for. A byte of longer ones takes many times as much in the client
	// library, which makes maps of them.
	usualProperties = 256
	tableMemory     = 32
)

func newThrottle(conn net.Conn, limit int64) *throttle {
	t := &throttle{Conn: conn, limit: limit, open: map[uint16]*content{}}
	t.wake.L = &t.mu
	return t
}

// Read waits until there is memory, and reads.
func (t *throttle) Read(p []byte) (int, error) {
	t.mu.Lock()
	waited := false
	for t.held+t.tables > t.limit && !t.closed {
		waited = true
		t.wake.Wait()
	}
	t.mu.Unlock()
	if waited {
		// The library's deadline may have passed meanwhile; it sets the next.
		_ = t.SetReadDeadline(time.Now().Add(3 * heartbeat)) // an error shows below
	}
	n, err := t.Conn.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total += int64(n)
	t.follow(p[:n])
	if t.tooLarge > 0 {
		return 0, fmt.Errorf("a message of %d bytes", t.tooLarge)
	}
	return n, err
}

// Write bounds how long a node may take to take what is written.
func (t *throttle) Write(p []byte) (int, error) {
	if err := t.SetWriteDeadline(time.Now().Add(3 * heartbeat)); err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

// Close ends the connection, and the wait for memory.
func (t *throttle) Close() error {
	t.unblock()
	return t.Conn.Close()
}

// unblock ends the wait for memory for good.
func (t *throttle) unblock() {
	t.mu.Lock()
	t.closed = true
	t.wake.Broadcast()
	t.mu.Unlock()
}

// release gives the memory of a message back.
func (t *throttle) release(bytes int64) {
	t.mu.Lock()
	t.held -= bytes
	t.wakeUp()
	t.mu.Unlock()
}

// wakeUp is called with the lock.
func (t *throttle) wakeUp() {
	if t.held+t.tables <= t.limit {
		t.wake.Broadcast()
	}
}

// took notes that the headers of a message were made text, which takes so many
// bytes: the client library does not hold it any more. Which one it was does not
// matter, as all of them are taken in the end.
func (t *throttle) took(headers int64) {
	t.mu.Lock()
	if t.untaken > 0 {
		t.tables -= t.tables / t.untaken
		t.untaken--
	}
	t.held += headers
	t.wakeUp()
	t.mu.Unlock()
}

// sizeOf is what a message counts for.
func sizeOf(body int) int64 { return int64(body) + aroundMessage }

// follow counts messages in what was read.
func (t *throttle) follow(p []byte) {
	for len(p) > 0 {
		if t.left > 0 {
			n := min(t.left, len(p))
			p, t.left = p[n:], t.left-n
			continue
		}
		want := frameHead
		if t.filled >= frameHead && t.head[0] == typeHeader {
			want += contentHead
		}
		n := copy(t.head[t.filled:want], p)
		t.filled += n
		p = p[n:]
		if t.filled < want {
			return
		}
		size := int(binary.BigEndian.Uint32(t.head[3:]))
		switch {
		case t.head[0] != typeHeader:
		case want == frameHead && size >= contentHead:
			continue // read more of it
		case want > frameHead:
			size -= contentHead
		}
		t.frame(size)
		t.left, t.filled = size+frameEnd, 0
	}
}

// frame notes a frame, of which size bytes follow.
func (t *throttle) frame(size int) {
	channel := binary.BigEndian.Uint16(t.head[1:])
	switch t.head[0] {
	case typeHeader:
		body := int64(binary.BigEndian.Uint64(t.head[frameHead+4:]))
		if body > t.limit || body < 0 {
			t.tooLarge = max(body, t.limit+1)
		}
		t.untaken++
		t.tables += min(max(int64(size)-usualProperties, 0)*tableMemory, t.limit/2) // of which the rest is still to be read
		if before := t.open[channel]; before != nil {                               // it comes no more
			t.partial -= before.size - before.left
			delete(t.open, channel)
		}
		if body == 0 {
			t.held += sizeOf(0)
			return
		}
		t.open[channel] = &content{body, body}
	case typeBody:
		c := t.open[channel]
		if c == nil {
			return
		}
		c.left -= int64(size)
		if t.partial += int64(size); t.partial > t.limit { // by several channels in turn, as no node sends them
			t.tooLarge = t.partial
		}
		if c.left <= 0 {
			t.partial -= c.size - c.left
			t.held += sizeOf(int(c.size))
			delete(t.open, channel)
		}
	}
}

// stats are the bytes held and read, and the size of a message that is too
// large.
func (t *throttle) stats() (held, total, tooLarge int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held, t.total, t.tooLarge
}
