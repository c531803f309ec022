// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Logical says what becomes of times and the like in values that do not say it
// as Avro does: text of JSON Schema's formats, and messages that everybody knows.
type Logical int

// What becomes of them.
const (
	LogicalNone   Logical = iota // they stay what they are
	LogicalMicros                // times count microseconds
	LogicalNanos                 // times count nanoseconds
)

// logicalTypes are what the settings call them.
var logicalTypes = map[string]Logical{"none": LogicalNone, "micros": LogicalMicros, "nanos": LogicalNanos}

// timestamp is the logical type of times.
func (l Logical) timestamp() *Type {
	if l == LogicalNanos {
		return &Type{Kind: Long, Logical: "timestamp-nanos"}
	}
	return &Type{Kind: Long, Logical: "timestamp-micros"}
}

// appendTime appends a time in the logical type's unit. Digits beyond it are cut
// off, as of all times, towards the past.
func (l Logical) appendTime(dst []byte, seconds, nanos int64) ([]byte, error) {
	perSecond, fraction := int64(1e6), nanos/1000
	if l == LogicalNanos {
		perSecond, fraction = 1e9, nanos
	}
	n := seconds*perSecond + fraction
	if seconds > math.MaxInt64/perSecond-1 || seconds < math.MinInt64/perSecond+1 {
		return nil, fmt.Errorf("a time of %d seconds since 1970 is beyond what 64 bits hold; SPOUT_SCHEMA_REGISTRY_LOGICAL_TYPES=micros reaches further than nanos", seconds)
	}
	return binary.AppendVarint(dst, n), nil
}

// knownMessage is a message that becomes something else than a record.
type knownMessage uint8

const (
	ordinary         knownMessage = iota
	knownTimestamp                // a time
	knownDuration                 // seconds as a decimal
	knownWrapper                  // its one field
	knownDecimal                  // a decimal of the scale that the field's options say
	knownDecimalText              // a decimal as text, since its scale is not known
)

var knownMessages = map[protoreflect.FullName]knownMessage{
	"google.protobuf.Timestamp": knownTimestamp, "google.protobuf.Duration": knownDuration,
	"google.protobuf.DoubleValue": knownWrapper, "google.protobuf.FloatValue": knownWrapper, "google.protobuf.Int64Value": knownWrapper,
	"google.protobuf.UInt64Value": knownWrapper, "google.protobuf.Int32Value": knownWrapper, "google.protobuf.UInt32Value": knownWrapper,
	"google.protobuf.BoolValue": knownWrapper, "google.protobuf.StringValue": knownWrapper, "google.protobuf.BytesValue": knownWrapper,
	"google.type.Decimal": knownWrapper, "confluent.type.Decimal": knownDecimalText, "confluent.types.Decimal": knownDecimalText,
}

// fieldsOfKnown are kinds of the fields, in their order, without which a message
// is not the one that everybody knows.
var fieldsOfKnown = map[knownMessage][]protoreflect.Kind{
	knownTimestamp: {protoreflect.Int64Kind, protoreflect.Int32Kind}, knownDuration: {protoreflect.Int64Kind, protoreflect.Int32Kind},
	knownDecimalText: {protoreflect.BytesKind, protoreflect.Uint32Kind, protoreflect.Int32Kind},
}

// durationPrecision and nanosScale are those of a duration in seconds.
const (
	durationPrecision = 21
	nanosScale        = 9
)

// known says which one a field's message is.
func (p *protoShape) known(d protoreflect.FieldDescriptor, f *protoField) {
	kind := knownMessages[d.Message().FullName()]
	if p.logical == LogicalNone || d.Kind() != protoreflect.MessageKind || kind == ordinary {
		return
	}
	fields := d.Message().Fields()
	if kind == knownWrapper {
		if fields.Len() != 1 || fields.Get(0).Cardinality() == protoreflect.Repeated || fields.Get(0).Message() != nil {
			return
		}
	} else {
		if fields.Len() != len(fieldsOfKnown[kind]) {
			return
		}
		for i, of := range fieldsOfKnown[kind] {
			if fields.Get(i).Kind() != of || fields.Get(i).Cardinality() == protoreflect.Repeated {
				return
			}
		}
	}
	f.known, f.logical = kind, p.logical
	switch kind {
	case knownTimestamp:
		f.instead = p.logical.timestamp()
	case knownDuration:
		f.instead = &Type{Kind: Bytes, Logical: "decimal", Precision: durationPrecision, Scale: nanosScale}
	case knownWrapper:
		f.instead = f.message.fields[0].single()
	case knownDecimalText:
		f.instead = primitive(String)
		if precision, scale, ok := decimalOptions(d); ok {
			f.known, f.instead = knownDecimal, &Type{Kind: Bytes, Logical: "decimal", Precision: precision, Scale: scale}
		}
	}
}

// decimalOptions are what Confluent's converter says of a field with a decimal.
func decimalOptions(d protoreflect.FieldDescriptor) (precision, scale int, ok bool) {
	params := map[string]string{}
	d.Options().ProtoReflect().Range(func(option protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if option.FullName() != "confluent.field_meta" || option.Message() == nil {
			return true
		}
		if list := option.Message().Fields().ByName("params"); list != nil && list.IsMap() {
			value.Message().Get(list).Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
				params[key.String()] = value.String()
				return true
			})
		}
		return false
	})
	scale, err := strconv.Atoi(params["scale"])
	if err != nil {
		return 0, 0, false
	}
	if precision, err = strconv.Atoi(params["precision"]); err != nil || precision < 1 {
		precision = mostDigits
	}
	return precision, scale, scale >= 0 && scale <= precision && precision <= mostDigits
}

// mostDigits is how many digits decimals have that all readers take.
const mostDigits = 38

var errDuration = errors.New("it is not a duration")

// instead appends what a message becomes that everybody knows.
func (w *protoWriter) instead(dst []byte, f *protoField, c chain) (_ []byte, err error) {
	if len(dst) > w.limit {
		return nil, errGrows
	}
	from := w.mark()
	defer w.reset(from)
	if c.first >= 0 {
		if err := w.scan(f.message, c.first); err != nil {
			return nil, err
		}
	}
	raw := func(i int) []byte {
		if c.first < 0 || w.heads[from.heads+i].first < 0 {
			return nil
		}
		return w.raw(w.heads[from.heads+i].last)
	}
	number := func(i int) int64 { return signed(f.message.fields[i].kind, f.message.fields[i].numberOf(raw(i))) }
	switch f.known {
	case knownTimestamp:
		nanos := number(1)
		if nanos < 0 || nanos >= 1e9 {
			return nil, fmt.Errorf("%d are not nanoseconds of a second", nanos)
		}
		return f.logical.appendTime(dst, number(0), nanos)
	case knownDuration:
		seconds, nanos := number(0), number(1)
		if nanos <= -1e9 || nanos >= 1e9 || seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0 || seconds > 315_576_000_000 || seconds < -315_576_000_000 {
			return nil, errDuration
		}
		if seconds < math.MaxInt64/1_000_000_000-1 && seconds > math.MinInt64/1_000_000_000+1 {
			return appendWholeDecimal(dst, seconds*1e9+nanos), nil
		}
		n := new(big.Int).Mul(big.NewInt(seconds), big.NewInt(1e9))
		return appendBigDecimal(dst, n.Add(n, big.NewInt(nanos))), nil
	case knownWrapper:
		return appendProto(dst, &f.message.fields[0], raw(0))
	}
	return f.decimal(dst, raw(0), number(2))
}

// decimal appends a decimal whose unscaled value is a big-endian complement of two.
func (f *protoField) decimal(dst, b []byte, scale int64) ([]byte, error) {
	if len(b) > maxDecimal || scale > maxDecimal || scale < -maxDecimal {
		return nil, errDigits
	}
	if f.known == knownDecimalText {
		var room [64]byte
		zeros := 0
		if scale < 0 {
			zeros, scale = int(-scale), 0
		}
		digits, err := appendDecimalText(room[:0], b, int(scale))
		if err != nil {
			return nil, err
		}
		for range zeros {
			digits = append(digits, '0')
		}
		return appendText(dst, digits), nil
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	if by := int64(f.instead.Scale) - scale; by > 2*mostDigits || by < -2*mostDigits { // which takes long, and would be refused
		if n.Sign() != 0 {
			return nil, errDigits
		}
	} else if by > 0 {
		n.Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(by), nil))
	} else if by < 0 {
		rest := new(big.Int)
		if n.QuoRem(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(-by), nil), rest); rest.Sign() != 0 {
			return nil, fmt.Errorf("its decimal has more digits behind the point than the %d of its schema", f.instead.Scale)
		}
	}
	if new(big.Int).Abs(n).Cmp(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(f.instead.Precision)), nil)) >= 0 {
		return nil, fmt.Errorf("its decimal has more than the %d digits of its schema", f.instead.Precision)
	}
	return appendBigDecimal(dst, n), nil
}

// appendWholeDecimal appends an unscaled value as bytes, as few as it takes.
func appendWholeDecimal(dst []byte, n int64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	at := 0
	for at < 7 && (b[at] == 0 && b[at+1] < 0x80 || b[at] == 0xFF && b[at+1] >= 0x80) {
		at++
	}
	return appendText(dst, b[at:])
}

// appendBigDecimal is appendWholeDecimal for numbers of any size.
func appendBigDecimal(dst []byte, n *big.Int) []byte {
	if n.IsInt64() {
		return appendWholeDecimal(dst, n.Int64())
	}
	length := n.BitLen()/8 + 1
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*length)))
	}
	return appendText(dst, n.FillBytes(make([]byte, length)))
}
