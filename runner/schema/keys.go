// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"cmp"
	"slices"
)

// keyAt is a key of a map, by its hash, and where it is.
type keyAt struct {
	hash uint64
	at   int32
}

// keyMemory is what a keyAt takes.
const keyMemory = 16

// replacedOf returns, in the memory of keys, those that come again further on,
// in the order of their places: of several entries of a key the last counts.
func replacedOf(keys []keyAt) []keyAt {
	if len(keys) < 2 {
		return nil
	}
	slices.SortFunc(keys, func(a, b keyAt) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.at, b.at)) })
	replaced := keys[:0]
	for i := range len(keys) - 1 {
		if keys[i].hash == keys[i+1].hash {
			replaced = append(replaced, keys[i])
		}
	}
	slices.SortFunc(replaced, func(a, b keyAt) int { return cmp.Compare(a.at, b.at) })
	return replaced
}
