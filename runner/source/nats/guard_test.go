// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// TestGuard: what a server says reaches the client library only while it is
// bounded, in whatever pieces it comes.
func TestGuard(t *testing.T) {
	t.Parallel()
	const largest = 1000
	for name, test := range map[string]struct{ said, want string }{
		"as it should":          {"INFO {}\r\nPING\r\nMSG a 1 5\r\nhe\nlo\r\n+OK\r\nHMSG a 1 r 14 16\r\nNATS/1.0\r\nMSG \r\nhi\r\n  msg  b 2 0 \r\n\r\nPONG\r\n", ""},
		"an endless line":       {"INFO {" + strings.Repeat("x", maxLine), "a line of more than 65536 bytes"},
		"a message too large":   {"PING\r\nMSG a 1 1001\r\n", "1001 bytes, and 1000 at most"},
		"in other letters":      {"mSg a 1 99999999999999\r\n", "99999999999999 bytes"},
		"with a reply":          {"MSG a 1 r 1001\r\n", "1001 bytes"},
		"a size that overflows": {"MSG a 1 18446744073709551617\r\n", "18446744073709551617 bytes"},
		"no size":               {"MSG a 1 x\r\n", "x bytes"},
		"after a message":       {"MSG a 1 2\r\nhi\r\nMSG a 1 5000\r\n", "5000 bytes"},
		"large headers":         {"HMSG a 1 200000 1000\r\n", "headers of a message have 200000 bytes"},
	} {
		for _, piece := range []int{1, 3, 1 << 20} {
			g, err := &guard{largest: largest}, error(nil)
			for rest := []byte(test.said); len(rest) > 0 && err == nil; rest = rest[min(piece, len(rest)):] {
				err = g.follow(rest[:min(piece, len(rest))])
			}
			if test.want == "" && (err != nil || len(g.line) > 0 || g.left > 0) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%s, %d at once: %v, should be %q", name, piece, err, test.want)
			}
		}
	}
}

// TestAnswers: only to the inbox of the stream's messages may long ones come, and
// only subscriptions that the client has sent are to that.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, piece := range []int{1, 7, 1 << 20} {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs) //nolint:errcheck // until it is closed
		g := &guard{Conn: ours, largest: 1 << 20, inbox: func() string { return "in.*" }}
		for rest := []byte("CONNECT {}\r\nSUB mux.*  1\r\nPUB x 11\r\nSUB in.*  1\r\nSUB in.* q 12\r\n"); len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			if _, err := g.Write(rest[:min(piece, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		_ = ours.Close()
		for said, fine := range map[string]bool{"MSG a 12 r 1000000\r\n": true, "MSG a 1 r 1000000\r\n": false, "HMSG in.1 1 $JS.ACK.x 12 1000000\r\n": false, "MSG a 1 r 200000\r\n": true} {
			g.left, g.line = 0, nil
			if err := g.follow([]byte(said)); (err == nil) != fine {
				t.Errorf("%q: %v", said, err)
			}
		}
	}
	if _, ok := parseReply("$JS.ACK.s." + strings.Repeat("c", 2000) + ".1.1.1.1700000000000000000.5"); ok {
		t.Error("a reply of 2,000 bytes is taken")
	}
}

// TestAcknowledgements: those that are to be sent are bounded, as are messages
// that wait for theirs.
func TestAcknowledgements(t *testing.T) {
	t.Parallel()
	config := settings.Default().NATS
	config.Retention, config.MaxAckPending = settings.NATSWorkQueue, 10
	s := New(config, 1<<20, nil)
	for range 100 {
		s.again(1, "r")
	}
	if len(s.ackNow) != 20 {
		t.Errorf("%d are to be sent", len(s.ackNow))
	}
	s.session = &session{ended: make(chan error, 1)}
	for i := range uint64(100) {
		if !s.session.over {
			s.add(place{sequence: i + 1}, &client.Msg{Subject: "a"}, 1)
		}
	}
	if len(s.pending) != 31 {
		t.Errorf("%d messages wait", len(s.pending))
	}
}

// TestGreeting: with TLS, nothing is sent before the handshake, and no byte of it
// is taken for something that came before.
func TestGreeting(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"INFO {\"tls_required\":true}\r\nX":    "",
		"INFO {\"tls_available\":true}\r\nX":   "",
		"INFO {}\r\nX":                         client.ErrSecureConnWanted.Error(),
		"HTTP/1.1 400 Bad Request\r\n":         "does not greet",
		"INFO " + strings.Repeat("x", maxLine): "a line of more than",
	} {
		ours, theirs := net.Pipe()
		go io.WriteString(theirs, said) //nolint:errcheck // it is read as far as it needs to be
		line, err := greeting(ours)
		if want == "" && (err != nil || !bytes.HasSuffix(line, []byte("\r\n"))) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: %q, %v", said, line, err)
		}
		_ = ours.Close()
		_ = theirs.Close()
	}
	s := New(settings.Default().NATS, 1<<20, nil)
	s.tls = &tls.Config{}
	s.config.Servers = []string{"nats.example.com:4222", "10.0.0.1:4222"}
	for _, test := range [][2]string{{"nats.example.com:4222", "nats.example.com"}, {"10.0.0.9:4222", "nats.example.com"}, {"10.0.0.1:4222", "10.0.0.1"}, {"b.example.com:4222", "b.example.com"}, {"10.0.0.9:4222", "b.example.com"}} {
		if got := s.nameOf(test[0]); got != test[1] {
			t.Errorf("%s must have the certificate of %s, not %s", test[0], test[1], got)
		}
	}
}

// TestLastSequence: no message is taken whose successor a position cannot name.
func TestLastSequence(t *testing.T) {
	t.Parallel()
	for sequence, want := range map[uint64]bool{1: true, maxSequence: true, math.MaxInt64: false, math.MaxUint64: false} {
		if _, ok := parseReply(fmt.Sprintf("$JS.ACK.s.c.1.%d.1.1700000000000000000.5", sequence)); ok != want {
			t.Errorf("the sequence %d: %v", sequence, ok)
		}
	}
}

// FuzzGuard: whatever a server says, little is kept of it.
func FuzzGuard(f *testing.F) {
	f.Add([]byte("INFO {}\r\nMSG a 1 5\r\nhello\r\n"), 3)
	f.Add([]byte("HMSG a 1 r 12 14\r\n"), 1)
	f.Fuzz(func(t *testing.T, said []byte, piece int) {
		piece = max(1, piece)
		rsstest.Bounded(t, int64(64*len(said)+1<<20), 10*time.Second, func() {
			g := &guard{largest: 1000}
			for rest := said; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				if g.follow(rest[:min(piece, len(rest))]) != nil {
					return
				}
			}
			if g.left > g.largest+2 || len(g.line) > maxLine {
				t.Errorf("%d bytes are skipped, %d are kept", g.left, len(g.line))
			}
		})
	})
}
