// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rabbitmqcluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// Publisher publishes to a stream by the stream protocol, which takes what
// AMQP 0.9.1 cannot: many messages at once, also compressed.
type Publisher struct {
	conn net.Conn
	read *bufio.Reader
	corr uint32
	next uint64 // publishing id
}

// Compressions of batches.
const (
	Plain = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

const publishTimeout = 20 * time.Second

// AwaitPublisher connects to a node that may just have started: it serves before
// its streams do.
func (n *Node) AwaitPublisher(ctx context.Context, stream string) (*Publisher, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		p, err := n.Publisher(stream)
		if err == nil {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Publisher connects to the node.
func (n *Node) Publisher(stream string) (*Publisher, error) {
	conn, err := net.Dial("tcp", n.Stream())
	if err != nil {
		return nil, err
	}
	p := &Publisher{conn: conn, read: bufio.NewReader(conn)}
	login := "\x00" + User + "\x00" + Password
	steps := []struct {
		key  uint16
		body []byte
	}{
		{17, make([]byte, 4)}, // no properties
		{18, nil},
		{19, append(binary.BigEndian.AppendUint32(text(nil, "PLAIN"), uint32(len(login))), login...)},
		{21, text(nil, "/")},
		{1, text(text([]byte{0}, ""), stream)},
	}
	for _, step := range steps {
		if err = p.ask(step.key, step.body); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return p, nil
}

func text(out []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(out, uint16(len(s))), s...)
}

func (p *Publisher) send(key uint16, body []byte) error {
	if err := p.conn.SetDeadline(time.Now().Add(publishTimeout)); err != nil {
		return err
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))
	frame = binary.BigEndian.AppendUint16(frame, key)
	frame = binary.BigEndian.AppendUint16(frame, 1)
	_, err := p.conn.Write(append(frame, body...))
	return err
}

func (p *Publisher) receive() (key uint16, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(p.read, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err = io.ReadFull(p.read, body)
	return binary.BigEndian.Uint16(head[4:]), body, err
}

func (p *Publisher) ask(key uint16, body []byte) error {
	p.corr++
	if err := p.send(key, append(binary.BigEndian.AppendUint32(nil, p.corr), body...)); err != nil {
		return err
	}
	for {
		got, answer, err := p.receive()
		switch {
		case err != nil:
			return err
		case got == 20: // the node's limits are good
			if err := p.send(20|0x8000, answer); err != nil {
				return err
			}
			if key == 19 {
				return nil
			}
		case got != key|0x8000:
		case len(answer) < 6 || binary.BigEndian.Uint16(answer[4:]) != 1:
			return fmt.Errorf("the node answers command %d with %x", key, answer)
		case key == 19: // the limits follow
		default:
			return nil
		}
	}
}

// Message is a body as a message of AMQP 1.0.
func Message(body []byte) []byte {
	out := append([]byte{0x00, 0x53, 0x75, 0xb0}, binary.BigEndian.AppendUint32(nil, uint32(len(body)))...)
	return append(out, body...)
}

// Publish publishes messages of AMQP 1.0, and waits until they are kept.
func (p *Publisher) Publish(messages ...[]byte) error {
	const atOnce = 512 << 10
	waiting := 0
	for len(messages) > 0 {
		body, n := []byte{0, 0, 0, 0, 0}, 0
		for n < len(messages) && len(body) < atOnce {
			body = binary.BigEndian.AppendUint64(body, p.next)
			body = binary.BigEndian.AppendUint32(body, uint32(len(messages[n])))
			body = append(body, messages[n]...)
			p.next++
			n++
		}
		binary.BigEndian.PutUint32(body[1:], uint32(n))
		if err := p.send(2, body); err != nil {
			return err
		}
		messages, waiting = messages[n:], waiting+n
	}
	return p.await(waiting)
}

// PublishBatch publishes count messages as one entry of the stream: each with its size
// before it, together compressed to packed from size bytes.
func (p *Publisher) PublishBatch(compression byte, count, size int, packed []byte) error {
	body := []byte{0, 0, 0, 0, 1}
	body = binary.BigEndian.AppendUint64(body, p.next)
	p.next++
	body = append(body, 0x80|compression<<4)
	body = binary.BigEndian.AppendUint16(body, uint16(count))
	body = binary.BigEndian.AppendUint32(body, uint32(size))
	body = binary.BigEndian.AppendUint32(body, uint32(len(packed)))
	if err := p.send(2, append(body, packed...)); err != nil {
		return err
	}
	return p.await(1)
}

// StoreOffset keeps the offset of a consumer in a stream, as consumers do.
func (p *Publisher) StoreOffset(stream, consumer string, offset uint64) error {
	return p.send(10, binary.BigEndian.AppendUint64(text(text(nil, consumer), stream), offset))
}

// await waits for confirmations.
func (p *Publisher) await(count int) error {
	for count > 0 {
		key, body, err := p.receive()
		switch {
		case err != nil:
			return err
		case key == 3:
			count -= int(binary.BigEndian.Uint32(body[1:]))
		case key == 4:
			return fmt.Errorf("the node has refused messages: %x", body)
		}
	}
	return nil
}

// Close ends the connection.
func (p *Publisher) Close() { _ = p.conn.Close() }
