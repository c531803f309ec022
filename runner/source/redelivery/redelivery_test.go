// SPDX-License-Identifier: Apache-2.0

package redelivery

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/window"
)

var now = time.Unix(1_764_547_200, 0)

func id(n int) ID { return Hash("queue", fmt.Append(nil, n)) }

func restored(t *testing.T, l Limits, w *Window) *Window {
	t.Helper()
	snapshot := w.Snapshot()
	var read window.Window
	if err := json.Unmarshal(snapshot.Append(nil), &read); err != nil {
		t.Fatal(err)
	}
	return Restore(l, read)
}

// An id is waiting until its position is durable, and what was only given out
// is in no position.
func TestStates(t *testing.T) {
	t.Parallel()
	w := New(Limits{})
	want := func(id ID, state State) {
		t.Helper()
		if got := w.State(id); got != state {
			t.Errorf("state %d, should be %d", got, state)
		}
	}
	want(id(1), Unknown)
	w.Give(id(1))
	w.Give(id(2))
	want(id(1), Waiting)
	w.Take(id(2))
	want(id(2), Unknown)
	if s := w.Snapshot(); s.Len() != 0 {
		t.Error("what was only given out is in the position")
	}
	w.Add(id(1), now)
	first := w.Added()
	w.Add(id(2), now)
	w.Settle(first)
	want(id(1), Durable)
	want(id(2), Waiting)
	w.Touch(id(1), now)
	want(id(1), Durable)
	w.Touch(id(2), now)
	want(id(2), Waiting)
	w = restored(t, Limits{}, w)
	want(id(1), Durable)
	want(id(2), Durable)
	w.Forget(id(1))
	want(id(1), Unknown)
	if w.Len() != 1 {
		t.Errorf("%d ids are left", w.Len())
	}
}

// The same id of another scope is another one, whatever the two are.
func TestScopes(t *testing.T) {
	t.Parallel()
	if Hash("a", []byte("bc")) == Hash("ab", []byte("c")) || Hash("a", []byte("b")) == Hash("c", []byte("b")) {
		t.Error("two ids are one")
	}
	if Hash("orders", []byte("1")) != 0x1f26a2fad258ace3 {
		t.Errorf("hashes have changed, and older positions mean nothing: %#x", uint64(Hash("orders", []byte("1"))))
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	w := New(Limits{Count: 10})
	for i := range 30 {
		w.Add(id(i), now)
	}
	if w.Len() != 30 {
		t.Errorf("of what is in no commit yet, %d of 30 are left", w.Len())
	}
	w.Settle(w.Added())
	w.Touch(id(3), now) // it has come again
	w.Add(id(30), now)
	if w.Len() != 10 || w.Cut() != 21 {
		t.Errorf("%d ids, %d cut", w.Len(), w.Cut())
	}
	for i := range 31 {
		if known := w.State(id(i)) != Unknown; known != (i == 3 || i > 21) {
			t.Errorf("%d: %v", i, known)
		}
	}
	back := restored(t, Limits{Count: 10}, w)
	if string(render(back)) != string(render(w)) {
		t.Errorf("%s became %s", render(w), render(back))
	}
}

func render(w *Window) []byte {
	s := w.Snapshot()
	return s.Append(nil)
}

func TestAge(t *testing.T) {
	t.Parallel()
	w := New(Limits{Age: time.Hour})
	w.Add(id(1), now)
	w.Settle(w.Added())
	w.Add(id(2), now.Add(30*time.Minute))
	w.Settle(w.Added())
	w.Add(id(3), now.Add(time.Hour))
	if w.State(id(1)) != Durable {
		t.Error("an id is gone before its time")
	}
	w.Add(id(4), now.Add(time.Hour+30*time.Second))
	if w.State(id(1)) != Unknown || w.State(id(2)) != Durable || w.Cut() != 0 {
		t.Error("an id is there after its time, or another one is gone")
	}
	least := restored(t, Limits{Age: time.Hour, Least: 2}, w)
	least.Add(id(6), now.Add(1000*time.Hour)) // the clock was set forward
	if least.Len() != 2 || least.State(id(4)) != Durable {
		t.Errorf("%d ids are left", least.Len())
	}
	w.Add(id(5), now) // the clock went back
	w = restored(t, Limits{Age: time.Hour}, w)
	if w.State(id(5)) != Durable || w.Len() != 4 {
		t.Errorf("%d ids are left", w.Len())
	}
}

// Neither the position nor the memory grows, whatever the number of ids that
// come and go.
func TestBounded(t *testing.T) {
	t.Parallel()
	w := New(Limits{Count: MaxCount + 1, Age: 72 * time.Hour})
	at := now
	for i := range 200_000 {
		at = at.Add(time.Minute)
		w.Add(id(i), at)
		w.Settle(w.Added())
	}
	for i := range 100_000 {
		w.Touch(id(199_999-i%10), at)
	}
	if n := len(render(w)); n > 800_000 {
		t.Errorf("%d bytes in the position", n)
	}
	if w.Len() > MaxCount || len(w.entries) > 2*MaxCount+64 {
		t.Errorf("%d ids, %d entries", w.Len(), len(w.entries))
	}
	full := New(Limits{})
	for i := range MaxCount {
		full.Add(id(i), now)
	}
	if n := len(render(full)); n > 600_000 {
		t.Errorf("%d bytes in the position", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	w := New(Limits{})
	var name [8]byte
	for i := range b.N {
		name[i%8]++
		w.Add(Hash("queue", name[:]), now)
		w.Settle(w.Added())
	}
}

func BenchmarkSnapshot(b *testing.B) {
	w := New(Limits{})
	for i := range MaxCount {
		w.Add(id(i), now)
	}
	for b.Loop() {
		render(w)
	}
}
