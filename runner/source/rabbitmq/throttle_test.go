// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"encoding/binary"
	"testing"
)

// frameOf is the beginning of a frame of AMQP 0.9.1.
func frameOf(kind byte, channel uint16, size int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{kind}, channel), uint32(size))
}

// headerOf is a header's frame with so many bytes of properties.
func headerOf(channel uint16, body uint64, properties int) []byte {
	raw := binary.BigEndian.AppendUint64(append(frameOf(typeHeader, channel, contentHead+properties), 0, 60, 0, 0), body)
	return append(append(raw, make([]byte, properties)...), 0xCE)
}

func bodyFrame(channel uint16, n int) []byte {
	return append(append(frameOf(typeBody, channel, n), make([]byte, n)...), 0xCE)
}

// TestThrottleCountsHeaders: the client library makes maps of headers, which
// take many times as much as they do on the wire.
func TestThrottleCountsHeaders(t *testing.T) {
	t.Parallel()
	const messages, properties, limit = 20, 10_000, 64 << 20
	c := newThrottle(nil, limit)
	for range messages {
		c.follow(headerOf(1, 0, properties))
	}
	if c.tables < messages*properties*20 || c.untaken != messages {
		t.Errorf("%d bytes are counted for the headers of %d messages", c.tables, c.untaken)
	}
	for range messages {
		c.took(properties)
	}
	if c.tables != 0 || c.held != messages*(sizeOf(0)+properties) {
		t.Errorf("%d bytes are counted, and %d of headers that are text", c.held, c.tables)
	}
	c.follow(headerOf(1, 0, 1<<40>>20))
	if c.tables > limit/2 {
		t.Errorf("a message counts %d, and is never read to its end", c.tables)
	}
	c.follow(headerOf(1, 1<<63, 0))
	if c.tooLarge == 0 {
		t.Error("a message of a negative size is taken")
	}
}

// TestThrottleCountsParts: parts of messages count, too, however many channels
// they come on.
func TestThrottleCountsParts(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	c := newThrottle(nil, limit)
	for n := range 3 { // one after the other is as it should be, and so is one that is given up
		c.follow(headerOf(1, limit, 0))
		c.follow(bodyFrame(1, limit/2))
		if n > 0 {
			c.follow(bodyFrame(1, limit/2))
		}
	}
	if c.tooLarge > 0 || c.partial != 0 || c.held != 2*sizeOf(limit) {
		t.Errorf("%d bytes of parts, %d of messages; too large: %d", c.partial, c.held, c.tooLarge)
	}
	for channel := range uint16(10) {
		c.follow(headerOf(channel, limit, 0))
		c.follow(bodyFrame(channel, limit/2))
	}
	if c.tooLarge == 0 {
		t.Errorf("%d bytes of parts are held", c.partial)
	}
}
