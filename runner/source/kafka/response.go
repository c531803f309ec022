// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
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
	lastStable    int64                // offset up to which transactions have ended, -1 if unknown
	replica       int32                // broker to fetch from in place of this one, -1 for none
	aborted       []abortedTransaction // by first offset
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

// parseFetch reads the body of a fetch response of version 4 to 13 and
// appends its partitions to out.
func parseFetch(out []fetched, body []byte, version int16) ([]fetched, error) {
	w := wire{data: body}
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
			f.highWatermark = w.int64()
			f.lastStable = w.int64()
			if version >= 5 {
				w.int64() // log start
			}
			for range w.length(flexible, 4) {
				f.aborted = append(f.aborted, abortedTransaction{w.int64(), w.int64()})
				if flexible {
					w.skipTags()
				}
				if w.bad {
					break
				}
			}
			if version >= 11 {
				f.replica = w.int32()
			}
			f.records = w.bytes(flexible, 4)
			if flexible {
				w.skipTags()
			}
			if w.bad {
				return out, fmt.Errorf("fetch: %w", errShort)
			}
			slices.SortFunc(f.aborted, func(a, b abortedTransaction) int {
				return int(min(max(a.firstOffset-b.firstOffset, -1), 1))
			})
			out = append(out, f)
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
