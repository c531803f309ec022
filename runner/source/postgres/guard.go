// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/binary"
	"fmt"
	"io"
)

// guard reads what a server sends, up to where it tells of more parameters than
// one has: the client library keeps them all.
type guard struct {
	io.Reader

	head       [5]byte // of a message: its type, and its length with itself
	filled     int
	left       int // bytes of the message
	parameters int // bytes
	err        error
}

// maxParameters is how many bytes of parameters a server may tell over a
// connection. It has a dozen, and tells of those that change.
const maxParameters = 256 << 10

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
		if g.head[0] == 'S' {
			if g.parameters += length; g.parameters > maxParameters {
				return fmt.Errorf("the server tells of parameters in more than %d bytes", maxParameters)
			}
		}
	}
	return nil
}
