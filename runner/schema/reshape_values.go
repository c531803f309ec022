// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"errors"
)

var errMasked = errors.New("with its masks or as JSON, its value would take too much memory")

// Apply appends a value, which has been checked, in its other form.
func (s *Shape) Apply(dst, value []byte) ([]byte, error) {
	w := shaping{Shape: s, most: len(dst) + s.r.Most}
	dst, _, err := w.value(dst, s.step, value)
	return dst, err
}

type shaping struct {
	*Shape
	most int
}

// value appends a value, and returns what follows it in data.
func (w *shaping) value(dst []byte, s *step, data []byte) (_, rest []byte, err error) {
	if len(dst) > w.most {
		return nil, nil, errMasked
	}
	switch s.do {
	case dropped:
		return dst, pass(s.of, data), nil
	case masked:
		return w.mask(dst, s, data)
	case textual:
		if w.text, rest, err = s.of.AppendJSON(w.text[:0], data, w.most-len(dst)); err != nil {
			return nil, nil, err
		}
		dst, err = w.json(dst, s, w.text)
		return dst, rest, err
	case inJSON:
		content, rest := text(data)
		dst, err = w.json(dst, s, content)
		return dst, rest, err
	case inEntries:
		return w.entries(dst, s, data)
	}
	switch s.of.Kind {
	case Record:
		return w.record(dst, s, data)
	case Union:
		branch, rest := long(data)
		part, of := s.parts[branch], s.of.Branches[branch]
		if s.branches[branch] < 0 {
			return binary.AppendVarint(dst, s.null), pass(of, rest), nil
		}
		return w.part(binary.AppendVarint(dst, s.branches[branch]), part, of, rest)
	}
	return w.elements(dst, s, data)
}

// part is value of what may be left as it is.
func (w *shaping) part(dst []byte, s *step, of *Type, data []byte) (_, rest []byte, err error) {
	if s.do != copied {
		return w.value(dst, s, data)
	}
	rest = pass(of, data)
	return append(dst, data[:len(data)-len(rest)]...), rest, nil
}

// record copies fields that follow each other at once.
func (w *shaping) record(dst []byte, s *step, data []byte) (_, rest []byte, err error) {
	from := data
	for i, part := range s.parts {
		if part.do == copied {
			data = pass(s.of.Fields[i].Type, data)
			continue
		}
		dst = append(dst, from[:len(from)-len(data)]...)
		if dst, data, err = w.value(dst, part, data); err != nil {
			return nil, nil, err
		}
		from = data
	}
	return append(dst, from[:len(from)-len(data)]...), data, nil
}

func (w *shaping) elements(dst []byte, s *step, data []byte) (_, rest []byte, err error) {
	for {
		var count int64
		if count, data = block(data); count == 0 {
			return append(dst, 0), data, nil
		}
		dst = binary.AppendVarint(dst, count)
		for range count {
			if s.of.Kind == Map {
				var key []byte
				key, data = text(data)
				dst = appendText(dst, key)
			}
			if dst, data, err = w.part(dst, s.parts[0], s.of.Element, data); err != nil {
				return nil, nil, err
			}
		}
	}
}

// entries appends what is kept of a map, each entry as a block.
func (w *shaping) entries(dst []byte, s *step, data []byte) (_, rest []byte, err error) {
	for {
		var count int64
		if count, data = block(data); count == 0 {
			return append(dst, 0), data, nil
		}
		for range count {
			var key []byte
			key, data = text(data)
			part := s.entries[string(key)]
			if part == nil {
				part = s.parts[0]
			}
			if part.do != dropped {
				dst = appendText(append(dst, 2), key)
			}
			if dst, data, err = w.part(dst, part, s.of.Element, data); err != nil {
				return nil, nil, err
			}
		}
	}
}

// mask appends what a mask makes of what the value says.
func (w *shaping) mask(dst []byte, s *step, data []byte) (_, rest []byte, err error) {
	content := []byte(nil)
	switch s.of.Kind {
	case Record, Array, Map, Union:
		if w.text, rest, err = s.of.AppendJSON(w.text[:0], data, w.most-len(dst)); err != nil {
			return nil, nil, err
		}
		content = w.text
	case String:
		content, rest = text(data)
		if s.of.json {
			if said, ok := w.r.In.Find(content, nil); ok {
				content = said
			}
		}
	default:
		if w.text, rest, _, err = appendContent(w.text[:0], s.of, data); err != nil {
			return nil, nil, err
		}
		content = w.text
	}
	return appendSaid(dst, s.mask, content), rest, nil
}

// appendSaid appends text that a mask makes, whose length is not known before.
func appendSaid(dst []byte, mask Mask, content []byte) []byte {
	const room = binary.MaxVarintLen64
	from := len(dst)
	dst = append(dst, make([]byte, room)...)
	dst = mask.Mask(dst, content)
	length := len(dst) - from - room
	head := binary.PutVarint(dst[from:from+room], int64(length))
	return append(dst[:from+head], dst[from+room:]...)
}

// json appends text of JSON, or what is to be had of it.
func (w *shaping) json(dst []byte, s *step, content []byte) ([]byte, error) {
	if s.kept != nil {
		chosen, ok := w.r.In.Select(w.chosen[:0], content, s.kept)
		if w.chosen = chosen; !ok {
			chosen = []byte("null")
		}
		content = chosen
	}
	if s.tree != nil {
		hidden, ok := w.r.In.Mask(w.hidden[:0], content, s.tree, w.most-len(dst))
		if w.hidden = hidden; !ok {
			return nil, errMasked
		}
		content = hidden
	}
	return appendText(dst, content), nil
}
