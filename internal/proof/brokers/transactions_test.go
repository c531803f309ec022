// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// transaction is a producer's, of which one is open at a time.
type transaction struct {
	*topic
	producer *kgo.Client
}

// newTransaction begins a transaction that the broker aborts after a time.
func (o *topic) newTransaction(name string, timeout time.Duration) *transaction {
	o.t.Helper()
	x := &transaction{o, client(o.t, o.cluster, kgo.TransactionalID(o.name+"."+name), kgo.TransactionTimeout(timeout))}
	x.begin()
	return x
}

func (x *transaction) begin() {
	x.t.Helper()
	if err := x.producer.BeginTransaction(); err != nil {
		x.t.Fatal(err)
	}
}

func (x *transaction) send(records ...*kgo.Record) {
	x.t.Helper()
	x.produce(x.producer, records...)
}

func (x *transaction) end(commit bool) {
	x.t.Helper()
	if err := x.producer.EndTransaction(testContext(x.t), kgo.TransactionEndTry(commit)); err != nil {
		x.t.Fatal(err)
	}
}

// TestTransactions has producers with and without transactions write at once
// to the same partitions, and commit and abort in any order.
func TestTransactions(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			c := single.get(t)
			o := newTopic(t, c, 2, nil)
			random := rand.New(rand.NewPCG(seed, 0))
			r := open(t, readerSettings(c, o), nil)
			plain := client(t, c)
			var producers []*transaction
			for i := range 3 {
				producers = append(producers, o.newTransaction(fmt.Sprint(i), patience))
			}
			sent, committed := 0, 0
			open := make([]int, len(producers)) // records of the open transactions
			for range 60 {
				i := random.IntN(len(producers) + 1)
				some := numbered(int32(random.IntN(2)), sent, 1+random.IntN(20))
				sent += len(some)
				if i == len(producers) {
					o.produce(plain, some...)
					committed += len(some)
					continue
				}
				producers[i].send(some...)
				open[i] += len(some)
				if random.IntN(3) == 0 {
					commit := random.IntN(2) == 0
					producers[i].end(commit)
					if commit {
						committed += open[i]
					}
					open[i] = 0
					producers[i].begin()
				}
			}
			for _, p := range producers {
				p.end(false)
			}
			o.finish()
			r.readTo(o.ends())
			compare(t, r.have, o.expected())
			if have := len(r.have) - 2; have != committed {
				t.Errorf("read %d records, and %d were committed", have, committed)
			}
		})
	}
}

// TestHangingTransaction has a producer vanish within a transaction. Nothing
// behind its first record may be read until the broker has aborted it.
func TestHangingTransaction(t *testing.T) {
	t.Parallel()
	c := single.get(t)
	o := newTopic(t, c, 1, nil)
	stream := source.Stream{Name: o.name}
	plain := client(t, c)
	o.produce(plain, numbered(0, 0, 10)...)
	const timeout = 4 * time.Second
	hanging := o.newTransaction("hanging", timeout)
	hanging.send(numbered(0, 100, 10)...)
	o.produce(plain, numbered(0, 10, 10)...)
	r := open(t, readerSettings(c, o), nil)
	r.readTo(map[source.Stream]int64{stream: 10})
	if end := o.ends()[stream]; end == 10 && (len(r.have) != 10 || r.next[stream] != 10) { // the transaction is still open
		t.Errorf("read %d records up to %d while a transaction is open from offset 10 on", len(r.have), r.next[stream])
	}
	r.readTo(map[source.Stream]int64{stream: 31}) // 10 + 10 aborted + 10, and the end of the transaction
	o.finish()
	r.readTo(o.ends())
	want := o.expected()
	compare(t, r.have, want)
	if len(want) != 21 {
		t.Errorf("%d records are committed, should be 21", len(want))
	}
}
