// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Numbers of schedules among all other tests; CI runs more. Those with a
// broker take ten times as long.
const (
	fewSchedules = 1000
	perKafka     = 25
)

// maker makes a world to live a schedule in.
type maker func(on *tape, trace bool) *world

// live runs one schedule.
func live(t *testing.T, in maker, on *tape, trace bool) (problems []string) {
	synctest.Test(t, func(*testing.T) { problems = in(on, trace).run() })
	return problems
}

// TestSchedules lives through as many schedules as SCHEDULES says, or through
// the one that SEED names.
func TestSchedules(t *testing.T) {
	t.Parallel()
	each(t, newWorld, 1)
}

// TestKafkaSchedules is TestSchedules with the runner's own Kafka source and a
// broker. A seed is not the same to the letter each time: which partition is
// fetched first is chance.
func TestKafkaSchedules(t *testing.T) {
	t.Parallel()
	each(t, newKafkaWorld, perKafka)
}

// each lives through one of so many schedules.
func each(t *testing.T, in maker, oneOf int) {
	count := fewSchedules
	if text := os.Getenv("SCHEDULES"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatalf("SCHEDULES=%s: %v", text, err)
		}
	}
	first := rand.Uint64N(1 << 40)
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED=%s: %v", text, err)
		}
		if problems := live(t, in, newTape(first), true); len(problems) > 0 {
			report(t, in, first)
		}
		return
	}
	count /= oneOf
	t.Logf("%d schedules, seeds %d to %d", count, first, first+uint64(count)-1)
	var next atomic.Uint64
	var failed atomic.Bool
	for worker := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for !failed.Load() {
				i := next.Add(1) - 1
				if i >= uint64(count) {
					return
				}
				if problems := live(t, in, newTape(first+i), false); len(problems) > 0 && failed.CompareAndSwap(false, true) {
					t.Log(strings.Join(problems, "\n"))
					report(t, in, first+i)
				}
			}
		})
	}
}

// report shrinks a schedule that fails, shows it, and says how to run it again.
func report(t *testing.T, in maker, seed uint64) {
	t.Helper()
	on := newTape(seed)
	problems := live(t, in, on, false)
	smallest := shrink(on.numbers, 2000, func(numbers []int) bool { return len(live(t, in, replay(slices.Clone(numbers)), false)) > 0 })
	fmt.Printf("--- seed %d, shrunken from %d decisions to %d:\n", seed, len(on.numbers), len(smallest))
	live(t, in, replay(smallest), true)
	test, _, _ := strings.Cut(t.Name(), "/")
	t.Errorf("seed %d:\n%s\nAgain: SEED=%d go test ./internal/proof/schedules -run %s", seed, strings.Join(problems, "\n"), seed, test)
}

// TestReplay: a schedule is the same each time, or no seed would be worth
// being printed.
func TestReplay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		var lives [2][]string
		for i := range lives {
			synctest.Test(t, func(*testing.T) {
				w := newWorld(newTape(seed), false)
				w.run()
				lives[i] = append(w.told, fmt.Sprint(w.steps.Load(), w.tape.numbers))
			})
		}
		if !slices.Equal(lives[0], lives[1]) {
			t.Errorf("seed %d: two lives differ:\n%v\n%v", seed, lives[0], lives[1])
		}
	}
}

// TestShrink: what a failure does not need is left out.
func TestShrink(t *testing.T) {
	t.Parallel()
	fails := func(numbers []int) bool {
		at := slices.Index(numbers, 7)
		return at >= 0 && slices.Contains(numbers[at:], 3)
	}
	if got := shrink([]int{1, 9, 7, 4, 4, 1, 2, 3, 8, 3, 5}, 1000, fails); !slices.Equal(got, []int{7, 3}) {
		t.Error(got)
	}
}
