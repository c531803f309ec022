// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestShortRecords: whatever the quick way through a record accepts, the way
// that takes every record sees alike; and it accepts those that are usual.
func TestShortRecords(t *testing.T) {
	t.Parallel()
	r := seeded(t)
	quick := 0
	const rounds = 200_000
	for range rounds {
		data := anyRecord(r)
		at := r.IntN(4)
		data = append(make([]byte, at), data...)
		var short, full source.Record
		next := readShort(data, at, &short)
		if next < 0 {
			continue
		}
		quick++
		end, err := readRecord(data, at, &full)
		if err != nil || next != end || !reflect.DeepEqual(short, full) {
			t.Fatalf("%x at %d: %+v up to %d, but %+v up to %d, %v", data, at, short, next, full, end, err)
		}
	}
	if quick < rounds/4 {
		t.Errorf("the quick way took only %d of %d records", quick, rounds)
	}
}

// anyRecord returns a record with others behind it, damaged now and then.
func anyRecord(r *rand.Rand) []byte {
	number := func() int64 { return int64(r.Uint64()>>(38+r.IntN(26))) - int64(r.IntN(2)) }
	field := func(b []byte) []byte {
		n := r.IntN(100) - 1
		b = binary.AppendVarint(b, int64(n))
		return append(b, make([]byte, max(n, 0))...)
	}
	body := []byte{0}
	body = binary.AppendVarint(body, number())
	body = binary.AppendVarint(body, number())
	body = field(field(body))
	if r.IntN(8) == 0 {
		body = binary.AppendVarint(body, 1)
		body = field(field(body))
	} else {
		body = append(body, 0)
	}
	data := append(binary.AppendVarint(nil, int64(len(body))), body...)
	data = append(data, make([]byte, r.IntN(50))...)
	if r.IntN(2) == 0 {
		data[r.IntN(len(data))] = byte(r.Uint32())
	}
	return data[:len(data)-r.IntN(2)*r.IntN(len(data))]
}
