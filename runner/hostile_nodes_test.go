// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
)

// served calls serve with each connection to an address until the test is over.
func served(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // it is over
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// ended says whether the runner has ended since an operator has to decide, and
// fails the test if it has for another reason.
func (p *process) ended(t *testing.T) bool {
	t.Helper()
	if _, runs := p.memory(t); runs {
		return false
	}
	text := p.log.String()
	if !strings.Contains(text, spoutlog.Ends) || strings.Contains(text, "panic: ") || strings.Contains(text, "fatal error: ") {
		t.Fatal("the runner has ended")
	}
	t.Log("the runner has ended in good order")
	return true
}

// within is how long an attack lasts: until so many records are ingested, or for a
// while if there are none.
func within(records int64) time.Duration {
	const attacked, patience = 5 * time.Second, time.Minute
	if records == 0 {
		return attacked
	}
	return patience
}

// enough is with how many records an attack is over: that which is to have none
// goes on for its while.
func enough(records int64) int64 {
	if records == 0 {
		return 1 << 60
	}
	return records
}

// against runs the runner for a while against a server, and fails the test if
// that takes more memory than it may. It returns what was ingested.
func against(t *testing.T, s settings.Settings, while time.Duration, enough int64, secrets ...string) (all spoutcommit.Description, p *process) {
	t.Helper()
	s.HTTPPort = 0
	if s.Batch.MaxAge == settings.Default().Batch.MaxAge {
		s.Batch.MaxAge = settings.Duration(time.Second)
	}
	server := pachtest.New(t)
	p = startRunnerWith(t, server, s, 0, secrets...)
	began, longest := time.Now(), 0
	for time.Since(began) < while && all.Written+all.DeadLettered < enough {
		if p.ended(t) {
			return all, p
		}
		time.Sleep(50 * time.Millisecond)
		all = spoutcommit.Description{}
		for _, c := range server.Commits("default", "spout", "master") {
			longest = max(longest, len(c.Description))
			if d, ok, err := spoutcommit.ParseDescription(c.Description); ok && err == nil {
				all.Written, all.DeadLettered, all.Bytes = all.Written+d.Written, all.DeadLettered+d.DeadLettered, all.Bytes+d.Bytes
			}
		}
	}
	if p.ended(t) {
		return all, p
	}
	peak, _ := p.memory(t)
	t.Logf("%d MiB of memory, %d records with %d bytes after %.1f s, descriptions of %d bytes at most, %d bytes of log", peak>>20, all.Written, all.Bytes, time.Since(began).Seconds(), longest, len(p.log.String()))
	if longest > 1<<20 {
		t.Errorf("a commit's description has %d bytes", longest)
	}
	if most := rsstest.Most(int64(s.MemoryBudget)); peak > most {
		t.Errorf("%d MiB were taken in place of %d at most", peak>>20, most>>20)
	}
	return all, p
}

// streamNode is a node of RabbitMQ whose stream "hostile" is one chunk that
// comes again and again: so many messages each, in so many entries.
type streamNode struct {
	entries, messages int
	data              []byte
}

func (n *streamNode) chunk(subscription byte, offset int64) []byte {
	raw := make([]byte, 48, 48+len(n.data))
	raw[0] = 0x50
	binary.BigEndian.PutUint16(raw[2:], uint16(n.entries))
	binary.BigEndian.PutUint32(raw[4:], uint32(n.messages))
	binary.BigEndian.PutUint64(raw[8:], 1_700_000_000_000)
	binary.BigEndian.PutUint64(raw[24:], uint64(offset))
	binary.BigEndian.PutUint32(raw[32:], crc32.ChecksumIEEE(n.data))
	binary.BigEndian.PutUint32(raw[36:], uint32(len(n.data)))
	return append(append([]byte{0, 8, 0, 1, subscription}, raw...), n.data...)
}

func (n *streamNode) serve(conn net.Conn) {
	host, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	send := func(frame []byte) { //nolint:errcheck // the runner is gone then
		_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	}
	text := func(out []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint16(out, uint16(len(s))), s...)
	}
	offset := int64(0)
	for {
		var head [4]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(conn, frame); err != nil {
			return
		}
		key, body := binary.BigEndian.Uint16(frame), frame[4:]
		answer := func() []byte {
			out := binary.BigEndian.AppendUint16(nil, key|0x8000)
			return append(append(out, 0, 1), body[:4]...)
		}
		ok := func() []byte { return append(answer(), 0, 1) }
		switch key {
		case 17, 21: // properties, open
			send(append(ok(), 0, 0, 0, 0))
		case 18: // mechanisms
			send(text(append(ok(), 0, 0, 0, 1), "PLAIN"))
		case 19: // log in, and limits
			send(ok())
			send([]byte{0, 20, 0, 1, 0, 16, 0, 0, 0, 0, 0, 60})
		case 15: // metadata
			out := text(append(answer(), 0, 0, 0, 1, 0, 0), host)
			number, _ := net.LookupPort("tcp", port) //nolint:errcheck // it is a number
			out = binary.BigEndian.AppendUint32(out, uint32(number))
			out = text(append(out, 0, 0, 0, 1), "hostile")
			send(append(out, 0, 1, 0, 0, 0, 0, 0, 0))
		case 7: // subscribe
			send(ok())
			subscription, rest := body[4], body[5+2+len("hostile"):]
			kind := binary.BigEndian.Uint16(rest)
			rest = rest[2:]
			at := int64(0)
			if kind == 4 {
				at = int64(binary.BigEndian.Uint64(rest)) / int64(n.messages) * int64(n.messages)
			}
			if kind >= 4 {
				rest = rest[8:]
			}
			if kind == 2 { // the last one
				send(n.chunk(subscription, 1<<40))
				continue
			}
			for offset = at; len(rest) == 2 && offset < at+int64(binary.BigEndian.Uint16(rest))*int64(n.messages); offset += int64(n.messages) {
				send(n.chunk(subscription, offset))
			}
		case 9: // credit
			send(n.chunk(body[0], offset))
			offset += int64(n.messages)
		case 12:
			send(ok())
		}
	}
}

// amqpNode is a node of RabbitMQ that sends what it is told to whoever consumes
// of a queue.
type amqpNode struct {
	frameMax uint32
	before   []byte // in place of the first frame
	refuses  bool   // the login, in words that it was sent
	deliver  func(conn net.Conn, consumer string)
}

func amqpFrame(kind byte, channel uint16, payload []byte) []byte {
	out := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	out = binary.BigEndian.AppendUint32(out, uint32(len(payload)))
	return append(append(out, payload...), 0xCE)
}

func amqpMethod(channel, class, method uint16, arguments ...byte) []byte {
	payload := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, class), method)
	return amqpFrame(1, channel, append(payload, arguments...))
}

// amqpDeliver says that a message follows.
func amqpDeliver(consumer string, tag uint64) []byte {
	arguments := binary.BigEndian.AppendUint64(append([]byte{byte(len(consumer))}, consumer...), tag)
	return amqpMethod(1, 60, 60, append(arguments, 0, 0, 1, 'k')...)
}

// amqpMessage is a message of a queue, with properties as they are encoded.
func amqpMessage(consumer string, tag uint64, properties, body []byte) []byte {
	const channel = 1
	out := amqpDeliver(consumer, tag)
	header := binary.BigEndian.AppendUint64([]byte{0, 60, 0, 0}, uint64(len(body)))
	out = append(out, amqpFrame(2, channel, append(header, properties...))...)
	if len(body) > 0 {
		out = append(out, amqpFrame(3, channel, body)...)
	}
	return out
}

func (n *amqpNode) serve(conn net.Conn) {
	var hello [8]byte
	if _, err := io.ReadFull(conn, hello[:]); err != nil {
		return
	}
	send := func(b []byte) { _, _ = conn.Write(b) } //nolint:errcheck // the runner is gone then
	if n.before != nil {
		send(n.before)
		return
	}
	send(amqpMethod(0, 10, 10, []byte("\x00\x09\x00\x00\x00\x00\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US")...))
	for {
		var head [7]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(conn, payload); err != nil {
			return
		}
		if head[0] != 1 {
			continue
		}
		channel := binary.BigEndian.Uint16(head[1:])
		switch class, method := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]); {
		case class == 10 && method == 11 && n.refuses:
			words := "no: " + string(payload[bytes.LastIndexByte(payload[:len(payload)-8], 0):][:len(secretText)+1]) // the end is the locale
			send(amqpMethod(0, 10, 50, append(append([]byte{1, 0x93, byte(len(words))}, words...), 0, 0, 0, 0)...))
		case class == 10 && method == 11:
			send(amqpMethod(0, 10, 30, append(binary.BigEndian.AppendUint32([]byte{7, 0xff}, n.frameMax), 0, 10)...))
		case class == 10 && method == 40:
			send(amqpMethod(0, 10, 41, 0))
		case class == 20 && method == 10:
			send(amqpMethod(channel, 20, 11, 0, 0, 0, 0))
		case class == 20 && method == 40:
			send(amqpMethod(channel, 20, 41))
		case class == 50 && method == 10:
			send(amqpMethod(channel, 50, 11, []byte("\x07hostile\x00\x00\x00\x00\x00\x00\x00\x01")...))
		case class == 60 && method == 10:
			send(amqpMethod(channel, 60, 11))
		case class == 60 && method == 20:
			tag := payload[4+2+1+len("hostile")]
			name := payload[4+2+1+len("hostile")+1:][:tag]
			send(amqpMethod(channel, 60, 21, append([]byte{tag}, name...)...))
			if n.deliver != nil {
				go n.deliver(conn, string(name))
			}
		}
	}
}

var guest = []string{"SPOUT_RABBITMQ_USERNAME=guest", "SPOUT_RABBITMQ_PASSWORD=" + secretText}

func rabbitMQ(address string, budget settings.Bytes) settings.Settings {
	s := settings.Default()
	s.Source, s.File.Format, s.MemoryBudget, s.Record.OnRefused = "rabbitmq", "jsonl", budget, "dead_letter"
	s.RabbitMQ.Addresses = []string{address}
	return s
}

// amqpHeaders are properties with a table of so many entries in so many tables,
// each as small as it can be.
func amqpHeaders(tables, entries int) []byte {
	var table []byte
	for i := range tables {
		var inner []byte
		for j := range entries {
			inner = append(inner, 2, byte(j), byte(j>>8), 'V')
		}
		table = append(table, 2, byte(i), byte(i>>8), 'F')
		table = append(binary.BigEndian.AppendUint32(table, uint32(len(inner))), inner...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0x20, 0}, uint32(len(table))), table...)
}

// alone skips a test that measures unless it is asked for.
func alone(t *testing.T) {
	t.Helper()
	if os.Getenv("HOSTILE") == "" {
		t.Skip("make test-hostile tries it: what a process takes is measured with nothing else at work")
	}
}

// pour sends something again and again, until nobody takes it.
func pour(conn net.Conn, text []byte, times int) {
	for range times {
		if _, err := conn.Write(text); err != nil {
			return
		}
	}
}

// TestHostileQueues: whatever a node sends, or somebody publishes.
func TestHostileQueues(t *testing.T) {
	alone(t)
	properties := amqpHeaders(4, 8000)
	headers := &amqpNode{frameMax: 131072, deliver: func(conn net.Conn, consumer string) {
		for tag := uint64(1); tag < 10_000; tag++ {
			if _, err := conn.Write(amqpMessage(consumer, tag, properties, nil)); err != nil {
				return
			}
		}
	}}
	zeros := make([]byte, 1<<20)
	for _, test := range []struct {
		name    string
		node    *amqpNode
		records int64
	}{
		{"headers that are many", headers, 50},
		{"a password that is repeated", &amqpNode{refuses: true}, 0},
		{"a header without an end", &amqpNode{deliver: func(conn net.Conn, consumer string) {
			pour(conn, amqpDeliver(consumer, 1), 1)
			header := append([]byte{2, 0, 1, 0x7F, 0, 0, 0, 0, 60}, make([]byte, 10)...)
			pour(conn, append(header, 0x20, 0, 0x7E, 0, 0, 0, 1, 'x', 'S', 0x7D, 0, 0, 0), 1)
			pour(conn, zeros, 2000)
		}}, 0},
		{"a method without an end", &amqpNode{deliver: func(conn net.Conn, _ string) {
			pour(conn, []byte{1, 0, 1, 0x7F, 0, 0, 0, 0, 60, 0, 50, 0, 0, 0, 0, 0, 0}, 1)
			pour(conn, zeros, 2000)
		}}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := rabbitMQ(served(t, test.node.serve), 64<<20)
			s.RabbitMQ.Queues = []string{"hostile"}
			all, p := against(t, s, within(test.records), enough(test.records), guest...)
			if all.Written < test.records {
				t.Errorf("there are only %d records", all.Written)
			}
			p.discreet(t)
		})
	}
}

// TestHostileStreams: whatever somebody publishes to a stream.
func TestHostileStreams(t *testing.T) {
	alone(t)
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packer.Close() }) //nolint:errcheck // it writes nothing
	one := func(message string) *streamNode {
		return &streamNode{1, 1, append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)}
	}
	keys := []byte("\xa1\x01\"")
	for range 28 {
		body := append(append([]byte{0, 0, 0, 2}, keys...), 0x40)
		keys = append(binary.BigEndian.AppendUint32([]byte{0xd1}, uint32(len(body))), body...)
	}
	batch := func(kind byte, count uint16, plain int, packed []byte) []byte {
		data := binary.BigEndian.AppendUint16([]byte{0x80 | kind<<4}, count)
		data = binary.BigEndian.AppendUint32(data, uint32(plain))
		return append(binary.BigEndian.AppendUint32(data, uint32(len(packed))), packed...)
	}
	const empty, large = 65535, 3<<20 - 64
	zeros := packer.EncodeAll(make([]byte, 4*empty), nil)
	texts := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, large-4), 0x005375b0)
	texts = append(binary.BigEndian.AppendUint32(texts, large-4-8), bytes.Repeat([]byte("x"), large-4-8)...)
	names := strings.Repeat("\xa1\x01a\x40", 250_000)
	for _, test := range []struct {
		name    string
		node    *streamNode
		records int64
	}{
		{"many sections", one(strings.Repeat("\x00\x53\x75\xa0\x01x", 1<<20/6)), 100},
		{"keys in keys", one("\x00\x53\x77" + string(keys)), 1000},
		{"no AMQP 1.0", one("hello world"), 1000},
		{"many headers", one("\x00\x53\x74\xd1" + string(binary.BigEndian.AppendUint32(nil, uint32(len(names)+4))) + string(binary.BigEndian.AppendUint32(nil, 500_000)) + names), 20},
		{"empty messages in batches", &streamNode{1000, 1000 * empty, bytes.Repeat(batch(4, empty, 4*empty, zeros), 1000)}, 1_000_000},
		{"large batches", &streamNode{20, 20, bytes.Repeat(batch(4, 1, large, packer.EncodeAll(texts, nil)), 20)}, 40},
		{"batches that are no zstd", &streamNode{2, 11, append(batch(4, 10, 1<<32-1, []byte("xxxx")), "\x00\x00\x00\x05hello"...)}, 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := rabbitMQ(served(t, test.node.serve), 64<<20)
			s.RabbitMQ.Streams, s.RabbitMQ.OnGap = []string{"hostile"}, "skip"
			if all, _ := against(t, s, within(test.records), test.records, guest...); all.Written < test.records {
				t.Errorf("there are only %d records", all.Written)
			}
		})
	}
}
