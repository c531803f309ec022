// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Fetched is what a fetch brought of one partition. Records refer to the
// response.
type Fetched struct {
	TopicName     []byte // up to version 12
	TopicID       [16]byte
	Partition     int32
	Code          int16
	HighWatermark int64
	LastStable    int64 // offset up to which transactions have ended, -1 if unknown
	Replica       int32 // broker to fetch from in place of this one, -1 for none
	Aborted       Aborted
	Records       []byte
}

// AbortedTransaction says that what a producer wrote from an offset on, up to
// its next abort marker, does not count.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

const abortedBytes = 16 // bytes of one, here and in the answer

// Aborted are those of a partition, by producer and first offset.
// They are all that is kept of them, however many there are.
type Aborted []AbortedTransaction

// over is the first offset of a transaction whose end was passed.
const over = math.MinInt64

// Sort brings them into the order that the others need.
func (t Aborted) Sort() {
	slices.SortFunc(t, func(a, b AbortedTransaction) int {
		return cmp.Or(cmp.Compare(a.ProducerID, b.ProducerID), cmp.Compare(a.FirstOffset, b.FirstOffset))
	})
}

// of returns a producer's that are not over.
func (t Aborted) of(producer int64) Aborted {
	at, _ := slices.BinarySearchFunc(t, producer, func(a AbortedTransaction, producer int64) int {
		if c := cmp.Compare(a.ProducerID, producer); c != 0 || a.FirstOffset != over {
			return cmp.Or(c, 1)
		}
		return -1
	})
	return t[at:]
}

// Has says whether what a producer wrote up to an offset does not count.
func (t Aborted) Has(producer, offset int64) bool {
	if len(t) == 0 {
		return false
	}
	t = t.of(producer)
	return len(t) > 0 && t[0].ProducerID == producer && t[0].FirstOffset <= offset
}

// End notes that a producer's transaction ends at an offset.
func (t Aborted) End(producer, offset int64) {
	t = t.of(producer)
	for i := 0; i < len(t) && t[i].ProducerID == producer && t[i].FirstOffset <= offset; i++ {
		t[i].FirstOffset = over
	}
}

// AbortedSize returns what the aborted transactions of a response take.
func AbortedSize(all []Fetched) (bytes int64) {
	for i := range all {
		bytes += abortedBytes * int64(cap(all[i].Aborted))
	}
	return bytes
}

// MaxAborted is the most aborted transactions of a partition in one answer that
// are believed.
const MaxAborted = 100_000

// Expected is what is known of a fetch response before its body is read.
type Expected struct {
	Version int16 // of 4 to 13
	Parts   int   // partitions that were asked for: there cannot be more
	Cut     bool  // the response was longer than what is accepted; the rest is missing
}

// ParseFetch reads the body of a fetch response and appends its partitions to out.
func ParseFetch(out []Fetched, body []byte, as Expected) ([]Fetched, error) {
	version := as.Version
	w := Reader{Data: body, cut: as.Cut}
	flexible := version >= 12
	w.int32() // throttle time
	if version >= 7 {
		if code := w.int16(); code != 0 {
			return out, kerr.ErrorForCode(code)
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
			f := Fetched{TopicName: name, TopicID: id, Replica: -1}
			f.Partition = w.int32()
			f.Code = w.int16()
			f.HighWatermark = max(w.int64(), -1)
			f.LastStable = w.int64()
			if version >= 5 {
				w.int64() // log start
			}
			aborted := w.length(flexible, 4)
			if aborted > 0 {
				f.Aborted = make(Aborted, 0, min(aborted, (len(w.Data)-w.At)/abortedBytes, MaxAborted))
			}
			for range aborted {
				f.Aborted = append(f.Aborted, AbortedTransaction{w.int64(), w.int64()})
				if flexible {
					w.SkipTags()
				}
				if w.Bad || len(f.Aborted) > MaxAborted {
					return out, fmt.Errorf("fetch: %w, or it names too many aborted transactions", ErrShort)
				}
			}
			if version >= 11 {
				f.Replica = w.int32()
			}
			f.Records = w.records(flexible)
			if flexible && !w.ended() {
				w.SkipTags()
			}
			if w.Bad {
				return out, fmt.Errorf("fetch: %w", ErrShort)
			}
			f.Aborted.Sort()
			if len(out) == as.Parts {
				return out, fmt.Errorf("fetch: the answer has more than the %d partitions that were asked for", as.Parts)
			}
			out = append(out, f)
			if w.ended() {
				return out, nil
			}
		}
		if flexible {
			w.SkipTags()
		}
		if w.Bad {
			return out, fmt.Errorf("fetch: %w", ErrShort)
		}
	}
	return out, nil
}
