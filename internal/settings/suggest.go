// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"slices"

	"github.com/agext/levenshtein"
)

// Nearest returns the name that was probably meant by one that is not known.
// It is not ok if none is so near that it may be a slip of the pen.
func Nearest(name string, names []string) (nearest string, ok bool) {
	if len(names) == 0 {
		return "", false
	}
	distance := func(other string) int { return levenshtein.Distance(name, other, nil) }
	nearest = slices.MinFunc(names, func(a, b string) int { return distance(a) - distance(b) })
	return nearest, distance(nearest) <= max(2, len(name)/4)
}
