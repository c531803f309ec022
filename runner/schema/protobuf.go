// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// protobufValues are messages of a .proto file. Which one of the file's messages
// a value is, is written before it; each has rows of its own.
func protobufValues(sources []Source, rows rowsMaker) (decoder, error) {
	const main = "schema.proto"
	files := protobufFiles{}
	for _, s := range sources {
		if s.Name == "" {
			files[main] = s.Text
		} else {
			files[s.Name] = s.Text
		}
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(files)}
	compiled, err := compiler.Compile(context.Background(), main)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	p := &protobufFile{file: compiled[0], rows: rows, messages: map[string]*protobufMessage{}}
	return p.decode, nil
}

// protobufFiles are texts of schemas by the names that others import them by.
type protobufFiles map[string]string

// FindFileByPath implements [protocompile.Resolver]. A schema is the text of a
// .proto file or its descriptor in base64: some of Confluent's serializers
// register the latter, and not every registry makes a text of it.
func (f protobufFiles) FindFileByPath(path string) (protocompile.SearchResult, error) {
	text, ok := f[path]
	if !ok {
		return protocompile.SearchResult{}, protoregistry.NotFound
	}
	if serialized, err := base64.StdEncoding.DecodeString(text); err == nil {
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(serialized, file); err == nil {
			file.Name = proto.String(path)
			nameInJSON(file.MessageType)
			return protocompile.SearchResult{Proto: file}, nil
		}
	}
	return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
}

// nameInJSON gives fields the names in JSON that the compiler takes for empty,
// and thus for equal, where a descriptor has none. Nobody uses them.
func nameInJSON(messages []*descriptorpb.DescriptorProto) {
	for _, m := range messages {
		for _, f := range m.GetField() {
			if f.JsonName == nil {
				f.JsonName = f.Name
			}
		}
		nameInJSON(m.GetNestedType())
	}
}

type protobufFile struct {
	file     protoreflect.FileDescriptor
	rows     rowsMaker
	messages map[string]*protobufMessage // by what is written before them
}

// protobufMessage is one of the messages of a file, in use.
type protobufMessage struct {
	rows   *Rows
	reused *dynamicpb.Message
}

func (p *protobufFile) decode(scratch, payload []byte) (*Rows, []byte, error) {
	indexes, rest, err := takeIndexes(payload)
	if err != nil {
		return nil, nil, err
	}
	m := p.messages[string(payload[:len(payload)-len(rest)])]
	if m == nil {
		if m, err = p.message(indexes); err != nil {
			return nil, nil, err
		}
		p.messages[string(payload[:len(payload)-len(rest)])] = m
	}
	m.reused.Reset()
	if err := (proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxDepth}).Unmarshal(rest, m.reused); err != nil {
		return nil, nil, fmt.Errorf("%w", err)
	}
	return m.rows, appendMessage(scratch[:0], m.reused), nil
}

// takeIndexes takes off which message of the file a value is: how many numbers
// there are and the numbers, from the outside in, or a single 0 for the first
// message.
func takeIndexes(payload []byte) (indexes []int64, rest []byte, err error) {
	count, payload, err := takeLong(payload)
	if err != nil || count < 0 || count > maxDepth {
		return nil, nil, errNoMessage
	}
	if count == 0 {
		return []int64{0}, payload, nil
	}
	for range count {
		var index int64
		if index, payload, err = takeLong(payload); err != nil {
			return nil, nil, errNoMessage
		}
		indexes = append(indexes, index)
	}
	return indexes, payload, nil
}

func (p *protobufFile) message(indexes []int64) (*protobufMessage, error) {
	messages := p.file.Messages()
	var found protoreflect.MessageDescriptor
	for _, index := range indexes {
		if index < 0 || index >= int64(messages.Len()) {
			return nil, errNoMessage
		}
		found = messages.Get(int(index))
		messages = found.Messages()
	}
	node := (&protoShape{named: map[protoreflect.FullName]bool{}}).message(found)
	shape, err := node.Schema()
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	rows, err := p.rows(shape)
	return &protobufMessage{rows: rows, reused: dynamicpb.NewMessage(found)}, err
}

// protoShape gives messages the shape of Avro records.
type protoShape struct {
	named map[protoreflect.FullName]bool
}

func (p *protoShape) message(m protoreflect.MessageDescriptor) avro.SchemaNode {
	name := string(m.FullName())
	if p.named[m.FullName()] {
		return avro.SchemaNode{Type: name}
	}
	p.named[m.FullName()] = true
	node := avro.SchemaNode{Type: "record", Name: string(m.Name())}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		node.Namespace = name[:i]
	}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		node.Fields = append(node.Fields, avro.SchemaField{Name: string(f.Name()), Type: p.field(f)})
	}
	return node
}

func (p *protoShape) field(f protoreflect.FieldDescriptor) avro.SchemaNode {
	switch {
	case f.IsMap():
		value := p.single(f.MapValue())
		return avro.SchemaNode{Type: "map", Values: &value}
	case f.IsList():
		item := p.single(f)
		return avro.SchemaNode{Type: "array", Items: &item}
	case f.HasPresence():
		return avro.SchemaNode{Type: "union", Branches: []avro.SchemaNode{{Type: "null"}, p.single(f)}}
	}
	return p.single(f)
}

// single is the shape of one value. Enums are strings, since messages may hold
// numbers that their schema does not know; the largest of 64 bits without sign
// become negative.
func (p *protoShape) single(f protoreflect.FieldDescriptor) avro.SchemaNode {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return p.message(f.Message())
	case protoreflect.BoolKind:
		return avro.SchemaNode{Type: "boolean"}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return avro.SchemaNode{Type: "int"}
	case protoreflect.FloatKind:
		return avro.SchemaNode{Type: "float"}
	case protoreflect.DoubleKind:
		return avro.SchemaNode{Type: "double"}
	case protoreflect.StringKind, protoreflect.EnumKind:
		return avro.SchemaNode{Type: "string"}
	case protoreflect.BytesKind:
		return avro.SchemaNode{Type: "bytes"}
	}
	return avro.SchemaNode{Type: "long"}
}

func appendMessage(dst []byte, m protoreflect.Message) []byte {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap():
			if entries := m.Get(f).Map(); entries.Len() > 0 {
				dst = binary.AppendVarint(dst, int64(entries.Len()))
				entries.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
					dst = appendSingle(appendText(dst, key.String()), f.MapValue(), value)
					return true
				})
			}
			dst = append(dst, 0)
		case f.IsList():
			if list := m.Get(f).List(); list.Len() > 0 {
				dst = binary.AppendVarint(dst, int64(list.Len()))
				for j := range list.Len() {
					dst = appendSingle(dst, f, list.Get(j))
				}
			}
			dst = append(dst, 0)
		case f.HasPresence() && !m.Has(f):
			dst = append(dst, 0)
		case f.HasPresence():
			dst = appendSingle(append(dst, 2), f, m.Get(f))
		default:
			dst = appendSingle(dst, f, m.Get(f))
		}
	}
	return dst
}

func appendSingle(dst []byte, f protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(dst, v.Message())
	case protoreflect.BoolKind:
		if v.Bool() {
			return append(dst, 1)
		}
		return append(dst, 0)
	case protoreflect.FloatKind:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v.Float())))
	case protoreflect.DoubleKind:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Float()))
	case protoreflect.StringKind:
		return appendText(dst, strings.ToValidUTF8(v.String(), "\uFFFD")) // proto2 does not check it
	case protoreflect.BytesKind:
		return appendText(dst, v.Bytes())
	case protoreflect.EnumKind:
		if known := f.Enum().Values().ByNumber(v.Enum()); known != nil {
			return appendText(dst, string(known.Name()))
		}
		return appendText(dst, fmt.Sprint(v.Enum()))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return binary.AppendVarint(dst, int64(v.Uint()))
	}
	return binary.AppendVarint(dst, v.Int())
}
