// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a place in the write-ahead log. Only those of commits are ever
// compared: rows of a transaction that began early and committed late lie below
// the end of others that were read before it.
type LSN uint64

// String writes it as PostgreSQL does, as 16/B374D848.
func (l LSN) String() string { return string(l.Append(nil)) }

// Append appends what String returns.
func (l LSN) Append(dst []byte) []byte {
	dst = appendHex(dst, uint64(l)>>32)
	return appendHex(append(dst, '/'), uint64(l)&0xFFFFFFFF)
}

func appendHex(dst []byte, n uint64) []byte {
	at := len(dst)
	dst = strconv.AppendUint(dst, n, 16)
	for i := at; i < len(dst); i++ {
		if 'a' <= dst[i] {
			dst[i] -= 'a' - 'A'
		}
	}
	return dst
}

// ParseLSN reads what String writes.
func ParseLSN(text string) (LSN, error) {
	high, low, found := strings.Cut(text, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	if err == nil && found {
		var l uint64
		if l, err = strconv.ParseUint(low, 16, 32); err == nil {
			return LSN(h<<32 | l), nil
		}
	}
	return 0, fmt.Errorf("%.40q is not a place in the write-ahead log, such as 16/B374D848", text)
}

// MarshalText implements encoding.TextMarshaler.
func (l LSN) MarshalText() ([]byte, error) { return l.Append(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LSN) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLSN(string(text))
	return err
}
