// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"crypto/sha256"
	"encoding/hex"
)

// What stands in a path for values that have no letters of their own. No
// escaped value looks like one of these.
const (
	// MissingPathValue stands for what a record does not have. Readers of
	// partitioned data sets (Spark, Hive, DuckDB, Arrow) take it for null.
	MissingPathValue = "__HIVE_DEFAULT_PARTITION__"
	emptyPathValue   = "%empty"
)

// maxPathValue is the most bytes that a value takes in a path: file systems
// that a pod reads the repo through allow 255 in an element.
const maxPathValue = 100

// cutPathValue is how much is left of a longer one, before "%~" and half of
// its SHA-256.
const cutPathValue = maxPathValue - 2 - sha256.Size

// AppendPathValue appends a part of a record as it may stand in a path.
// Different values give different text, case and Unicode form included.
// Letters, digits, '-', '_' and '.' stay as they are; each other byte is % and
// two hexadecimal digits, as in URLs, and so are '.' and '_' at the beginning:
// no value is "..", is hidden from readers that pass over such folders, or
// takes a folder of the runner's own.
func AppendPathValue(dst, value []byte) []byte {
	const hexDigits = "0123456789ABCDEF"
	if len(value) == 0 {
		return append(dst, emptyPathValue...)
	}
	begin, cut := len(dst), len(dst)
	for i, c := range value {
		if plainInPath[c] && (i > 0 || c != '.' && c != '_') {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
		if len(dst)-begin <= cutPathValue {
			cut = len(dst)
		}
		if len(dst)-begin > maxPathValue {
			sum := sha256.Sum256(value)
			return hex.AppendEncode(append(dst[:cut], '%', '~'), sum[:sha256.Size/2])
		}
	}
	return dst
}

// IsPlainInPath says whether a name can be an element of a path as it is.
func IsPlainInPath(name string) bool {
	for i := range len(name) {
		if !plainInPath[name[i]] {
			return false
		}
	}
	return name != "" && name != "." && name != ".."
}

// plainInPath are the bytes of values that stay as they are.
var plainInPath = func() (plain [256]bool) {
	for c := range plain {
		plain[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	return plain
}()
