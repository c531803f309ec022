// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/binary"
	"fmt"
	"io"
)

// guard reads what a server sends, up to where that is more than one has to say:
// of parameters, all of which the client library keeps, and of how to log in,
// of which it makes a list of texts as short as they like.
type guard struct {
	io.Reader

	head       [5]byte // of a message: its type, and its length with itself
	filled     int
	left       int // bytes of the message
	parameters int // bytes
	ready      bool
	err        error
}

// maxParameters is how many bytes of parameters a server may tell over a
// connection. It has a dozen, and tells of those that change.
const maxParameters = 256 << 10

// maxLogin is how long a message of a server may be before it is ready, and one
// that is about logging in at any time. Other clients take 30,000 bytes at most.
const maxLogin = 64 << 10

func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Reader.Read(p)
	if g.err = g.follow(p[:n]); g.err != nil {
		return 0, g.err
	}
	return n, err
}

func (g *guard) follow(p []byte) error {
	for len(p) > 0 {
		if g.left > 0 {
			n := min(g.left, len(p))
			p, g.left = p[n:], g.left-n
			continue
		}
		n := copy(g.head[g.filled:], p)
		p, g.filled = p[n:], g.filled+n
		if g.filled < len(g.head) {
			return nil
		}
		length := int(binary.BigEndian.Uint32(g.head[1:]))
		g.left, g.filled = max(length-4, 0), 0
		switch g.head[0] {
		case 'S':
			if g.parameters += length; g.parameters > maxParameters {
				return fmt.Errorf("the server tells of parameters in more than %d bytes", maxParameters)
			}
		case 'Z':
			g.ready = true
		}
		if login := g.head[0] == 'R' || g.head[0] == 'v'; (login || !g.ready) && length > maxLogin {
			return fmt.Errorf("the server sends a message of %d bytes while it lets the runner in, and at most %d are read", length, maxLogin)
		}
	}
	return nil
}
