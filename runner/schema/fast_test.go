// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNumbersOfAllLengths: numbers are read eight bytes at a time, as far as
// there are eight.
func TestNumbersOfAllLengths(t *testing.T) {
	t.Parallel()
	of := &Type{Kind: Record, Fields: []Field{{Name: "a", Type: primitive(Long)}, {Name: "b", Type: primitive(Long)}}}
	check := func(t rapid.TB, n int64, more int) {
		data := append(binary.AppendVarint(nil, n), make([]byte, more)...)
		if got, rest := long(data); got != n || len(rest) != more {
			t.Fatalf("%d with %d bytes behind it is %d, with %d", n, more, got, len(rest))
		}
		if err := of.Check(data); (err == nil) != (more == 1) {
			t.Fatalf("%d with %d bytes behind it: %v", n, more, err)
		}
	}
	for shift := range 64 {
		for _, n := range []int64{1<<shift - 1, 1 << shift, -1 << shift, -1<<shift - 1, math.MaxInt64, math.MinInt64} {
			for more := range 10 {
				check(t, n, more)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.Int64().Draw(t, "n"), rapid.IntRange(0, 9).Draw(t, "more")) })
}

// TestDates: all dates that there are, and none else.
func TestDates(t *testing.T) {
	t.Parallel()
	for at := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 10_000; at = at.AddDate(0, 0, 1) {
		want, _ := floorDiv(at.Unix(), secondsOfDay)
		if days, rest, ok := parseDate([]byte(at.Format(time.DateOnly) + "x")); days != want || len(rest) != 1 || !ok {
			t.Fatalf("%v is %d, %t", at, days, ok)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9]{4}-[0-3][0-9]-[0-4][0-9]|[0-9-]{8,11}`).Draw(t, "text")
		_, err := time.Parse(time.DateOnly, text)
		if _, rest, ok := parseDate([]byte(text)); (ok && len(rest) == 0) != (err == nil) {
			t.Fatalf("%q: %t, %v", text, ok, err)
		}
	})
}
