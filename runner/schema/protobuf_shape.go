// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// protoMessage is what is needed of a message to bring values into Avro's
// encoding.
type protoMessage struct {
	avro     *Type
	fields   []protoField
	byNumber map[protowire.Number]int
	small    [32]int8 // the same of small numbers and first fields, from 1
	oneofs   int
}

type protoField struct {
	name     string
	kind     protoreflect.Kind
	wire     protowire.Type // of one value
	list     bool
	presence bool          // null if it is missing
	message  *protoMessage // of a message or group, or the entries of a map
	isMap    bool
	enum     map[protoreflect.EnumNumber]string
	missing  string // the value of an enum that is not there, which is its first
	oneof    int    // number of the oneof, from 1

	known   knownMessage // what else a message is than a record
	instead *Type        // what it becomes
	logical Logical
}

// protoShape gives messages the shape of Avro records, each once.
type protoShape struct {
	messages map[protoreflect.FullName]*protoMessage
	logical  Logical
}

func (p *protoShape) message(m protoreflect.MessageDescriptor) *protoMessage {
	if known := p.messages[m.FullName()]; known != nil {
		return known
	}
	s := &protoMessage{avro: &Type{Kind: Record, Name: string(m.FullName())}, byNumber: map[protowire.Number]int{}, oneofs: m.Oneofs().Len()}
	if m.ParentFile().Package() == "" {
		// Without a namespace, a name can stand for another type nearby, or for
		// one of Avro's own.
		s.avro.Name = "protobuf." + s.avro.Name
	}
	p.messages[m.FullName()] = s
	for i := range m.Fields().Len() {
		d := m.Fields().Get(i)
		f := p.field(d)
		s.byNumber[d.Number()] = i
		if int(d.Number()) < len(s.small) && i < math.MaxInt8 {
			s.small[d.Number()] = int8(i + 1)
		}
		s.fields = append(s.fields, f)
		s.avro.Fields = append(s.avro.Fields, Field{Name: string(d.Name()), Type: f.shape()})
	}
	return s
}

// wireTypes are those of kinds that are no varints.
var wireTypes = map[protoreflect.Kind]protowire.Type{
	protoreflect.Fixed32Kind: protowire.Fixed32Type, protoreflect.Sfixed32Kind: protowire.Fixed32Type, protoreflect.FloatKind: protowire.Fixed32Type,
	protoreflect.Fixed64Kind: protowire.Fixed64Type, protoreflect.Sfixed64Kind: protowire.Fixed64Type, protoreflect.DoubleKind: protowire.Fixed64Type,
	protoreflect.StringKind: protowire.BytesType, protoreflect.BytesKind: protowire.BytesType, protoreflect.MessageKind: protowire.BytesType,
	protoreflect.GroupKind: protowire.StartGroupType}

func (p *protoShape) field(d protoreflect.FieldDescriptor) protoField {
	f := protoField{name: string(d.Name()), kind: d.Kind(), wire: wireTypes[d.Kind()], list: d.IsList(), presence: d.HasPresence(), isMap: d.IsMap()}
	if of := d.Message(); of != nil {
		f.message = p.message(of)
		p.known(d, &f)
	}
	if of := d.Enum(); of != nil {
		f.enum = map[protoreflect.EnumNumber]string{}
		for i := range of.Values().Len() {
			v := of.Values().Get(i)
			if _, alias := f.enum[v.Number()]; !alias {
				f.enum[v.Number()] = string(v.Name())
			}
		}
		f.missing = f.enumText(of.Values().Get(0).Number())
	}
	if of := d.ContainingOneof(); of != nil {
		f.oneof = of.Index() + 1
	}
	return f
}

// enumText is the name of an enum's value, or its number: messages may hold
// some that their schema does not know.
func (f *protoField) enumText(n protoreflect.EnumNumber) string {
	if name, ok := f.enum[n]; ok {
		return name
	}
	return strconv.Itoa(int(n))
}

func (f *protoField) shape() *Type {
	switch {
	case f.isMap:
		return &Type{Kind: Map, Element: f.message.fields[1].single()}
	case f.list:
		return &Type{Kind: Array, Element: f.single()}
	case f.presence:
		return nullable(f.single())
	}
	return f.single()
}

// single is the shape of one value. Enums are strings; the largest numbers of
// 64 bits without sign become negative.
func (f *protoField) single() *Type {
	if f.instead != nil {
		return f.instead
	}
	switch f.kind {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return f.message.avro
	case protoreflect.BoolKind:
		return primitive(Boolean)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return primitive(Int)
	case protoreflect.FloatKind:
		return primitive(Float)
	case protoreflect.DoubleKind:
		return primitive(Double)
	case protoreflect.StringKind, protoreflect.EnumKind:
		return primitive(String)
	case protoreflect.BytesKind:
		return primitive(Bytes)
	}
	return &Type{Kind: Long, unsigned: f.kind == protoreflect.Uint64Kind || f.kind == protoreflect.Fixed64Kind}
}
