// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// impostor is a node that answers as it is told: with a frame for each command,
// after the size. What is left out is answered as a node does.
type impostor struct {
	conn    net.Conn
	answers map[uint16]string
}

func (n *impostor) serve() {
	for {
		var head [8]byte
		if _, err := io.ReadFull(n.conn, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
		if _, err := io.ReadFull(n.conn, body); err != nil {
			return
		}
		key := binary.BigEndian.Uint16(head[4:])
		corr := ""
		if len(body) >= 4 {
			corr = string(body[:4])
		}
		answer, told := n.answers[key]
		if !told {
			switch key {
			case cmdSASLHandshake:
				answer = "\x80\x12\x00\x01CORR\x00\x01\x00\x00\x00\x01\x00\x05PLAIN"
			case cmdSASLAuthenticate:
				answer = "\x80\x13\x00\x01CORR\x00\x01|\x00\x14\x00\x01\x00\x10\x00\x00\x00\x00\x00\x3c"
			case cmdPeerProperties, cmdOpen, cmdSubscribe:
				answer = string([]byte{0x80, byte(key), 0, 1}) + "CORR\x00\x01\x00\x00\x00\x00"
			}
		}
		for frame := range strings.SplitSeq(answer, "|") {
			frame = strings.ReplaceAll(frame, "CORR", corr)
			if raw, ok := strings.CutPrefix(frame, "RAW"); ok {
				frame = raw
			} else if frame != "" {
				frame = string(binary.BigEndian.AppendUint32(nil, uint32(len(frame)))) + frame
			}
			if frame == "" {
				continue
			}
			if _, err := io.WriteString(n.conn, frame); err != nil {
				return
			}
		}
	}
}

func dialImpostor(t *testing.T, ctx context.Context, answers map[uint16]string) (*Conn, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	n := &impostor{theirs, answers}
	go n.serve()
	t.Cleanup(func() { _ = theirs.Close() })
	c, err := Open(ctx, ours, Login{Mechanism: "PLAIN", VHost: "/", Name: "test"}, 1<<10)
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

// TestHostileNodes: whatever a node answers, there is an error that says what,
// or none, and never a wait without end or memory for what is not there.
func TestHostileNodes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers map[uint16]string
		want    string
	}{
		"as it should":           {nil, ""},
		"a huge frame":           {map[uint16]string{cmdPeerProperties: "RAW\xff\xff\xff\xff\x80\x11\x00\x01"}, "a frame of 4294967295 bytes"},
		"a tiny frame":           {map[uint16]string{cmdPeerProperties: "RAW\x00\x00\x00\x01\x80\x11\x00\x01"}, "a frame of 1 bytes"},
		"a long list":            {map[uint16]string{cmdSASLHandshake: "\x80\x12\x00\x01CORR\x00\x01\x00\x0f\xff\xff"}, "a list of 1048575"},
		"a list that is cut off": {map[uint16]string{cmdSASLHandshake: "\x80\x12\x00\x01CORR\x00\x01\x00\x00\x00\x01\x00\x09PLAIN"}, "a frame that is cut off"},
		"no mechanism":           {map[uint16]string{cmdSASLHandshake: "\x80\x12\x00\x01CORR\x00\x01\x00\x00\x00\x01\x00\x08EXTERNAL"}, `no mechanism PLAIN; it has ["EXTERNAL"]`},
		"a wrong password":       {map[uint16]string{cmdSASLAuthenticate: "\x80\x13\x00\x01CORR\x00\x08"}, "the user name or the password is wrong"},
		"no virtual host":        {map[uint16]string{cmdOpen: "\x80\x15\x00\x01CORR\x00\x0c"}, "open the virtual host /: the virtual host does not exist"},
		"an unknown code":        {map[uint16]string{cmdOpen: "\x80\x15\x00\x01CORR\x00\x63"}, "code 99"},
		"an end":                 {map[uint16]string{cmdOpen: "\x00\x16\x00\x01\x00\x00\x00\x01\x00\x0f\x00\x03bye"}, "the node has closed the connection: bye (code 15)"},
		"a chunk nobody asked":   {map[uint16]string{cmdPeerProperties: "\x00\x08\x00\x01\x00"}, "a chunk takes"},
		"others' answers first":  {map[uint16]string{cmdOpen: "\x80\x15\x00\x01\x00\x00\xff\xff\x00\x02|\x80\x63\x00\x01|\x80\x15\x00\x01CORR\x00\x01\x00\x00\x00\x00"}, ""},
	} {
		_, err := dialImpostor(t, t.Context(), test.answers)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, should be %q", name, err, test.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := dialImpostor(t, ctx, map[uint16]string{cmdOpen: ""}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a node that does not answer: %v", err)
	}
}

// chunkFrame is a chunk of one message, as a subscription gets it.
func chunkFrame(id byte, change func(raw []byte)) string {
	data := []byte("\x00\x00\x00\x07\x00\x53\x75\xa0\x02hi")
	raw := make([]byte, headSize)
	raw[0], raw[3], raw[7] = 0x50, 1, 1
	binary.BigEndian.PutUint64(raw[24:], 7)
	binary.BigEndian.PutUint32(raw[32:], checksum(data))
	binary.BigEndian.PutUint32(raw[36:], uint32(len(data)))
	raw = append(raw, data...)
	change(raw)
	return "\x00\x08\x00\x01" + string(id) + string(raw)
}

// TestHostileChunks: a chunk that is not what it says is no chunk.
func TestHostileChunks(t *testing.T) {
	t.Parallel()
	const subscribed = "\x80\x07\x00\x01CORR\x00\x01"
	for name, test := range map[string]struct {
		answer string
		want   string
	}{
		"as it should":           {subscribed + "|" + chunkFrame(0, func([]byte) {}), ""},
		"before the answer":      {chunkFrame(0, func([]byte) {}) + "|" + subscribed, "a chunk before its answer"},
		"of another version":     {subscribed + "|" + chunkFrame(0, func(raw []byte) { raw[0] = 0x60 }), "the unknown format 0x60"},
		"longer than it is":      {subscribed + "|" + chunkFrame(0, func(raw []byte) { raw[37] = 1 }), "is in a frame of"},
		"before offset 0":        {subscribed + "|" + chunkFrame(0, func(raw []byte) { raw[24] = 0x80 }), "at offset -"},
		"with another sum":       {subscribed + "|" + chunkFrame(0, func(raw []byte) { raw[headSize+10] = 'x' }), "its checksum is wrong"},
		"with fewer messages":    {subscribed + "|" + chunkFrame(0, func(raw []byte) { raw[7] = 9 }), "it has 1 messages, not 9"},
		"larger than memory":     {subscribed + "|\x00\x08\x00\x01\x00" + strings.Repeat("x", 2<<10), "there is memory for 1024"},
		"of a stream that moves": {subscribed + "|\x00\x10\x00\x01\x00\x06\x00\x01s", "the stream is not available"},
		"that is not to be read": {"\x80\x07\x00\x01CORR\x00\x10", "this user may not read it"},
	} {
		c, err := dialImpostor(t, t.Context(), map[uint16]string{cmdSubscribe: test.answer})
		if err != nil {
			t.Fatal(err)
		}
		body := ""
		if err = c.Subscribe(0, "s", First, 1); err == nil {
			var chunk *Chunk
			if chunk, err = c.Receive(func(_ uint8, h Head) ([]byte, error) { return make([]byte, h.Bytes), nil }); err == nil {
				var r Reader
				err = r.Messages(chunk, nil, func(offset int64, raw []byte) error {
					m, err := ParseMessage(raw, nil)
					body = string(m.Body)
					if offset != 7 {
						t.Errorf("%s: offset %d", name, offset)
					}
					return err
				}, func(_ int64, _ int, why error) error { return why })
			}
		}
		if test.want == "" && (err != nil || body != "hi") || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %q, %v, should be %q", name, body, err, test.want)
		}
	}
}
