// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	client "github.com/nats-io/nats.go"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// place is what the reply subject of a message tells.
type place struct {
	sequence  uint64 // in the stream
	delivered uint64 // by the consumer
	time      int64  // ns since 1970
	pending   uint64 // messages that the consumer has after it
}

// maxSequence leaves room for the one after it: a position that says more is
// refused.
const maxSequence = math.MaxInt64 - 1

// maxReply is how long the subject may be on which a message is acknowledged: it
// is kept until that is done. Names have 255 bytes at most.
const maxReply = 1024

// parseReply reads the subject on which a message is acknowledged:
//
//	$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<delivered>.<time>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<deliveries>.<sequence>.<delivered>.<time>.<pending>[.<token>]
//
// It is not ok if the message is none of a stream.
func parseReply(reply string) (p place, ok bool) {
	rest, ok := strings.CutPrefix(reply, "$JS.ACK.")
	if !ok || len(reply) > maxReply {
		return p, false
	}
	skip := 3
	if strings.Count(rest, ".") > 6 {
		skip = 5
	}
	for ; skip > 0; skip-- {
		if _, rest, ok = strings.Cut(rest, "."); !ok {
			return p, false
		}
	}
	var numbers [4]uint64
	for i := range numbers {
		var token string
		token, rest, _ = strings.Cut(rest, ".")
		n, err := strconv.ParseUint(token, 10, 63)
		if err != nil || n > maxSequence {
			return p, false
		}
		numbers[i] = n
	}
	return place{numbers[0], numbers[1], int64(numbers[2]), numbers[3]}, numbers[0] > 0
}

// key is the bytes of a subject. Messages of one subject in a row share them.
func (c *chunk) key(subject string) []byte {
	if subject != c.lastName || c.lastKey == nil {
		from := len(c.arena)
		c.arena = append(c.arena, subject...)
		c.lastName, c.lastKey = subject, c.arena[from:len(c.arena):len(c.arena)]
	}
	return c.lastKey
}

// headers are those of a message, in the order of their names: the client does
// not keep another one.
func (c *chunk) headers(from client.Header) (h source.Headers) {
	if len(from) == 0 {
		return h
	}
	begin := len(c.arena)
	h.Raw = c.arena[begin:]
	for _, name := range slices.Sorted(maps.Keys(from)) {
		for _, value := range from[name] {
			h.Append(name, []byte(value))
		}
	}
	c.arena = append(c.arena[:begin], h.Raw...)
	h.Raw = c.arena[begin:len(c.arena):len(c.arena)]
	return h
}

// render writes a request.
func (p pull) render() []byte {
	out := append(make([]byte, 0, 96), `{"batch":`...)
	out = strconv.AppendInt(out, int64(p.Batch), 10)
	out = append(out, `,"max_bytes":`...)
	out = strconv.AppendInt(out, int64(p.MaxBytes), 10)
	out = append(out, `,"expires":`...)
	out = strconv.AppendInt(out, int64(p.Expires), 10)
	out = append(out, `,"idle_heartbeat":`...)
	out = strconv.AppendInt(out, int64(p.Heartbeat), 10)
	return append(out, '}')
}
