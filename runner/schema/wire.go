// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// wireID is what a record says of its schema, if that is no number of 32 bits.
type wireID struct {
	kind wireKind
	id   [16]byte
}

// wireKind is what a schema is called by.
type wireKind uint8

const (
	byGUID    wireKind = iota // of a Confluent-compatible registry, and of Azure's and Glue's
	byGlobal                  // Apicurio's global id
	byContent                 // Apicurio's content id
)

// String names the schema in messages, files and their metadata.
func (w wireID) String() string {
	switch w.kind {
	case byGlobal:
		return "global-" + strconv.FormatUint(w.number(), 10)
	case byContent:
		return "content-" + strconv.FormatUint(w.number(), 10)
	}
	text, _ := (&Type{Logical: "uuid"}).appendBytes(nil, w.id[:]) //nolint:errcheck // it has no digits
	return string(text)
}

func (w wireID) number() uint64 { return binary.BigEndian.Uint64(w.id[:]) }

func numbered(kind wireKind, b []byte) wireID {
	w := wireID{kind: kind}
	copy(w.id[:8], b)
	return w
}

// What goes before values: a byte that says how the schema is named, and its
// name.
const (
	numberPrefix = 5 // a zero byte and a number of 32 bits
	globalPrefix = 9 // a zero byte and one of 64
	guidByte     = 1 // before a GUID
	glueByte     = 3 // before Glue's byte of the compression and a GUID
	gluePrefix   = 2 + 16
	guidPrefix   = 1 + 16
)

// Headers that say which schema values and keys have.
var (
	guidHeaders    = [...]string{"__value_schema_id", "__key_schema_id"}
	globalHeaders  = [...]string{"apicurio.value.globalId", "apicurio.key.globalId"}
	contentHeaders = [...]string{"apicurio.value.contentId", "apicurio.key.contentId"}
)

// azureType begins the content type of values that Azure's serializers have made.
const azureType = "avro/binary+"

// Split takes a value apart that begins with a zero byte and the number of its
// schema.
func Split(value []byte) (id int, payload []byte, err error) {
	if len(value) < numberPrefix || value[0] != 0 {
		return 0, nil, refusef(notSplit, "value")
	}
	return int(binary.BigEndian.Uint32(value[1:])), value[numberPrefix:], nil
}

const notSplit = "its %s does not begin with a zero byte and the number of a schema, as serializers with a schema registry write it"

// Split takes a record's value, or its key, apart into the number of its schema
// and the rest, which is valid until the next call. A schema that is called by
// something else than a number of 32 bits gets a negative one for the time being.
//
// What it takes are a zero byte and a number of 32 bits; where that would be 0,
// which no schema has, one of 64, as Apicurio's serializers wrote it until 2.6; a
// byte 1 and a GUID; a byte 3, whether it is compressed, and a GUID, as Glue's
// serializers have it; and headers, as those of Confluent's, Apicurio's and
// Azure's serializers, which come first.
func (r *Registry) Split(rec *source.Record, key bool) (id int, payload []byte, err error) {
	return r.split(rec, key, false)
}

// Named returns the number of the schema that a record's value, or its key,
// names; it is not ok if it names none.
func (r *Registry) Named(rec *source.Record, key bool) (id int, ok bool) {
	id, _, err := r.split(rec, key, true)
	return id, err == nil
}

func (r *Registry) split(rec *source.Record, key, idOnly bool) (id int, payload []byte, err error) {
	value, which, at := rec.Value, "value", 0
	if key {
		value, which, at = rec.Key, "key", 1
	}
	if rec.Headers.Count > 0 {
		id, rest, found, err := r.inHeaders(rec.Headers, at)
		if err != nil {
			return 0, nil, err
		}
		if found && len(rest) > 0 && !idOnly { // which message of a .proto file it is
			r.joined = append(append(r.joined[:0], rest...), value...)
			return id, r.joined, nil
		}
		if found {
			return id, value, nil
		}
	}
	switch {
	case len(value) >= numberPrefix && value[0] == 0:
		if id, payload, err = Split(value); id == 0 && len(value) >= globalPrefix {
			return r.number(numbered(byGlobal, value[1:globalPrefix])), value[globalPrefix:], nil
		}
		return id, payload, err
	case len(value) >= guidPrefix && value[0] == guidByte:
		return r.number(wireID{byGUID, [16]byte(value[1:guidPrefix])}), value[guidPrefix:], nil
	}
	if len(value) >= gluePrefix && value[0] == glueByte && (value[1] == gluePlain || value[1] == glueZlib) {
		if payload = value[gluePrefix:]; value[1] == glueZlib && !idOnly {
			if payload, err = r.uncompressed(payload); err != nil {
				return 0, nil, refusef("its %s is not compressed as Glue's serializers do it: %.200v", which, err)
			}
		}
		return r.number(wireID{byGUID, [16]byte(value[2:gluePrefix])}), payload, nil
	}
	return 0, nil, refusef(notSplit, which)
}

// How Glue's serializers compress values.
const (
	gluePlain = 0
	glueZlib  = 5
)

// uncompressed is a value of Glue's serializers as it was before.
func (r *Registry) uncompressed(payload []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	buffer := bytes.NewBuffer(r.joined[:0])
	_, err = io.Copy(buffer, io.LimitReader(z, int64(r.maker.largest)+1))
	if r.joined = buffer.Bytes(); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	if len(r.joined) > r.maker.largest {
		return nil, errGrows
	}
	return r.joined, nil
}

// inHeaders looks for what headers say of a schema; rest is what else they say
// of the value. Of several of a name the last counts.
func (r *Registry) inHeaders(headers source.Headers, at int) (id int, rest []byte, found bool, err error) {
	for name, content := range headers.All() {
		switch {
		case string(name) == guidHeaders[at]:
			switch {
			case len(content) >= guidPrefix && content[0] == guidByte:
				id, rest = r.number(wireID{byGUID, [16]byte(content[1:guidPrefix])}), content[guidPrefix:]
			case len(content) >= numberPrefix && content[0] == 0:
				id, rest = int(binary.BigEndian.Uint32(content[1:])), content[numberPrefix:]
			default:
				return 0, nil, false, refusef("its header %s is not like those that serializers with a schema registry write", name)
			}
			found = true
		case string(name) == globalHeaders[at] && len(content) == 8:
			id, rest, found = r.number(numbered(byGlobal, content)), nil, true
		case string(name) == contentHeaders[at] && len(content) == 8:
			id, rest, found = r.number(numbered(byContent, content)), nil, true
		case at == 0 && bytes.EqualFold(name, []byte("content-type")) && bytes.HasPrefix(content, []byte(azureType)):
			guid, ok := parseGUID(content[len(azureType):])
			if !ok {
				return 0, nil, false, refusef("its content type names no schema")
			}
			id, rest, found = r.number(wireID{byGUID, guid}), nil, true
		}
	}
	return id, rest, found, nil
}

// parseGUID reads 32 hexadecimal digits, which may have hyphens between them.
func parseGUID(text []byte) (guid [16]byte, ok bool) {
	digits := bytes.ReplaceAll(text, []byte("-"), nil)
	if len(digits) != hex.EncodedLen(len(guid)) {
		return guid, false
	}
	_, err := hex.Decode(guid[:], digits)
	return guid, err == nil
}

// number is a number for a schema that has none. It stands for nothing else,
// ever.
func (r *Registry) number(w wireID) int {
	if id, ok := r.numbers[w]; ok {
		return id
	}
	if len(r.numbers) >= maxUnknown || r.numbers == nil {
		r.numbers, r.wires = map[wireID]int{}, map[int]wireID{}
	}
	r.lastNumber--
	r.numbers[w], r.wires[r.lastNumber] = r.lastNumber, w
	return r.lastNumber
}

// NameOf names a schema in messages, files and their metadata.
func (r *Registry) NameOf(id int) string {
	if id >= 0 {
		return strconv.Itoa(id)
	}
	if w, ok := r.wires[id]; ok {
		return w.String()
	}
	return fmt.Sprintf("unknown-%d", -id)
}
