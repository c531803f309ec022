// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"errors"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
)

var errLong = errors.New("as JSON it would take too much memory")

// AppendJSON appends a value of the type, which has been checked, as one line of
// JSON, and returns what follows it in data. An error says that it would be
// longer than most bytes. Members are called as fields are or, where those have
// other names, as what they were made of; a union is the value that it holds. See
// [appendContent] for the rest.
func (t *Type) AppendJSON(dst, data []byte, most int) (_, rest []byte, err error) {
	w := jsonText{most: len(dst) + most}
	return w.value(dst, t, data)
}

type jsonText struct{ most int }

func (w *jsonText) value(dst []byte, t *Type, data []byte) (_, rest []byte, err error) {
	if len(dst) > w.most {
		return nil, nil, errLong
	}
	switch t.Kind {
	case Record:
		return w.record(dst, t, data)
	case Union:
		branch, rest := long(data)
		return w.value(dst, t.Branches[branch], rest)
	case Array, Map:
		return w.elements(dst, t, data)
	case String:
		b, rest := text(data)
		if len(dst)+len(b) > w.most || len(b) > countedFrom && len(dst)+lengthOfQuoted(b) > w.most {
			return nil, nil, errLong
		}
		if t.json {
			return append(dst, b...), rest, nil
		}
		return strictjson.AppendString(dst, b), rest, nil
	}
	from := len(dst)
	dst, rest, quoted, err := appendContent(append(dst, '"'), t, data)
	if err != nil {
		return nil, nil, err
	}
	if quoted { // in nothing of it is there anything to escape
		return append(dst, '"'), rest, nil
	}
	return append(dst[:from], dst[from+1:]...), rest, nil
}

func (w *jsonText) record(dst []byte, t *Type, data []byte) (_, rest []byte, err error) {
	dst = append(dst, '{')
	first := len(dst)
	for i := range t.Fields {
		f := &t.Fields[i]
		if f.others {
			dst, data = w.others(dst, f.Type, data, first)
			continue
		}
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(strictjson.AppendString(dst, []byte(f.called())), ':')
		if dst, data, err = w.value(dst, f.Type, data); err != nil {
			return nil, nil, err
		}
	}
	return append(dst, '}'), data, nil
}

// others appends members that the schema does not name, which are in a field of
// their own, as an object in JSON or null.
func (w *jsonText) others(dst []byte, t *Type, data []byte, first int) (_, rest []byte) {
	branch, data := long(data)
	if t.Branches[branch].Kind == Null {
		return dst, data
	}
	object, rest := text(data)
	if members := bytes.TrimSpace(object[1 : len(object)-1]); len(members) > 0 {
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(dst, members...)
	}
	return dst, rest
}

func (w *jsonText) elements(dst []byte, t *Type, data []byte) (_, rest []byte, err error) {
	brackets := "[]"
	if t.Kind == Map {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	first := len(dst)
	for {
		var count int64
		if count, data = block(data); count == 0 {
			return append(dst, brackets[1]), data, nil
		}
		for range count {
			if len(dst) > first {
				dst = append(dst, ',')
			}
			if t.Kind == Map {
				var key []byte
				key, data = text(data)
				dst = append(strictjson.AppendString(dst, key), ':')
			}
			if dst, data, err = w.value(dst, t.Element, data); err != nil {
				return nil, nil, err
			}
		}
	}
}

// lengthOfQuoted is the length of what [appendQuoted] appends, at most.
func lengthOfQuoted(text []byte) int {
	n := len(text) + 2
	for _, b := range text {
		switch {
		case b < ' ':
			n += len(`\u0000`) - 1
		case b == '"' || b == '\\':
			n++
		}
	}
	return n
}
