// SPDX-License-Identifier: Apache-2.0

package kafkatest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

// Impostor listens where a broker should, and answers with whatever bytes its
// handler writes.
type Impostor struct {
	listener net.Listener
	handle   func(to net.Conn, request Request)
	wait     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// Request is what an impostor is asked.
type Request struct {
	Key, Version int16
	Correlation  int32
	Rest         []byte // the client's id and what it asks
}

// StartImpostor listens on the loopback address and calls handle for each
// request, one after the other on a connection, until it is stopped.
func StartImpostor(handle func(to net.Conn, request Request)) (*Impostor, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i := &Impostor{listener: listener, handle: handle, conns: map[net.Conn]struct{}{}}
	i.wait.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			i.mu.Lock()
			i.conns[c] = struct{}{}
			i.mu.Unlock()
			i.wait.Go(func() { i.serve(c) })
		}
	})
	return i, nil
}

// Address is the impostor's HOST:PORT.
func (i *Impostor) Address() string { return i.listener.Addr().String() }

// Stop ends it, and its connections.
func (i *Impostor) Stop() error {
	err := i.listener.Close()
	i.mu.Lock()
	for c := range i.conns {
		err = errors.Join(err, c.Close())
	}
	i.mu.Unlock()
	i.wait.Wait()
	return err
}

func (i *Impostor) serve(c net.Conn) {
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if _, open := i.conns[c]; open {
			delete(i.conns, c)
			_ = c.Close() // the client has gone
		}
	}()
	for {
		var head [12]byte // size, key, version, correlation id
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		be := binary.BigEndian
		rest := make([]byte, max(int(be.Uint32(head[:]))-8, 0))
		if _, err := io.ReadFull(c, rest); err != nil {
			return
		}
		i.handle(c, Request{Key: int16(be.Uint16(head[4:])), Version: int16(be.Uint16(head[6:])), Correlation: int32(be.Uint32(head[8:])), Rest: rest})
	}
}

// Answer writes an answer with a body that is said to have so many bytes. What
// goes wrong is the client's doing: it has hung up.
func Answer(to net.Conn, correlation int32, claim int, body []byte) {
	head := binary.BigEndian.AppendUint32(nil, uint32(claim+4))
	head = binary.BigEndian.AppendUint32(head, uint32(correlation))
	if _, err := to.Write(append(head, body...)); err != nil {
		return
	}
	zeros := make([]byte, 1<<20)
	for left := claim - len(body); left > 0; left -= len(zeros) {
		if _, err := to.Write(zeros[:min(left, len(zeros))]); err != nil {
			return
		}
	}
}
