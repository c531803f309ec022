// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"

	client "github.com/nats-io/nats.go"
)

// guard is a connection that ends when the server says more than a client should
// listen to: the client library makes room for as many bytes as a message is
// said to have, and keeps lines of any length.
type guard struct {
	net.Conn
	largest int             // bytes of a message of the stream
	inbox   func() string   // to which these come
	sent    sentLines       // by the client
	mu      sync.Mutex      // of what follows
	taking  map[string]bool // ids of subscriptions to such inboxes

	line []byte // that has not come as a whole
	left int    // bytes of a message that are still to come
	err  error
}

// maxLine is how long a line may be: what a server says of itself is the longest.
const maxLine = 64 << 10

// maxHeaders is how long headers may be. JetStream takes 64 KiB, and the client
// makes a map of them.
const maxHeaders = 128 << 10

func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(p)
	if g.err = g.follow(p[:n]); g.err != nil {
		return 0, g.err
	}
	return n, err
}

// Write notes which subscriptions are those to messages of the stream. All other
// messages are answers of JetStream, which the client library makes many times
// as much of.
func (g *guard) Write(p []byte) (int, error) {
	if g.inbox != nil {
		g.sent.follow(p, func(line []byte) {
			fields := bytes.Fields(line)
			if inbox := g.inbox(); inbox != "" && len(fields) > 2 && string(fields[0]) == "SUB" && string(fields[1]) == inbox {
				g.mu.Lock()
				defer g.mu.Unlock()
				if g.taking == nil {
					g.taking = map[string]bool{}
				}
				g.taking[string(fields[len(fields)-1])] = true
			}
		})
	}
	return g.Conn.Write(p)
}

// most is how long a message to a subscription may be.
func (g *guard) most(sid []byte) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inbox == nil || g.taking[string(sid)] {
		return g.largest
	}
	return largestAnswer
}

// sentLines follows what the client sends: lines, and messages behind some.
type sentLines struct {
	line []byte
	left int
}

func (s *sentLines) follow(p []byte, line func([]byte)) {
	for len(p) > 0 {
		if s.left > 0 {
			n := min(s.left, len(p))
			p, s.left = p[n:], s.left-n
			continue
		}
		part, rest, whole := bytes.Cut(p, []byte{'\n'})
		s.line, p = append(s.line, part...), rest
		if !whole {
			return
		}
		line(s.line)
		if fields := bytes.Fields(s.line); len(fields) > 1 && (string(fields[0]) == "PUB" || string(fields[0]) == "HPUB") {
			if size, err := strconv.Atoi(string(fields[len(fields)-1])); err == nil {
				s.left = size + len("\r\n")
			}
		}
		s.line = s.line[:0]
	}
}

// follow keeps to where lines and messages end.
func (g *guard) follow(p []byte) error {
	for len(p) > 0 {
		if g.left > 0 {
			n := min(g.left, len(p))
			p, g.left = p[n:], g.left-n
			continue
		}
		line, rest, whole := bytes.Cut(p, []byte{'\n'})
		if len(g.line)+len(line) > maxLine {
			return fmt.Errorf("the server says a line of more than %d bytes", maxLine)
		}
		if !whole {
			g.line = append(g.line, line...)
			return nil
		}
		if len(g.line) > 0 {
			g.line = append(g.line, line...)
			line = g.line
		}
		if err := g.look(line); err != nil {
			return err
		}
		g.line, p = g.line[:0], rest
	}
	return nil
}

// look looks at a line for the size of what follows it.
func (g *guard) look(line []byte) error {
	var word [6]byte
	head := bytes.TrimLeft(line, " \t")
	if len(head) < len("MSG ") || head[0]|0x20 != 'm' && head[0]|0x20 != 'h' {
		return nil
	}
	fields := bytes.Fields(head)
	name := string(bytes.ToUpper(append(word[:0], fields[0][:min(len(fields[0]), len(word))]...)))
	if name != "MSG" && name != "HMSG" || len(fields) < 3 {
		return nil // which the client complains of
	}
	size, err := strconv.ParseUint(string(fields[len(fields)-1]), 10, 62)
	if most := g.most(fields[2]); err != nil || size > uint64(most) {
		return fmt.Errorf("the server says that a message has %.20s bytes, and %d at most are taken", fields[len(fields)-1], most)
	}
	if name == "HMSG" {
		if headers, err := strconv.ParseUint(string(fields[len(fields)-2]), 10, 62); err != nil || headers > maxHeaders {
			return fmt.Errorf("the server says that the headers of a message have %.20s bytes, and %d at most are taken", fields[len(fields)-2], maxHeaders)
		}
	}
	g.left = int(size) + len("\r\n")
	return nil
}

// guarded makes a connection of what was dialed: with TLS if there is to be some,
// since the client library would not show what is in it.
func (d dialer) guarded(ctx context.Context, conn net.Conn, to string) (net.Conn, error) {
	largest := max(d.s.most, largestAnswer)
	inbox := func() string {
		if inbox := d.s.inbox.Load(); inbox != nil {
			return *inbox
		}
		return ""
	}
	if d.s.tls == nil {
		return &guard{Conn: conn, largest: largest, inbox: inbox}, nil
	}
	var said []byte
	if !d.s.config.HandshakeFirst {
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		var err error
		said, err = greeting(conn)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
	}
	config := d.s.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = d.s.nameOf(to)
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", client.ErrTLS, err)
	}
	return &guard{Conn: &after{Conn: secure, said: said}, largest: largest, inbox: inbox}, nil
}

// largestAnswer is what an answer of JetStream may have. It describes a stream or
// a consumer, and 3 bytes of it can become 130.
const largestAnswer = 256 << 10

// SkipTLSHandshake tells the client library that connections have TLS already.
func (d dialer) SkipTLSHandshake() bool { return d.s.tls != nil }

// greeting reads what the server says of itself before TLS, no byte more.
func greeting(conn net.Conn) ([]byte, error) {
	var line []byte
	for one := make([]byte, 1); len(line) == 0 || line[len(line)-1] != '\n'; line = append(line, one[0]) {
		if len(line) > maxLine {
			return nil, fmt.Errorf("the server says a line of more than %d bytes", maxLine)
		}
		if _, err := io.ReadFull(conn, one); err != nil {
			return nil, err
		}
	}
	text, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("INFO "))
	var info struct {
		Required  bool `json:"tls_required"`
		Available bool `json:"tls_available"`
	}
	if err := json.Unmarshal(text, &info); !ok || err != nil {
		return nil, errors.New("the server does not greet as one of NATS does")
	}
	if !info.Required && !info.Available {
		return nil, client.ErrSecureConnWanted
	}
	return line, nil
}

// nameOf is whose certificate a server must have. One that another server has
// told of by its number has the name of that server.
func (s *Source) nameOf(to string) string {
	host, _, err := net.SplitHostPort(to)
	if err != nil {
		host = to
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if net.ParseIP(host) != nil && !slices.Contains(s.config.Servers, to) && s.serverName != "" {
		return s.serverName
	}
	s.serverName = host
	return host
}

// after is a connection of which something was read already.
type after struct {
	net.Conn
	said []byte
}

func (a *after) Read(p []byte) (int, error) {
	if len(a.said) > 0 {
		n := copy(p, a.said)
		a.said = a.said[n:]
		return n, nil
	}
	return a.Conn.Read(p)
}
