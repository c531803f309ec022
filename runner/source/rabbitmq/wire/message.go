// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Message is a message in AMQP 1.0, as streams store it. All bytes are within
// those that it was read from, but for texts that had to be made.
type Message struct {
	Body       []byte // the data sections, or the value
	RoutingKey []byte // nil if there is none
	Created    int64  // milliseconds since 1970, 0 if the publisher does not say
}

// Header is called for each property, annotation and header of a message, with
// its value as text; nil is null.
type Header func(name string, value []byte)

// properties are those of AMQP 1.0 in their order, with the names of AMQP 0.9.1
// where it has them.
var properties = [...]string{"message_id", "user_id", "to", "subject", "reply_to", "correlation_id", "content_type", "content_encoding",
	"expiry_time", "timestamp", "group_id", "group_sequence", "reply_to_group_id"}

// annotations of messages that were published by AMQP 0.9.1, which are
// properties there.
var annotations = map[string]string{"x-exchange": "exchange", "x-basic-type": "type", "x-basic-app-id": "app_id", "x-basic-expiration": "expiration",
	"x-basic-priority": "priority", "x-basic-delivery-mode": "delivery_mode"}

// PropertyPrefix begins the names of headers that are properties.
const PropertyPrefix = "rabbitmq."

const (
	sectionHeader      = 0x70
	sectionDelivery    = 0x71
	sectionAnnotations = 0x72
	sectionProperties  = 0x73
	sectionApplication = 0x74
	sectionData        = 0x75
	sectionSequence    = 0x76
	sectionValue       = 0x77
	sectionFooter      = 0x78
)

// ParseMessage reads a message.
func ParseMessage(raw []byte, header Header) (m Message, err error) {
	inOthers := 0
	d := decoder{rest: raw, parts: &inOthers}
	bodies := 0
	for len(d.rest) > 0 && d.err == nil {
		section := d.descriptor()
		switch section {
		case sectionAnnotations:
			d.annotations(&m, header)
		case sectionProperties:
			d.properties(&m, header)
		case sectionApplication:
			d.annotations(&m, header) // nodes put some of them here
		case sectionData:
			data := d.value()
			switch bodies++; bodies {
			case 1:
				m.Body = data.bytes
			case 2: // there may be many
				m.Body = append(append(make([]byte, 0, len(m.Body)+len(data.bytes)+len(d.rest)), m.Body...), data.bytes...)
			default:
				m.Body = append(m.Body, data.bytes...)
			}
		case sectionValue:
			m.Body = d.value().text()
		case sectionSequence:
			m.Body = d.value().text()
		case sectionHeader, sectionDelivery, sectionFooter:
			d.value()
		default:
			if d.err == nil {
				d.err = damaged("a message has the unknown section %#x", section)
			}
		}
	}
	return m, d.err
}

func (d *decoder) annotations(m *Message, header Header) {
	for n := d.mapping() / 2; n > 0 && d.err == nil; n-- {
		name, value := d.value(), d.value()
		switch key := string(name.text()); {
		case key == "x-routing-key":
			m.RoutingKey = value.text()
		case annotations[key] != "":
			if text := value.text(); len(text) > 0 {
				header(PropertyPrefix+annotations[key], text)
			}
		default:
			header(key, value.text())
		}
	}
}

func (d *decoder) properties(m *Message, header Header) {
	for i := range d.fields() {
		value := d.value()
		if d.err != nil {
			return
		}
		if value.kind == kindNull || i >= len(properties) {
			continue
		}
		if properties[i] == "timestamp" {
			m.Created = int64(value.number)
			continue
		}
		header(PropertyPrefix+properties[i], value.text())
	}
}

type kind byte

const (
	kindNull kind = iota
	kindBool
	kindUint
	kindInt
	kindFloat
	kindTime
	kindBytes
	kindText
	kindUUID
	kindComposed // a list, map or array
)

// value is a value of AMQP 1.0.
type value struct {
	kind   kind
	number uint64 // of kinds that are numbers, floats by their bits
	bytes  []byte // of those that are bytes, and what composed ones are encoded as
	parts  []any  // of composed ones
	isMap  bool
}

// text is the value as the value of a header.
func (v value) text() []byte {
	switch v.kind {
	case kindNull:
		return nil
	case kindBytes, kindText:
		return v.bytes
	case kindBool:
		return strconv.AppendBool(nil, v.number != 0)
	case kindUint:
		return strconv.AppendUint(nil, v.number, 10)
	case kindInt:
		return strconv.AppendInt(nil, int64(v.number), 10)
	case kindFloat:
		return strconv.AppendFloat(nil, math.Float64frombits(v.number), 'g', -1, 64)
	case kindTime:
		return time.UnixMilli(int64(v.number)).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z07:00")
	case kindUUID:
		out, rest := make([]byte, 0, 36), v.bytes
		for i, n := range [...]int{4, 2, 2, 2, 6} {
			if i > 0 {
				out = append(out, '-')
			}
			out = hex.AppendEncode(out, rest[:n])
			rest = rest[n:]
		}
		return out
	}
	text, err := json.Marshal(v.json())
	if err != nil {
		return nil // it was made of what JSON can show
	}
	if len(text) > maxGrowth*len(v.bytes)+usualText {
		return v.bytes
	}
	return text
}

// A value within others stays as it is encoded if it would become much longer
// in JSON, as control characters do.
const (
	maxGrowth = 3
	usualText = 1 << 10
)

// json is the value as JSON shows it.
func (v value) json() any {
	switch v.kind {
	case kindNull:
		return nil
	case kindBool:
		return v.number != 0
	case kindUint:
		return v.number
	case kindInt:
		return int64(v.number)
	case kindFloat:
		if f := math.Float64frombits(v.number); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return string(v.text())
	case kindBytes:
		return base64.StdEncoding.EncodeToString(v.bytes)
	case kindComposed:
		if !v.isMap {
			if v.parts == nil {
				return []any{}
			}
			return v.parts
		}
		object := map[string]any{}
		for i := 0; i+1 < len(v.parts); i += 2 {
			name, ok := v.parts[i].(string)
			if !ok {
				text, _ := json.Marshal(v.parts[i]) //nolint:errcheck // as above
				name = string(text)
			}
			object[name] = v.parts[i+1]
		}
		return object
	}
	return string(v.text())
}

// decoder reads values. After an error, all are null.
type decoder struct {
	rest  []byte
	depth int
	parts *int // values within others, in all of the message
	err   error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.rest) {
		if d.err == nil {
			d.err = damaged("a message is cut off")
		}
		return nil
	}
	taken := d.rest[:n:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) number(n int) (v uint64) {
	for _, b := range d.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

// descriptor reads what says which section follows.
func (d *decoder) descriptor() uint64 {
	if d.number(1) != 0 {
		if d.err == nil {
			d.err = damaged("a message is not AMQP 1.0")
		}
		return 0
	}
	return d.value().number
}

// mapping reads the head of a map, and returns the number of keys and values.
func (d *decoder) mapping() int { return d.composed(0xc1, 0xd1, 0) }

// fields reads the head of a list, and returns its length.
func (d *decoder) fields() int { return d.composed(0xc0, 0xd0, 0x45) }

func (d *decoder) composed(short, long, empty byte) int {
	code := byte(d.number(1))
	n := uint64(0)
	switch {
	case d.err != nil, code == 0x40, code == empty && empty != 0:
		return 0
	case code == short:
		d.number(1)
		n = d.number(1)
	case code == long:
		d.number(4)
		n = d.number(4)
	default:
		d.err = damaged("a section of a message has the type %#x", code)
	}
	if n > uint64(len(d.rest)) { // each takes a byte at least
		d.err = damaged("a section of a message has %d values in %d bytes", n, len(d.rest))
		return 0
	}
	return int(n)
}

const (
	maxDepth = 32

	// maxParts is how many values of a message may be within others. They take
	// many times as much memory as bytes: a list, map or array with more stays as
	// it is encoded.
	maxParts = 1 << 16
)

func (d *decoder) value() value { return d.valueOf(byte(d.number(1))) }

func (d *decoder) valueOf(code byte) value {
	if d.err != nil {
		return value{}
	}
	signed := func(n int) value {
		return value{kind: kindInt, number: uint64(int64(d.number(n)<<(64-8*n)) >> (64 - 8*n))}
	}
	switch code {
	case 0x00: // described: its meaning is not known here
		d.nested(func() { d.value() })
		var v value
		d.nested(func() { v = d.value() })
		return v
	case 0x40:
		return value{}
	case 0x41, 0x42:
		return value{kind: kindBool, number: uint64(0x42 - code)}
	case 0x56:
		return value{kind: kindBool, number: d.number(1)}
	case 0x43, 0x44:
		return value{kind: kindUint}
	case 0x50, 0x52, 0x53:
		return value{kind: kindUint, number: d.number(1)}
	case 0x60:
		return value{kind: kindUint, number: d.number(2)}
	case 0x70:
		return value{kind: kindUint, number: d.number(4)}
	case 0x80:
		return value{kind: kindUint, number: d.number(8)}
	case 0x51, 0x54, 0x55:
		return signed(1)
	case 0x61:
		return signed(2)
	case 0x71:
		return signed(4)
	case 0x81:
		return signed(8)
	case 0x72:
		return value{kind: kindFloat, number: math.Float64bits(float64(math.Float32frombits(uint32(d.number(4)))))}
	case 0x82:
		return value{kind: kindFloat, number: d.number(8)}
	case 0x73:
		return value{kind: kindText, bytes: []byte(string(rune(d.number(4))))}
	case 0x74, 0x84, 0x94: // decimals, of which nothing but the bytes is kept
		return value{kind: kindBytes, bytes: d.take(4 << (code>>4 - 7))}
	case 0x83:
		return value{kind: kindTime, number: d.number(8)}
	case 0x98:
		if raw := d.take(16); raw != nil {
			return value{kind: kindUUID, bytes: raw}
		}
		return value{}
	case 0xa0:
		return value{kind: kindBytes, bytes: d.take(int(d.number(1)))}
	case 0xb0:
		return value{kind: kindBytes, bytes: d.take(int(d.number(4)))}
	case 0xa1, 0xa3:
		return value{kind: kindText, bytes: d.take(int(d.number(1)))}
	case 0xb1, 0xb3:
		return value{kind: kindText, bytes: d.take(int(d.number(4)))}
	case 0x45:
		return value{kind: kindComposed}
	case 0xc0, 0xc1:
		raw := d.take(int(d.number(1)))
		return d.list(raw, 1, code == 0xc1)
	case 0xd0, 0xd1:
		raw := d.take(int(d.number(4)))
		return d.list(raw, 4, code == 0xd1)
	case 0xe0:
		raw := d.take(int(d.number(1)))
		return d.array(raw, 1)
	case 0xf0:
		raw := d.take(int(d.number(4)))
		return d.array(raw, 4)
	}
	d.err = damaged("a value of a message has the type %#x", code)
	return value{}
}

// nested bounds how deep values are in others.
func (d *decoder) nested(do func()) {
	if d.depth++; d.depth > maxDepth {
		d.err = damaged("values of a message are nested more than %d deep", maxDepth)
		return
	}
	do()
	d.depth--
}

// list reads a list or map of which the number of values takes width bytes.
func (d *decoder) list(raw []byte, width int, isMap bool) value {
	v := value{kind: kindComposed, bytes: raw, isMap: isMap}
	d.nested(func() {
		inner := decoder{rest: raw, depth: d.depth, parts: d.parts, err: d.err}
		n := inner.number(width)
		if !d.may(n) {
			v = value{kind: kindBytes, bytes: raw}
			return
		}
		for i := 0; n > 0 && inner.err == nil; n, i = n-1, i+1 {
			before := inner.rest
			part := inner.value()
			if isMap && i%2 == 0 && part.kind == kindComposed { // as JSON in JSON, a few of them would become very long
				part = value{kind: kindBytes, bytes: before[:len(before)-len(inner.rest)]}
			}
			v.parts = append(v.parts, part.json())
		}
		d.err = inner.err
	})
	return v
}

// may says whether so many more values may be within others.
func (d *decoder) may(n uint64) bool {
	if n > uint64(maxParts-*d.parts) {
		return false
	}
	*d.parts += int(n)
	return true
}

func (d *decoder) array(raw []byte, width int) value {
	v := value{kind: kindComposed, bytes: raw}
	d.nested(func() {
		inner := decoder{rest: raw, depth: d.depth, parts: d.parts, err: d.err}
		n := inner.number(width)
		if !d.may(n) {
			v = value{kind: kindBytes, bytes: raw}
			return
		}
		code := byte(inner.number(1))
		if code == 0 || n > uint64(len(raw)) {
			if inner.err == nil {
				inner.err = damaged("an array of a message has %d values in %d bytes", n, len(raw))
			}
			n = 0
		}
		for ; n > 0 && inner.err == nil; n-- {
			v.parts = append(v.parts, inner.valueOf(code).json())
		}
		d.err = inner.err
	})
	return v
}
