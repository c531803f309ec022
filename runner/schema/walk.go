// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

var (
	errShort  = errors.New("it ends too early")
	errNumber = errors.New("it has a number that is not one")
	errUTF8   = errors.New("it has a string that is not UTF-8")
)

// Steps are what it takes to go through a value: types that are met, and
// columns of Parquet that have no value. They are bounded by the value's
// length, and a number for what takes no bytes: elements of type null, records
// without fields, groups of columns that are null.
const (
	stepsPerByte = 16
	freeSteps    = 1 << 20
)

var errSteps = errors.New("it has too many parts for its length")

// Check makes sure that data is one value of the type and nothing else.
func (t *Type) Check(data []byte) error { return t.check(data, false) }

// check is Check that refuses maps that have a key twice, even if they are not
// made columns.
func (t *Type) check(data []byte, unique bool) error {
	c := checker{steps: freeSteps + stepsPerByte*len(data), unique: unique}
	rest, err := c.skip(t, data, 0)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes are left over", len(rest))
	}
	return err
}

type checker struct {
	steps int      // that are left
	keys  []uint64 // hashes of the keys of maps around

	unique bool // maps of all types must not have a key twice
}

var keySeed = maphash.MakeSeed()

var errTwice = errors.New("it has a map with a key twice")

// skip returns what follows a value of the type.
func (c *checker) skip(t *Type, data []byte, depth int) (rest []byte, err error) {
	if c.steps--; c.steps < 0 {
		return nil, errSteps
	}
	if depth > settings.MaxDepth {
		return nil, errDeep
	}
	switch t.Kind {
	case Null:
		return data, nil
	case Boolean:
		if len(data) == 0 {
			return nil, errShort
		}
		if data[0] > 1 {
			return nil, errNumber
		}
		return data[1:], nil
	case Int, Enum:
		n, rest, err := takeLong(data)
		if err == nil && (n != int64(int32(n)) || t.Kind == Enum && (n < 0 || n >= int64(len(t.Symbols)))) {
			err = errNumber
		}
		return rest, err
	case Long:
		_, rest, err = takeLong(data)
		return rest, err
	case Float:
		return drop(data, 4)
	case Double:
		return drop(data, 8)
	case Fixed:
		return drop(data, t.Size)
	case Bytes:
		_, rest, err = takeBytes(data)
		return rest, err
	case String:
		text, rest, err := takeBytes(data)
		if err == nil && !utf8.Valid(text) {
			err = errUTF8
		}
		return rest, err
	case Record:
		for i := range t.Fields {
			of := t.Fields[i].Type
			switch { // what most fields are
			case depth >= settings.MaxDepth: // it is too deep
			case of.Kind == Long:
				c.steps--
				if n := lengthOfLong(data); n > 0 {
					data = data[n:]
					continue
				}
			case of.Kind == Double && len(data) >= 8:
				c.steps--
				data = data[8:]
				continue
			case (of.Kind == String || of.Kind == Bytes) && len(data) > 0 && data[0] < 0x80 && data[0]&1 == 0 && len(data) > int(data[0]>>1):
				c.steps--
				end := 1 + int(data[0]>>1)
				if of.Kind == Bytes || isASCII(data[1:end]) || utf8.Valid(data[1:end]) {
					data = data[end:]
					continue
				}
			}
			if data, err = c.skip(of, data, depth+1); err != nil {
				return nil, fmt.Errorf("field %.100s: %w", t.Fields[i].Name, err)
			}
		}
		return data, nil
	case Union:
		branch, rest, err := takeLong(data)
		if err != nil {
			return nil, err
		}
		if branch < 0 || branch >= int64(len(t.Branches)) {
			return nil, errNumber
		}
		c.steps -= t.width // most of which have no value
		return c.skip(t.Branches[branch], rest, depth+1)
	}
	return c.skipBlocks(t, data, depth)
}

// skipBlocks is skip for arrays and maps.
func (c *checker) skipBlocks(t *Type, data []byte, depth int) (rest []byte, err error) {
	c.steps -= t.width
	keys := len(c.keys)
	for {
		var count int64
		if count, data, err = takeCount(data); err != nil {
			return data, err
		}
		if count == 0 {
			return data, c.endMap(keys)
		}
		for range count {
			if t.Kind == Map {
				before := data
				if data, err = c.skip(primitive(String), data, depth); err != nil {
					return nil, err
				}
				if t.width > 0 || c.unique { // readers of Parquet, and of JSON, refuse maps that have a key twice
					key, _ := text(before)
					c.keys = append(c.keys, maphash.Bytes(keySeed, key))
				}
			}
			if data, err = c.skip(t.Element, data, depth+1); err != nil {
				return nil, err
			}
		}
	}
}

// endMap makes sure that no key is there twice.
func (c *checker) endMap(from int) error {
	keys := c.keys[from:]
	c.keys = c.keys[:from]
	slices.Sort(keys)
	for i := range keys {
		if i > 0 && keys[i] == keys[i-1] {
			return errTwice
		}
	}
	return nil
}

// lengthOfLong is how long the varint is that data begins with, if it has at most
// eight bytes; 0 otherwise.
func lengthOfLong(data []byte) int {
	if len(data) < 8 {
		return 0
	}
	const high = 0x8080808080808080
	if last := ^binary.LittleEndian.Uint64(data) & high; last != 0 {
		return bits.TrailingZeros64(last)/8 + 1
	}
	return 0
}

// isASCII says whether all of a short text is.
func isASCII(text []byte) bool {
	const high = 0x8080808080808080
	if len(text) < 8 {
		above := byte(0)
		for _, c := range text {
			above |= c
		}
		return above < utf8.RuneSelf
	}
	above := binary.LittleEndian.Uint64(text[len(text)-8:])
	for ; len(text) >= 8; text = text[8:] {
		above |= binary.LittleEndian.Uint64(text)
	}
	return above&high == 0
}

// takeLong takes a zigzag varint off data.
func takeLong(data []byte) (n int64, rest []byte, err error) {
	if len(data) > 0 && data[0] < 0x80 {
		return int64(data[0]>>1) ^ -int64(data[0]&1), data[1:], nil
	}
	n, length := binary.Varint(data)
	if length <= 0 {
		if length == 0 {
			return 0, nil, errShort
		}
		return 0, nil, errNumber
	}
	return n, data[length:], nil
}

// takeCount takes the number of elements of the next block off data.
func takeCount(data []byte) (n int64, rest []byte, err error) {
	n, data, err = takeLong(data)
	if err == nil && n < 0 {
		if n = -n; n < 0 {
			return 0, nil, errNumber
		}
		_, data, err = takeLong(data) // the block's size, for who wants to skip it
	}
	return n, data, err
}

func takeBytes(data []byte) (b, rest []byte, err error) {
	n, data, err := takeLong(data)
	if err != nil {
		return nil, nil, err
	}
	if n < 0 || n > int64(len(data)) {
		return nil, nil, errShort
	}
	return data[:n], data[n:], nil
}

func drop(data []byte, n int) ([]byte, error) {
	if len(data) < n {
		return nil, errShort
	}
	return data[n:], nil
}
