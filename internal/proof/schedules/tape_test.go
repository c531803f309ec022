// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"math/rand/v2"
	"slices"
)

// tape yields the decisions of a schedule. What is not on it yet is drawn; a
// shrunken one is followed by zeros.
type tape struct {
	random  *rand.Rand // nil: zeros
	numbers []int
	at      int
}

func newTape(seed uint64) *tape { return &tape{random: rand.New(rand.NewPCG(seed, 4))} }

func replay(numbers []int) *tape { return &tape{numbers: numbers} }

// below returns a number from 0 to n-1.
func (t *tape) below(n int) int {
	if t.at == len(t.numbers) {
		drawn := 0
		if t.random != nil {
			drawn = t.random.IntN(n)
		}
		t.numbers = append(t.numbers, drawn)
	}
	number := t.numbers[t.at]
	t.at++
	return min(number, n-1)
}

// happens is true in one of n cases; never, if n is below 2.
func (t *tape) happens(n int) bool { return n > 1 && t.below(n) == n-1 }

// shrink makes a tape that fails smaller while it still fails, by cutting
// stretches out and by zeroing numbers, in at most so many attempts.
func shrink(numbers []int, attempts int, fails func([]int) bool) []int {
	try := func(candidate []int) bool {
		if attempts <= 0 {
			return false
		}
		attempts--
		if !fails(candidate) {
			return false
		}
		numbers = candidate
		return true
	}
	for size := len(numbers) / 2; size > 0; size /= 2 {
		for at := 0; at < len(numbers); {
			end := min(at+size, len(numbers))
			if !try(slices.Delete(slices.Clone(numbers), at, end)) {
				at += size
			}
		}
	}
	for size := max(len(numbers)/2, 1); size > 0; size /= 2 {
		for at := 0; at < len(numbers); at += size {
			end := min(at+size, len(numbers))
			if slices.Max(numbers[at:end]) == 0 {
				continue
			}
			zeroed := slices.Clone(numbers)
			clear(zeroed[at:end])
			try(zeroed)
		}
	}
	return numbers
}
