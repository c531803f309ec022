// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/klauspost/compress/zstd"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq/wire"
)

// madeUp is a stream of which chunks are read that no node has sent.
type madeUp struct {
	*Streams
	part     *part
	packer   *zstd.Encoder
	offsets  []int64
	values   []string
	gaps     []source.Gap
	finished chan struct{}
}

func newMadeUp(t *testing.T, change func(*settings.RabbitMQ)) *madeUp {
	t.Helper()
	s := settings.Default()
	s.RabbitMQ.Streams = []string{"s"}
	change(&s.RabbitMQ)
	r := &madeUp{Streams: newStreams(s.RabbitMQ, source.Options{Memory: 2 << 20, Log: hclog.NewNullLogger()}), finished: make(chan struct{})}
	r.position = &positions.Position{Streams: map[string]*positions.Stream{"s": {Begin: "first"}}}
	r.ctx, r.cancel = context.WithCancel(t.Context())
	r.part = newPart(r.Streams, "s", 0)
	r.parts["s"] = r.part
	var err error
	if r.packer, err = zstd.NewWriter(nil); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.finished)
		for chunk := range r.chunks {
			if chunk.Gap != nil {
				r.gaps = append(r.gaps, *chunk.Gap)
			}
			for i := range chunk.Records {
				r.offsets, r.values = append(r.offsets, chunk.Records[i].Offset), append(r.values, string(chunk.Records[i].Value))
			}
			r.Consume(chunk, len(chunk.Records))
			chunk.Release()
		}
	}()
	return r
}

// accept reads a chunk.
func (r *madeUp) accept(t *testing.T, first int64, messages int, entries ...[]byte) error {
	t.Helper()
	data := bytes.Join(entries, nil)
	raw := make([]byte, 48)
	raw[0] = 0x50
	binary.BigEndian.PutUint16(raw[2:], uint16(len(entries)))
	binary.BigEndian.PutUint32(raw[4:], uint32(messages))
	binary.BigEndian.PutUint64(raw[8:], 1700)
	binary.BigEndian.PutUint64(raw[24:], uint64(first))
	binary.BigEndian.PutUint32(raw[32:], crc32.ChecksumIEEE(data))
	binary.BigEndian.PutUint32(raw[36:], uint32(len(data)))
	head, err := wire.ParseHead(raw)
	if err != nil {
		t.Fatal(err)
	}
	u, err := r.take(r.part, head)
	if err != nil {
		t.Fatal(err)
	}
	copy(u.raw.buffer, data)
	_, err = r.part.accept(u, &wire.Chunk{Head: head, Data: u.raw.buffer}, true)
	return err
}

// end waits until all was read, and says whether all memory was given back.
func (r *madeUp) end(t *testing.T) {
	t.Helper()
	close(r.chunks)
	<-r.finished
	if held := r.held.Load(); held != 0 || !r.raw.TryAcquire(r.memory) || !r.unpacked.TryAcquire(r.memory) || !r.unpack.TryLock() {
		t.Errorf("%d bytes are held", held)
	}
}

func entry(body string) []byte {
	message := "\x00\x53\x75\xb0" + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

func (r *madeUp) batch(count int, plain string, claim int) []byte {
	packed := r.packer.EncodeAll([]byte(plain), nil)
	data := binary.BigEndian.AppendUint16([]byte{0x80 | 4<<4}, uint16(count))
	data = binary.BigEndian.AppendUint32(data, uint32(claim))
	return append(binary.BigEndian.AppendUint32(data, uint32(len(packed))), packed...)
}

// TestPieces: a few bytes that are many messages, or large ones, are handed on in
// pieces, all of them once and in order, within the memory.
func TestPieces(t *testing.T) {
	t.Parallel()
	r := newMadeUp(t, func(*settings.RabbitMQ) {})
	var most int64
	done := make(chan struct{})
	go func() {
		for ; ; time.Sleep(100 * time.Microsecond) {
			select {
			case <-done:
				return
			default:
				most = max(most, r.held.Load())
			}
		}
	}()
	var next int64
	empty := strings.Repeat("\x00\x00\x00\x00", 60_000)
	var entries [][]byte
	for range 20 {
		entries = append(entries, r.batch(60_000, empty, len(empty)))
	}
	if err := r.accept(t, next, 20*60_000, entries...); err != nil {
		t.Fatal(err)
	}
	next += 20 * 60_000
	entries = nil
	for i := range 30 { // larger in all than the memory
		large := string(entry(strings.Repeat("x", 150_000)))
		entries = append(entries, entry(fmt.Sprint(i)), r.batch(1, large, len(large)))
	}
	if err := r.accept(t, next, 60, entries...); err != nil {
		t.Fatal(err)
	}
	next += 60
	if err := r.accept(t, next, 1, []byte("\x00\x00\x00\x05hello")); err != nil { // no AMQP 1.0
		t.Fatal(err)
	}
	next++
	r.end(t)
	close(done)
	if most > 2*r.memory {
		t.Errorf("%d bytes were taken", most)
	}
	if int64(len(r.offsets)) != next || len(r.gaps) > 0 {
		t.Fatalf("%d messages of %d, gaps %v", len(r.offsets), next, r.gaps)
	}
	for i, offset := range r.offsets {
		if offset != int64(i) {
			t.Fatalf("message %d is at offset %d", i, offset)
		}
	}
	if r.values[20*60_000+2] != "1" || len(r.values[20*60_000+3]) != 150_000 || r.values[next-1] != "hello" {
		t.Errorf("%.20q", r.values[20*60_000+2:])
	}
	if mark := r.position.Streams["s"]; mark.Next != next || mark.Sum != crc32.Checksum([]byte("hello"), castagnoli) {
		t.Errorf("%+v", mark)
	}
}

// TestUnreadableBatches: what a publisher has made unreadable stops the runner,
// with the way out in the message, or is a gap.
func TestUnreadableBatches(t *testing.T) {
	t.Parallel()
	r := newMadeUp(t, func(*settings.RabbitMQ) {})
	err := r.accept(t, 0, 3, entry("a"), r.batch(2, "xxxx", 1<<32-1))
	if !source.IsStop(err) || !strings.Contains(err.Error(), "messages 1 to 2 cannot be read") || !strings.Contains(err.Error(), "SPOUT_RABBITMQ_ON_GAP=skip") {
		t.Error(err)
	}
	r.end(t)

	r = newMadeUp(t, func(s *settings.RabbitMQ) { s.OnGap = "skip" })
	for _, step := range []struct {
		first    int64
		messages int
		entries  [][]byte
	}{
		{0, 4, [][]byte{entry("a"), r.batch(2, "xxxx", 1<<32-1), entry("b")}},
		{4, 3, [][]byte{entry("c"), r.batch(2, "xxxx", 100)}},
		{7, 2, [][]byte{r.batch(2, "xxxx", 100)}},
		{9, 20, [][]byte{r.batch(20, "xxxx", 100)}},
		{29, 1, [][]byte{entry("d")}},
	} {
		if err := r.accept(t, step.first, step.messages, step.entries...); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.accept(t, 50, 1, entry("e")); err != errHole { //nolint:errorlint // it is not wrapped
		t.Errorf("a hole after what was left out: %v", err)
	}
	r.end(t)
	if got := fmt.Sprint(r.values, r.offsets); got != "[a b c d] [0 3 4 29]" {
		t.Error(got)
	}
	var gaps []string
	for _, g := range r.gaps {
		gaps = append(gaps, fmt.Sprint(g.From, "-", g.To))
	}
	if got := strings.Join(gaps, " "); got != "1-3 5-29" {
		t.Error(got)
	}
	if mark := r.position.Streams["s"]; mark.Next != 30 {
		t.Errorf("%+v", mark)
	}
}
