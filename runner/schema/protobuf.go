// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// maxProtobuf bounds the schemas that are compiled: the compiler takes some
// hundred times as much memory.
const maxProtobuf = 256 << 10

// protobufValues are messages of a .proto file. Which one of the file's messages
// a value is, is written before it; each has rows of its own. How many fields
// those have that are kept is counted.
func protobufValues(ctx context.Context, sources []Source, rows rowsMaker, largest int, logical Logical) (decoder, *int, error) {
	file, err := compileProtobuf(ctx, sources)
	if err != nil {
		return nil, nil, err
	}
	p := &protobufFile{file: file, rows: rows, logical: logical, messages: map[string]*protobufMessage{}, writer: protoWriter{largest: largest}}
	return p.decode, &p.fields, nil
}

func compileProtobuf(ctx context.Context, sources []Source) (protoreflect.FileDescriptor, error) {
	const main = "schema.proto"
	files, size := protobufFiles{}, 0
	for _, s := range sources {
		if size += len(s.Text); size > maxProtobuf {
			return nil, fmt.Errorf("it and what it imports are longer than %d bytes", maxProtobuf)
		}
		if s.Name == "" {
			files[main] = s.Text
		} else {
			files[s.Name] = s.Text
		}
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(files), MaxParallelism: 1}
	compiled, err := compiler.Compile(ctx, main)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return compiled[0], nil
}

// protobufFiles are texts of schemas by the names that others import them by.
type protobufFiles map[string]string

// wellKnown are files that are never registered: serializers bring them along, as
// compilers do those of google/protobuf.
//
//go:embed known
var wellKnown embed.FS

// FindFileByPath implements [protocompile.Resolver]. A schema is the text of a
// .proto file or its descriptor in base64: some of Confluent's serializers
// register the latter, and not every registry makes a text of it.
func (f protobufFiles) FindFileByPath(path string) (protocompile.SearchResult, error) {
	text, ok := f[path]
	if !ok {
		content, err := wellKnown.ReadFile("known/" + path)
		if err != nil {
			return protocompile.SearchResult{}, protoregistry.NotFound
		}
		text = string(content)
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
	fields   int                         // of these
	writer   protoWriter
	logical  Logical
}

// protobufMessage is one of the messages of a file, in use, or why it cannot be.
type protobufMessage struct {
	rows *Rows
	of   *protoMessage
	err  error
}

// maxMessageFields bounds the messages that are kept, by their fields and those
// of what they hold: all are forgotten beyond it, and made again.
const maxMessageFields = 20_000

func (p *protobufFile) decode(scratch, payload []byte) (*Rows, []byte, error) {
	indexes, rest, err := takeIndexes(payload)
	if err != nil {
		return nil, nil, err
	}
	m := p.messages[string(payload[:len(payload)-len(rest)])]
	if m == nil {
		m = p.message(indexes)
		if p.fields += m.size(); p.fields > maxMessageFields {
			clear(p.messages)
			p.fields = m.size()
		}
		p.messages[string(payload[:len(payload)-len(rest)])] = m
	}
	if m.err != nil {
		return nil, nil, m.err
	}
	value, err := p.writer.write(scratch[:0], m.of, rest)
	if err == nil {
		err = m.rows.checkTranscoded(m.of.avro, value)
	}
	return m.rows, value, err
}

var errNoMessage = errors.New("it names no message of its schema")

var firstMessage = []int64{0}

// takeIndexes takes off which message of the file a value is: how many numbers
// there are and the numbers, from the outside in, or a single 0 for the first
// message. There is one way to write that, but for the first message.
func takeIndexes(payload []byte) (indexes []int64, rest []byte, err error) {
	count, payload, err := takeIndex(payload)
	if err != nil || count > settings.MaxDepth {
		return nil, nil, errNoMessage
	}
	if count == 0 {
		return firstMessage, payload, nil
	}
	for range count {
		var index int64
		if index, payload, err = takeIndex(payload); err != nil {
			return nil, nil, errNoMessage
		}
		indexes = append(indexes, index)
	}
	return indexes, payload, nil
}

// takeIndex takes a number off that is not negative, and in as few bytes as it
// can be.
func takeIndex(payload []byte) (n int64, rest []byte, err error) {
	n, rest, err = takeLong(payload)
	if length := len(payload) - len(rest); err == nil && (n < 0 || length > 1 && payload[length-1] == 0) {
		err = errNumber
	}
	return n, rest, err
}

func (p *protobufFile) message(indexes []int64) *protobufMessage {
	messages := p.file.Messages()
	var found protoreflect.MessageDescriptor
	for _, index := range indexes {
		if index < 0 || index >= int64(messages.Len()) {
			return &protobufMessage{err: errNoMessage}
		}
		found = messages.Get(int(index))
		messages = found.Messages()
	}
	of := (&protoShape{map[protoreflect.FullName]*protoMessage{}, p.logical}).message(found)
	rows, err := p.rows(of.avro)
	if err != nil {
		return &protobufMessage{err: err}
	}
	return &protobufMessage{rows: rows, of: of}
}

// size is about how much memory a message takes, in fields: with columns, those
// of each place where one is used.
func (m *protobufMessage) size() int {
	const around = 20
	if m.err != nil {
		return 1
	}
	return around + m.rows.size()
}
