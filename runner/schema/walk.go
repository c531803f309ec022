// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

var (
	errShort  = errors.New("it ends too early")
	errNumber = errors.New("it has a number that is none")
	errUTF8   = errors.New("it has a string that is not UTF-8")
)

// maxDepth bounds how deep a value may be nested.
const maxDepth = 200

// maxEmpty bounds how many elements without bytes an array may have: they
// would make a small value take for ever.
const maxEmpty = 1 << 16

// Check makes sure that data is one value of the type and nothing else.
func (t *Type) Check(data []byte) error {
	rest, err := t.skip(data, 0)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes are left over", len(rest))
	}
	return err
}

// skip returns what follows a value of the type.
func (t *Type) skip(data []byte, depth int) (rest []byte, err error) {
	if depth > maxDepth {
		return nil, errors.New("it is nested too deep")
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
			if data, err = t.Fields[i].Type.skip(data, depth+1); err != nil {
				return nil, fmt.Errorf("field %s: %w", t.Fields[i].Name, err)
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
		return t.Branches[branch].skip(rest, depth+1)
	}
	return t.skipBlocks(data, depth)
}

// skipBlocks is skip for arrays and maps.
func (t *Type) skipBlocks(data []byte, depth int) (rest []byte, err error) {
	empty := 0
	for {
		var count int64
		if count, data, err = takeCount(data); err != nil || count == 0 {
			return data, err
		}
		for range count {
			before := len(data)
			if t.Kind == Map {
				if data, err = stringType.skip(data, depth); err != nil {
					return nil, err
				}
			}
			if data, err = t.Element.skip(data, depth+1); err != nil {
				return nil, err
			}
			if len(data) == before {
				if empty++; empty > maxEmpty {
					return nil, errNumber
				}
			}
		}
	}
}

var stringType = &Type{Kind: String}

// takeLong takes a zigzag varint off data.
func takeLong(data []byte) (n int64, rest []byte, err error) {
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
