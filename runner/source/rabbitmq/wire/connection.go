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
