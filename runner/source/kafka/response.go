// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// fetched is what a fetch brought of one partition. Records refer to the
// response.
type fetched struct {
	topicName     []byte // up to version 12
	topicID       [16]byte
	partition     int32
	code          int16
	highWatermark int64
	lastStable    int64 // offset up to which transactions have ended, -1 if unknown
	replica       int32 // broker to fetch from in place of this one, -1 for none
	aborted       abortedTransactions
	records       []byte
}

// isOf says whether f is of the topic, by what the answer names it.
func (f *fetched) isOf(t *topic) bool {
	if f.topicName != nil {
		return string(f.topicName) == t.name
	}
	return f.topicID == t.id
}

// abortedTransaction says that what a producer wrote from an offset on, up to
// its next abort marker, does not count.
type abortedTransaction struct {
	producerID  int64
	firstOffset int64
}

const abortedSize = 16 // bytes of one, here and in the answer

// abortedTransactions are those of a partition, by producer and first offset.
// They are all that is kept of them, however many there are.
type abortedTransactions []abortedTransaction

// over is the first offset of a transaction whose end was passed.
const over = math.MinInt64

func (t abortedTransactions) sort() {
	slices.SortFunc(t, func(a, b abortedTransaction) int {
		return cmp.Or(cmp.Compare(a.producerID, b.producerID), cmp.Compare(a.firstOffset, b.firstOffset))
	})
}

// of returns a producer's that are not over.
func (t abortedTransactions) of(producer int64) abortedTransactions {
	at, _ := slices.BinarySearchFunc(t, producer, func(a abortedTransaction, producer int64) int {
		if c := cmp.Compare(a.producerID, producer); c != 0 || a.firstOffset != over {
			return cmp.Or(c, 1)
		}
		return -1
	})
	return t[at:]
}

// has says whether what a producer wrote up to an offset does not count.
func (t abortedTransactions) has(producer, offset int64) bool {
	if len(t) == 0 {
		return false
	}
	t = t.of(producer)
	return len(t) > 0 && t[0].producerID == producer && t[0].firstOffset <= offset
}

// end notes that a producer's transaction ends at an offset.
func (t abortedTransactions) end(producer, offset int64) {
	t = t.of(producer)
	for i := 0; i < len(t) && t[i].producerID == producer && t[i].firstOffset <= offset; i++ {
		t[i].firstOffset = over
	}
}

// abortedBytes returns what the aborted transactions of a response take.
func abortedBytes(all []fetched) (bytes int64) {
	for i := range all {
		bytes += abortedSize * int64(cap(all[i].aborted))
	}
	return bytes
}

// maxAborted is the most aborted transactions of a partition in one answer that
// are believed.
const maxAborted = 100_000

// expected is what is known of a fetch response before its body is read.
type expected struct {
	version int16 // of 4 to 13
	parts   int   // partitions that were asked for: there cannot be more
	cut     bool  // the response was longer than what is accepted; the rest is missing
}

// parseFetch reads the body of a fetch response and appends its partitions to out.
func parseFetch(out []fetched, body []byte, as expected) ([]fetched, error) {
	version := as.version
	w := wire{data: body, cut: as.cut}
	flexible := version >= 12
	w.int32() // throttle time
	if version >= 7 {
		if err := codeError(w.int16()); err != nil {
			return out, err
		}
		w.int32() // session
	}
	for range w.length(flexible, 4) {
		var name []byte
		var id [16]byte
		if version >= 13 {
			copy(id[:], w.take(16))
		} else {
			name = w.bytes(flexible, 2)
		}
		for range w.length(flexible, 4) {
			f := fetched{topicName: name, topicID: id, replica: -1}
			f.partition = w.int32()
			f.code = w.int16()
			f.highWatermark = max(w.int64(), -1)
			f.lastStable = w.int64()
			if version >= 5 {
				w.int64() // log start
			}
			aborted := w.length(flexible, 4)
			if aborted > 0 {
				f.aborted = make(abortedTransactions, 0, min(aborted, (len(w.data)-w.at)/abortedSize, maxAborted))
			}
			for range aborted {
				f.aborted = append(f.aborted, abortedTransaction{w.int64(), w.int64()})
				if flexible {
					w.skipTags()
				}
				if w.bad || len(f.aborted) > maxAborted {
					return out, fmt.Errorf("fetch: %w, or it names too many aborted transactions", errShort)
				}
			}
			if version >= 11 {
				f.replica = w.int32()
			}
			f.records = w.records(flexible)
			if flexible && !w.ended() {
				w.skipTags()
			}
			if w.bad {
				return out, fmt.Errorf("fetch: %w", errShort)
			}
			f.aborted.sort()
			if len(out) == as.parts {
				return out, fmt.Errorf("fetch: the answer has more than the %d partitions that were asked for", as.parts)
			}
			out = append(out, f)
			if w.ended() {
				return out, nil
			}
		}
		if flexible {
			w.skipTags()
		}
		if w.bad {
			return out, fmt.Errorf("fetch: %w", errShort)
		}
	}
	return out, nil
}
