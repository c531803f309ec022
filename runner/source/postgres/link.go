// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

// link is a connection over which changes come. One goroutine receives, and
// hands over blocks of messages; another one tells the server how far all is
// durable, whether the first one is being waited for or not.
type link struct {
	conn     net.Conn
	frontend *pgproto3.Frontend
	ahead    *bufio.Reader // that the frontend reads from
	blocks   chan *block
	ended    chan struct{} // closed when nothing more comes
	err      error         // why; to be read after ended
	group    sync.WaitGroup

	durable   *atomic.Uint64
	inside    bool          // of a transaction, of which more comes before anybody can use it; of the receiver
	told      chan struct{} // there is something to tell the server
	stop      chan struct{}
	stopOnce  sync.Once
	received  atomic.Int64 // when something came last
	receiving atomic.Bool  // more is being waited for
	bytes     *atomic.Int64
}

// block is a run of messages.
type block struct {
	data []byte
	ends []int
}

// freeBlocks are used again, as long as they are no larger than most.
var freeBlocks = sync.Pool{New: func() any { return &block{data: make([]byte, 0, blockLargest/2)} }}

func newBlock() *block {
	b := freeBlocks.Get().(*block)
	b.data, b.ends = b.data[:0], b.ends[:0]
	return b
}

// free gives a block back.
func (b *block) free() {
	if cap(b.data) <= 2*blockLargest {
		freeBlocks.Put(b)
	}
}

const (
	blockLargest   = 256 << 10
	blockInside    = 32 << 10 // that is handed over within a transaction
	statusInterval = 5 * time.Second
	silence        = senderTimeout * 3 / 2 // after which the server is gone
	writeTimeout   = senderTimeout
)

// follow begins replication at a place, over a connection that it takes over.
func follow(ctx context.Context, conn *pgconn.PgConn, ahead *bufio.Reader, command string, durable *atomic.Uint64, bytes *atomic.Int64) (*link, error) {
	conn.Frontend().SendQuery(&pgproto3.Query{String: command})
	if err := conn.Frontend().Flush(); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	for {
		m, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return nil, fmt.Errorf("START_REPLICATION: %w", err)
		}
		switch m := m.(type) {
		case *pgproto3.CopyBothResponse:
			taken, err := conn.Hijack()
			if err != nil {
				return nil, fmt.Errorf("START_REPLICATION: %w", err)
			}
			l := &link{conn: taken.Conn, frontend: taken.Frontend, ahead: ahead, blocks: make(chan *block, 1), ended: make(chan struct{}),
				durable: durable, told: make(chan struct{}, 1), stop: make(chan struct{}), bytes: bytes}
			l.received.Store(time.Now().UnixNano())
			l.group.Go(l.receive)
			l.group.Go(l.answer)
			return l, nil
		case *pgproto3.ErrorResponse:
			return nil, fmt.Errorf("START_REPLICATION: %w", pgconn.ErrorResponseToPgError(m))
		}
	}
}

// close ends the connection and waits for the goroutines.
func (l *link) close() {
	if l == nil {
		return
	}
	l.end()
	l.group.Wait()
}

func (l *link) end() {
	l.stopOnce.Do(func() {
		close(l.stop)
		l.conn.Close() //nolint:errcheck // nothing is lost with it
	})
}

// receive hands over what comes, as much at once as there is.
func (l *link) receive() {
	defer close(l.ended)
	b := newBlock()
	for {
		l.receiving.Store(true)
		m, err := l.frontend.Receive()
		l.receiving.Store(false)
		l.received.Store(time.Now().UnixNano())
		if err == nil {
			err = l.take(b, m)
		}
		if err != nil {
			l.err = err
			if len(b.ends) > 0 {
				l.hand(b)
			}
			return
		}
		nothing := l.frontend.ReadBufferLen() == 0 && l.ahead.Buffered() == 0
		if len(b.ends) > 0 && (nothing && (!l.inside || len(b.data) >= blockInside) || len(b.data) >= blockLargest) {
			if !l.hand(b) {
				l.err = net.ErrClosed
				return
			}
			b = newBlock()
		}
	}
}

func (l *link) hand(b *block) bool {
	l.bytes.Add(int64(cap(b.data)))
	select {
	case l.blocks <- b:
		return true
	case <-l.stop:
		l.bytes.Add(-int64(cap(b.data)))
		return false
	}
}

func (l *link) take(b *block, m pgproto3.BackendMessage) error {
	switch m := m.(type) {
	case *pgproto3.CopyData:
		if len(m.Data) == 0 {
			return pgoutput.ErrMalformed
		}
		if m.Data[0] == pgoutput.KindKeepalive && m.Data[len(m.Data)-1] != 0 {
			l.tell()
		}
		if kind := m.Data[0]; kind == pgoutput.KindKeepalive || kind == pgoutput.KindData && len(m.Data) > pgoutput.HeadOfData {
			l.inside = kind == pgoutput.KindData && m.Data[pgoutput.HeadOfData] != pgoutput.KindCommit
		}
		b.data = append(b.data, m.Data...)
		b.ends = append(b.ends, len(b.data))
		return nil
	case *pgproto3.ErrorResponse:
		return pgconn.ErrorResponseToPgError(m)
	case *pgproto3.CopyDone:
		return errors.New("the server has ended the replication")
	}
	return nil // notices and parameters
}

// tell has the server told how far all is durable.
func (l *link) tell() {
	select {
	case l.told <- struct{}{}:
	default:
	}
}

// answer tells the server in time that somebody is there.
func (l *link) answer() {
	ticker := time.NewTicker(statusInterval)
	defer ticker.Stop()
	var status []byte
	for {
		select {
		case <-l.stop:
			return
		case <-l.ended:
			l.end()
			return
		case <-l.told:
		case <-ticker.C:
		}
		if l.receiving.Load() && time.Since(time.Unix(0, l.received.Load())) > silence {
			l.end() // the network has forgotten the connection
			return
		}
		status = pgoutput.AppendStatus(status[:0], positions.LSN(l.durable.Load()), time.Now().UnixMicro())
		// A server that does not read within the time is lost.
		l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) //nolint:errcheck // then the write fails
		message := append([]byte{'d', 0, 0, 0, byte(4 + len(status))}, status...)
		if _, err := l.conn.Write(message); err != nil {
			l.end()
			return
		}
	}
}
