// SPDX-License-Identifier: Apache-2.0

// Package wire speaks RabbitMQ's stream protocol as a consumer does, version 1
// of each command, which every node with streams knows. It gives chunks as they
// are stored, so that nothing is allocated for each message. All that a node
// says is taken for what it may be: wrong.
package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Commands.
const (
	cmdSubscribe        = 7
	cmdDeliver          = 8
	cmdCredit           = 9
	cmdUnsubscribe      = 12
	cmdMetadata         = 15
	cmdMetadataUpdate   = 16
	cmdPeerProperties   = 17
	cmdSASLHandshake    = 18
	cmdSASLAuthenticate = 19
	cmdTune             = 20
	cmdOpen             = 21
	cmdClose            = 22
	cmdHeartbeat        = 23
	cmdPartitions       = 25

	response = 0x8000
	version  = 1
)

// Code is what a node answers.
type Code uint16

// Codes that callers look at.
const (
	OK                  Code = 1
	NoStream            Code = 2
	NotAvailable        Code = 6
	AuthenticationError Code = 8
	LoopbackOnly        Code = 11
	VHostRefused        Code = 12
	AccessRefused       Code = 16
)

var codeNames = map[Code]string{OK: "ok", NoStream: "the stream does not exist", 3: "the subscription exists", 4: "the subscription does not exist", NotAvailable: "the stream is not available",
	7: "the mechanism is not supported", AuthenticationError: "the user name or the password is wrong", 9: "the login failed", 10: "the node asks on", LoopbackOnly: "this user may log in from the node's own machine only",
	VHostRefused: "the virtual host does not exist, or this user may not use it", 13: "the node does not know the command", 14: "a frame is too large", 15: "internal error", AccessRefused: "this user may not read it", 17: "a precondition failed", 18: "the publisher does not exist", 19: "there is no offset"}

// Error is an answer that says why not.
type Error struct {
	What string // was asked
	Code Code
}

func (e *Error) Error() string {
	name, ok := codeNames[e.Code]
	if !ok {
		name = "code " + strconv.Itoa(int(e.Code))
	}
	return e.What + ": " + name
}

// CodeOf is the code of an error that is an answer, 0 of any other.
func CodeOf(err error) Code {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	return 0
}

// Login says how to log in.
type Login struct {
	Mechanism string // PLAIN or EXTERNAL
	Response  []byte
	VHost     string
	Name      string // of the connection, in the node's lists
}

// Limits of what a node may send.
const (
	maxAnswer   = 1 << 20  // a list of names
	maxGreeting = 64 << 10 // before the login
	maxStrings  = 1 << 16
)

// Conn is a connection to a node. One goroutine at a time reads: every method
// but Credit, Probe, Unsubscribe and Close does. Answers are waited for as long as the node
// shows that it is there.
type Conn struct {
	// Advertised is the address at which the node is to be reached by its own
	// account, as HOST:PORT.
	Advertised string
	// Properties are those that the node tells of itself.
	Properties map[string]string

	conn      net.Conn
	read      *bufio.Reader
	heartbeat time.Duration
	largest   int // frame of a chunk
	answer    int // frame of anything else
	corr      atomic.Uint32

	writing sync.Mutex
	stop    chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

// defaultHeartbeat is what is asked for: nodes say 60 s by default, in which a
// node that is gone is not noticed.
const defaultHeartbeat = 20 * time.Second

// Open logs in over a connection, which is closed if that fails or ctx ends.
// largest is how large the frame of a chunk may be.
func Open(ctx context.Context, conn net.Conn, login Login, largest int) (*Conn, error) {
	c := &Conn{conn: conn, read: bufio.NewReaderSize(conn, 64<<10), heartbeat: defaultHeartbeat, largest: largest, answer: maxGreeting, stop: make(chan struct{})}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := c.handshake(login); err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("log in: %w", ctx.Err())
		}
		return nil, err
	}
	c.answer = maxAnswer
	c.stopped.Go(c.beat)
	return c, nil
}

func (c *Conn) handshake(login Login) error {
	request := c.request(cmdPeerProperties)
	properties := [][2]string{{"product", "spout-runner"}, {"platform", "Go"}, {"connection_name", login.Name}}
	request = binary.BigEndian.AppendUint32(request, uint32(len(properties)))
	for _, p := range properties {
		request = appendString(appendString(request, p[0]), p[1])
	}
	answer, err := c.ask("exchange properties", request)
	if err != nil {
		return err
	}
	c.Properties = answer.pairs()
	if answer, err = c.ask("ask for mechanisms", c.request(cmdSASLHandshake)); err != nil {
		return err
	}
	mechanisms, found := answer.strings(), false
	for _, m := range mechanisms {
		found = found || m == login.Mechanism
	}
	if answer.err != nil {
		return answer.err
	}
	if !found {
		return fmt.Errorf("the node has no mechanism %s; it has %q", login.Mechanism, mechanisms)
	}
	request = appendString(c.request(cmdSASLAuthenticate), login.Mechanism)
	request = append(binary.BigEndian.AppendUint32(request, uint32(len(login.Response))), login.Response...)
	if _, err = c.ask("log in", request); err != nil {
		if login.Mechanism == "EXTERNAL" && CodeOf(err) == 0 {
			err = fmt.Errorf("%w; nodes from before June 2023 do not let anybody log in to streams by a certificate", err) // rabbitmq-server#8488
		}
		return err
	}
	if err := c.tune(); err != nil {
		return err
	}
	if answer, err = c.ask("open the virtual host "+login.VHost, appendString(c.request(cmdOpen), login.VHost)); err != nil {
		return err
	}
	opened := answer.pairs()
	if opened["advertised_host"] != "" {
		c.Advertised = net.JoinHostPort(opened["advertised_host"], opened["advertised_port"])
	}
	return answer.err
}

// tune takes the node's limits, and says what it is to keep to.
func (c *Conn) tune() error {
	for {
		f, err := c.frame(nil)
		if err != nil {
			return fmt.Errorf("wait for the node's limits: %w", err)
		}
		if f.key != cmdTune {
			continue
		}
		largest, beat := f.body.uint32(), f.body.uint32()
		if f.body.err != nil {
			return f.body.err
		}
		if asked := time.Duration(beat) * time.Second; asked > 0 && asked < c.heartbeat {
			c.heartbeat = asked
		}
		out := c.head(cmdTune | response)
		out = binary.BigEndian.AppendUint32(out, largest)
		out = binary.BigEndian.AppendUint32(out, uint32(c.heartbeat/time.Second))
		return c.send(out)
	}
}

// beat tells the node that this side is there.
func (c *Conn) beat() {
	ticker := time.NewTicker(c.heartbeat / 2)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-ticker.C:
			if c.send(c.head(cmdHeartbeat)) != nil {
				_ = c.conn.Close() // who reads learns of it
				return
			}
		}
	}
}

// Close ends the connection at once, and tells the node so.
func (c *Conn) Close() {
	c.once.Do(func() {
		close(c.stop)
		_ = c.conn.SetDeadline(time.Now().Add(time.Second)) // ends what waits, too
		if c.writing.TryLock() {
			out := appendString(binary.BigEndian.AppendUint16(c.request(cmdClose), uint16(OK)), "done")
			binary.BigEndian.PutUint32(out, uint32(len(out)-4))
			_, _ = c.conn.Write(out) // a courtesy
			c.writing.Unlock()
		}
		_ = c.conn.Close()
		c.stopped.Wait()
	})
}

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
