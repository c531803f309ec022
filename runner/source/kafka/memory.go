// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// memory keeps the bytes of fetched and decompressed data, and of the record
// tables that point into them, under a budget.
//
// Fetched responses queue for room in the order of their arrival. Decoding
// goes before them, since it is what turns responses into chunks that the
// caller can give back. Two requests are granted whatever the budget says, or
// nothing would move: a response while nothing at all is held, and decoding
// while the caller holds no chunk whose release could make room, by one decoder
// at a time. The budget can therefore be exceeded by one batch.
type memory struct {
	budget int64

	mu      sync.Mutex
	changed sync.Cond
	used    int64
	peak    int64
	lent    int // chunks with data that were handed out and are not released
	queue   []*int64

	exceeding *decoder // the one that may decode beyond the budget, until its part is decoded

	control *semaphore.Weighted // for answers that are no fetches
}

func newMemory(budget int64) *memory {
	m := &memory{budget: budget, control: semaphore.NewWeighted(maxControl)}
	m.changed.L = &m.mu
	return m
}

// awaitRoom blocks until less than the whole budget is used.
func (m *memory) awaitRoom(ctx context.Context) error {
	return m.await(ctx, func() bool { return m.used < m.budget }, func() {})
}

// acquireFetch blocks until a response of n bytes may be read.
func (m *memory) acquireFetch(ctx context.Context, n int64) error {
	ticket := &n
	m.mu.Lock()
	m.queue = append(m.queue, ticket)
	m.mu.Unlock()
	leave := func() {
		m.queue = slices.DeleteFunc(m.queue, func(t *int64) bool { return t == ticket })
		m.changed.Broadcast()
	}
	err := m.await(ctx, func() bool {
		return m.queue[0] == ticket && (m.used+n <= m.budget || m.used == 0)
	}, func() { m.add(n); leave() })
	if err != nil {
		m.mu.Lock()
		leave()
		m.mu.Unlock()
	}
	return err
}

// waitedFor says whether a response waits for room.
func (m *memory) waitedFor() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue) > 0
}

// acquireControl blocks until an answer of n bytes, other than to a fetch, may
// be read. They have room of their own and don't wait for that of fetches, as
// fetching waits for what they tell; fetching waits for what they take.
func (m *memory) acquireControl(ctx context.Context, n int64) error {
	if err := m.control.Acquire(ctx, n); err != nil {
		return err
	}
	m.adjust(n)
	return nil
}

func (m *memory) releaseControl(n int64) {
	m.adjust(-n)
	m.control.Release(n)
}

// acquireDecode blocks until d may take n bytes. Before it blocks it has d hand
// out what was decoded so far.
func (m *memory) acquireDecode(ctx context.Context, n int64, d *decoder) error {
	m.mu.Lock()
	if m.used+n <= m.budget {
		m.add(n)
		m.mu.Unlock()
		return nil
	}
	m.mu.Unlock()
	if err := d.flush(); err != nil {
		return err
	}
	return m.await(ctx, func() bool {
		return m.used+n <= m.budget || m.lent == 0 && (m.exceeding == nil || m.exceeding == d)
	}, func() {
		if m.used+n > m.budget {
			m.exceeding = d
		}
		m.add(n)
	})
}

// within notes that d has decoded what it had.
func (m *memory) within(d *decoder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exceeding == d {
		m.exceeding = nil
		m.changed.Broadcast()
	}
}

// await blocks until ready and calls then, both under the lock.
func (m *memory) await(ctx context.Context, ready func() bool, then func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ready() {
		then()
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.changed.Broadcast()
	})
	defer stop()
	for !ready() {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.changed.Wait()
	}
	then()
	return nil
}

func (m *memory) add(n int64) {
	m.used += n
	m.peak = max(m.peak, m.used)
}

// adjust takes (or, if n is negative, gives back) n bytes at once.
func (m *memory) adjust(n int64) {
	m.mu.Lock()
	m.add(n)
	m.changed.Broadcast()
	m.mu.Unlock()
}

// lend notes that a chunk with data is handed out.
func (m *memory) lend() {
	m.mu.Lock()
	m.lent++
	m.mu.Unlock()
}

// giveBack gives back n bytes of a chunk, and the chunk itself if it was lent.
func (m *memory) giveBack(n int64, lent bool) {
	m.mu.Lock()
	m.used -= n
	if lent {
		m.lent--
	}
	m.changed.Broadcast()
	m.mu.Unlock()
}

func (m *memory) usage() (used, peak int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, m.peak
}

// buffer is pooled memory, given back when the last reference to it is.
type buffer struct {
	data   []byte
	held   int64 // bytes taken from the budget
	refs   atomic.Int32
	memory *memory
}

func (b *buffer) retain() { b.refs.Add(1) }

func (b *buffer) release() {
	if b.refs.Add(-1) > 0 {
		return
	}
	held := b.held
	m := b.memory
	putBuffer(b)
	m.adjust(-held)
}

const minClassBits = 12 // 4 KiB

// bufferPools holds buffers by class; a class has buffers of at least
// classSize bytes. There are four classes per power of two, so that at most a
// quarter of a buffer is unused.
var bufferPools [4 * 32]sync.Pool

// classFor returns the smallest class whose buffers hold n bytes.
func classFor(n int) int {
	if n <= 1<<minClassBits {
		return 0
	}
	top := bits.Len(uint(n-1)) - 1 // 2^top <= n-1
	quarter := (n - 1 - 1<<top) >> (top - 2)
	return (top-minClassBits)*4 + quarter + 1
}

func classSize(class int) int {
	base := 1 << (minClassBits + class/4)
	return base + class%4*(base/4)
}

// bufferSize returns the bytes that a buffer for n bytes takes.
func bufferSize(n int) int64 { return int64(classSize(classFor(n))) }

// getBuffer returns a buffer with a capacity of at least n, one reference,
// and held bytes of the budget, which the caller has acquired.
func getBuffer(m *memory, n int, held int64) *buffer {
	class := classFor(n)
	b, _ := bufferPools[class].Get().(*buffer)
	if b == nil {
		b = &buffer{data: make([]byte, 0, classSize(class))}
	}
	b.memory, b.held = m, held
	b.data = b.data[:n]
	b.refs.Store(1)
	return b
}

func putBuffer(b *buffer) {
	class := classFor(cap(b.data))
	if classSize(class) > cap(b.data) {
		class-- // grown by append to a size between classes
	}
	b.memory, b.data = nil, b.data[:0]
	if class >= 0 && class < len(bufferPools) {
		bufferPools[class].Put(b)
	}
}

// lease is a chunk with what it holds: a table of records and the buffers that
// they point into. It is pooled with its table, and with its release, which
// the chunk takes as a func.
type lease struct {
	chunk   source.Chunk
	table   []source.Record
	class   int
	buffers []*buffer
	memory  *memory
	emitted bool
	release func()
}

// Tables come in few sizes, so that a chunk of one record does not hold room
// for thousands.
var (
	tableSizes = [...]int{16, 128, 2048}
	leasePools [len(tableSizes)]sync.Pool
)

const recordSize = 104 // bytes of a source.Record, checked by a test

// tableClass returns the class of the table for n records, or for as many as
// a chunk may have.
func tableClass(n int) int {
	for class, size := range tableSizes {
		if n <= size {
			return class
		}
	}
	return len(tableSizes) - 1
}

func tableBytes(class int) int64 { return int64(tableSizes[class]) * recordSize }

// getLease returns a lease with an empty table, whose tableBytes of the budget
// the caller has acquired. Its release gives back all that it holds, and the
// lease itself.
func getLease(m *memory, class int) *lease {
	l, _ := leasePools[class].Get().(*lease)
	if l == nil {
		l = &lease{table: make([]source.Record, 0, tableSizes[class]), class: class}
		l.release = l.end
	}
	l.memory, l.emitted = m, false
	return l
}

func (l *lease) end() {
	for _, b := range l.buffers {
		b.release()
	}
	clear(l.buffers)
	m, emitted := l.memory, l.emitted
	l.table, l.buffers, l.memory = l.table[:0], l.buffers[:0], nil
	m.giveBack(tableBytes(l.class), emitted)
	leasePools[l.class].Put(l)
}
