// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// control holds connections of one goroutine, or of several that speak to
// different brokers. They are apart from those that
// fetch, where a request would wait behind a fetch that waits for records.
type control struct {
	mu    sync.Mutex
	conns map[string]*conn
}

func (c *control) get(address string) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns[address]
}

func (c *control) put(opened *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		c.conns = map[string]*conn{}
	}
	c.conns[opened.address] = opened
}

func (c *control) drop(broken *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	broken.Close()
	if c.conns[broken.address] == broken {
		delete(c.conns, broken.address)
	}
}

// keep closes the connections to other addresses.
func (c *control) keep(addresses map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for address, conn := range c.conns {
		if !addresses[address] {
			conn.Close()
			delete(c.conns, address)
		}
	}
}

func (c *control) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// ask sends a request to the broker at address. A connection that the broker
// has ended meanwhile is opened again once.
func (s *Source) ask(ctx context.Context, over *control, address string, request kmsg.Request) (kmsg.Response, error) {
	for {
		c := over.get(address)
		fresh := c == nil
		if fresh {
			var err error
			if c, err = s.dialer.open(ctx, address); err != nil {
				return nil, err
			}
			over.put(c)
		}
		response, err := c.request(ctx, request)
		if err == nil || errors.Is(err, errVersion) {
			return response, err
		}
		over.drop(c)
		if fresh || ctx.Err() != nil {
			return nil, err
		}
	}
}

// askAny sends a request to any broker that answers: those with a connection
// first, then those that the metadata name, then the configured ones.
func (s *Source) askAny(ctx context.Context, over *control, request kmsg.Request) (kmsg.Response, error) {
	var addresses []string
	seen := map[string]bool{}
	add := func(some []string) {
		rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		for _, address := range some {
			if !seen[address] {
				seen[address] = true
				addresses = append(addresses, address)
			}
		}
	}
	var connected, known []string
	over.mu.Lock()
	for address := range over.conns {
		connected = append(connected, address)
	}
	over.mu.Unlock()
	s.table.mu.Lock()
	for _, b := range s.table.brokers {
		known = append(known, b.address)
	}
	s.table.mu.Unlock()
	add(connected)
	add(known)
	add(append([]string(nil), s.config.Brokers...))
	var failures []error
	for _, address := range addresses {
		response, err := s.ask(ctx, over, address, request)
		if err == nil || ctx.Err() != nil {
			return response, err
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}
