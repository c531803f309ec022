// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"strconv"
)

// kind is what becomes of a type in files.
type kind uint8

const (
	kindText      kind = iota // whatever PostgreSQL writes
	kindBool                  // boolean
	kindInt                   // int of 32 bits
	kindLong                  // of 64
	kindFloat                 // of 32
	kindDouble                // of 64
	kindDecimal               // decimal, of at most 38 digits
	kindNumeric               // text, since there is no bound for its digits
	kindBytes                 // bytes
	kindDate                  // days since 1970
	kindTime                  // microseconds since midnight
	kindTimestamp             // microseconds since 1970, of no time zone
	kindInstant               // microseconds since 1970 in UTC
	kindUUID                  // text
)

// columnType is what becomes of a column.
type columnType struct {
	kind             kind
	precision, scale int // of decimals
	array            bool
}

// avro is the type in Avro, which is null if there is no value.
func (t columnType) avro() string {
	text := t.kind.avro(t)
	if t.array {
		text = `{"type":"array","items":["null",` + text + `]}`
	}
	return `["null",` + text + `]`
}

func (k kind) avro(t columnType) string {
	switch k {
	case kindBool:
		return `"boolean"`
	case kindInt:
		return `"int"`
	case kindLong:
		return `"long"`
	case kindFloat:
		return `"float"`
	case kindDouble:
		return `"double"`
	case kindDecimal:
		return fmt.Sprintf(`{"type":"bytes","logicalType":"decimal","precision":%d,"scale":%d}`, t.precision, t.scale)
	case kindBytes:
		return `"bytes"`
	case kindDate:
		return `{"type":"int","logicalType":"date"}`
	case kindTime:
		return `{"type":"long","logicalType":"time-micros"}`
	case kindTimestamp:
		return `{"type":"long","logicalType":"local-timestamp-micros"}`
	case kindInstant:
		return `{"type":"long","logicalType":"timestamp-micros"}`
	case kindUUID:
		return `{"type":"string","logicalType":"uuid"}`
	}
	return `"string"`
}

// OIDs of types that have columns of their own, and of arrays of them. All
// others are text.
var (
	builtin = map[uint32]kind{
		16: kindBool, 17: kindBytes, 20: kindLong, 21: kindInt, 23: kindInt, 26: kindLong, 700: kindFloat, 701: kindDouble,
		1082: kindDate, 1083: kindTime, 1114: kindTimestamp, 1184: kindInstant, 1700: kindNumeric, 2950: kindUUID,
	}
	builtinArrays = map[uint32]uint32{
		1000: 16, 1001: 17, 1016: 20, 1005: 21, 1007: 23, 1028: 26, 1021: 700, 1022: 701,
		1182: 1082, 1183: 1083, 1115: 1114, 1185: 1184, 1231: 1700, 2951: 2950,
		// Arrays of text: "char", name, text, character, varying, json, jsonb, inet, cidr and interval.
		1002: 18, 1003: 19, 1009: 25, 1014: 1042, 1015: 1043, 199: 114, 3807: 3802, 1041: 869, 651: 650, 1187: 1186,
	}
)

// firstUserOID is the first OID of types that are not PostgreSQL's own.
const firstUserOID = 16384

const (
	oidNumeric  = 1700
	mostDigits  = 38 // that readers of decimals take
	noModifier  = -1
	headModifer = 4 // of a numeric's modifier
)

// baseType is what becomes of a type of PostgreSQL's own.
func baseType(oid uint32, modifier int32) columnType {
	if element, ok := builtinArrays[oid]; ok {
		t := baseType(element, modifier)
		t.array = true
		return t
	}
	t := columnType{kind: builtin[oid]}
	if oid == oidNumeric && modifier >= headModifer {
		precision, scale := int(modifier-headModifer)>>16&0xFFFF, int(modifier-headModifer)&0x7FF
		if scale&0x400 != 0 {
			scale -= 0x800 // negative since version 15
		}
		if precision <= mostDigits && scale >= 0 && scale <= precision {
			t = columnType{kind: kindDecimal, precision: precision, scale: scale}
		}
	}
	return t
}

// userType is what the catalogue says of a type that somebody has made.
type userType struct {
	domainOf uint32 // 0 if it is no domain
	modifier int32
	element  uint32 // of an array
}

// typeOf resolves domains and arrays of them; lookup is asked for types that are
// not PostgreSQL's own, and may know none.
func typeOf(oid uint32, modifier int32, lookup func(uint32) (userType, error)) (columnType, error) {
	const most = 32 // domains of domains
	return typeWithin(most, oid, modifier, lookup)
}

// typeWithin is typeOf in so many steps. What takes more is text: a server could
// say that a type is an array of itself.
func typeWithin(steps int, oid uint32, modifier int32, lookup func(uint32) (userType, error)) (columnType, error) {
	for ; steps > 0; steps-- {
		if oid < firstUserOID {
			return baseType(oid, modifier), nil
		}
		u, err := lookup(oid)
		switch {
		case err != nil:
			return columnType{}, err
		case u.domainOf != 0:
			oid = u.domainOf
			if u.modifier != noModifier {
				modifier = u.modifier
			}
		case u.element != 0:
			t, err := typeWithin(steps-1, u.element, modifier, lookup)
			if t.array { // of a domain that is one
				return columnType{}, err
			}
			t.array = true
			return t, err
		default:
			return columnType{}, nil
		}
	}
	return columnType{}, nil
}

func parseOID(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0 // no type
	}
	return uint32(n)
}
