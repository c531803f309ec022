// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// jsonValues are JSON text. Only what the columns need is checked, not all that
// the schema demands.
func jsonValues(ctx context.Context, sources []Source, rows rowsMaker, largest int, logical Logical) (decoder, error) {
	use, err := parseJSONSchema(ctx, sources, logical)
	if err != nil {
		return nil, err
	}
	t := use.shape(new(int))
	r, err := rows(t)
	w := &jsonWriter{largest: largest, logical: logical}
	return func(scratch, payload []byte) (*Rows, []byte, error) {
		value, err := w.write(scratch[:0], &use, payload)
		if err == nil {
			err = r.checkTranscoded(t, value)
		}
		return r, value, err
	}, err
}

// jsonWriter brings JSON into Avro's encoding.
type jsonWriter struct {
	document
	found []node  // of the fields of the objects around
	keys  []keyAt // of the members of the maps around

	logical Logical
	largest int // bytes that a value may become
	limit   int // bytes that this one may become
}

// maxKept is how much memory is kept from one value to the next, in containers.
const maxKept = 1 << 16

func (w *jsonWriter) write(dst []byte, use *jsonUse, payload []byte) ([]byte, error) {
	w.maxContainers = w.largest / containerMemory
	root, err := w.parse(payload)
	if err != nil {
		return nil, err
	}
	w.found, w.keys, w.limit = w.found[:0], w.keys[:0], maxTranscoded(payload, w.largest)
	dst, err = w.value(dst, use, root)
	if cap(w.containers) > maxKept {
		w.containers = nil
	}
	if cap(w.keys) > maxKept {
		w.keys = nil
	}
	w.text = nil
	return dst, err
}

// maxTranscoded bounds what a value becomes in Avro's encoding, where what is
// missing takes bytes too.
func maxTranscoded(payload []byte, largest int) int { return min(1<<20+8*len(payload), largest) }

var (
	errGrows = errors.New("it has too many fields without a value for its length, or would take too much memory in the file's format")
	errParts = errors.New("it has so many parts that they would take too much memory")
)

// value appends a value, which may be missing.
func (w *jsonWriter) value(dst []byte, use *jsonUse, n node) ([]byte, error) {
	kind := w.kind(n)
	null := kind == 'n' || kind == 0
	if len(dst) > w.limit {
		return nil, errGrows
	}
	if use.nullable && null {
		return append(dst, 0), nil
	}
	if use.nullable {
		dst = append(dst, 2)
	}
	if kind == 0 {
		return nil, errors.New("it is missing")
	}
	t := use.of
	if t.text {
		return appendText(dst, w.raw(n)), nil
	}
	if t.format != "" {
		return w.formatted(dst, t, n)
	}
	switch t.kind {
	case String:
		return w.string(dst, n)
	case Boolean:
		switch kind {
		case 't':
			return append(dst, 1), nil
		case 'f':
			return append(dst, 0), nil
		}
		return nil, w.not(n, "neither true nor false")
	case Long:
		i, err := integer(w.raw(n))
		return binary.AppendVarint(dst, i), err
	case Double:
		x, err := double(w.raw(n))
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(x)), err
	case Array:
		return w.array(dst, t, n)
	case Map:
		return w.entries(dst, t, n)
	}
	return w.object(dst, t, n)
}

// not says what a value is not, and never what it says: that may be what nobody
// is to see.
func (w *jsonWriter) not(n node, what string) error {
	return fmt.Errorf("%s is %s", whatIs(w.raw(n)), what)
}

// whatIs says what a JSON value is.
func whatIs(text []byte) string {
	switch text[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f', 'n':
		return string(text)
	}
	return "a number"
}

func (w *jsonWriter) string(dst []byte, n node) ([]byte, error) {
	if w.kind(n) != '"' {
		return nil, w.not(n, "not a string")
	}
	quoted := w.raw(n)
	if inner := quoted[1 : len(quoted)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return appendText(dst, inner), nil
	}
	s, err := unquote(quoted)
	return appendText(dst, s), err
}

func (w *jsonWriter) array(dst []byte, t *jsonType, n node) (_ []byte, err error) {
	if w.kind(n) != '[' {
		return nil, w.not(n, "not an array")
	}
	count := 0
	for it := w.items(n); it.advance(); {
		count++
	}
	if count > 0 {
		dst = binary.AppendVarint(dst, int64(count))
	}
	for it := w.items(n); it.advance(); {
		if dst, err = w.value(dst, &t.element, it.value); err != nil {
			return nil, err
		}
	}
	return append(dst, 0), nil
}

// entries appends a map: of several members of a name the last, as most
// parsers have it.
func (w *jsonWriter) entries(dst []byte, t *jsonType, n node) (_ []byte, err error) {
	if w.kind(n) != '{' {
		return nil, w.not(n, "not an object")
	}
	from, count := len(w.keys), 0
	for it := w.items(n); it.advance(); {
		if (len(w.keys)+1)*keyMemory > w.largest {
			return nil, errParts
		}
		key, err := hashOf(it.name)
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, keyAt{key, it.value.at})
	}
	replaced := replacedOf(w.keys[from:])
	w.keys, count = w.keys[:from+len(replaced)], len(w.keys)-from-len(replaced)
	if count > 0 {
		dst = binary.AppendVarint(dst, int64(count))
	}
	next := from
	for it := w.items(n); it.advance(); {
		if next < from+len(replaced) && w.keys[next].at == it.value.at {
			next++
			continue
		}
		name, err := unquote(it.name)
		if err != nil {
			return nil, err
		}
		if dst, err = w.value(appendText(dst, name), &t.element, it.value); err != nil {
			return nil, fmt.Errorf("an entry: %w", err) // its name is the record's, not the schema's
		}
	}
	w.keys = w.keys[:from]
	return append(dst, 0), nil
}

// hashOf is that of what a string in quotes says.
func hashOf(quoted []byte) (uint64, error) {
	if inner := quoted[1 : len(quoted)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return maphash.Bytes(keySeed, inner), nil
	}
	text, err := unquote(quoted)
	return maphash.String(keySeed, text), err
}

func (w *jsonWriter) object(dst []byte, t *jsonType, n node) (_ []byte, err error) {
	if w.kind(n) != '{' {
		return nil, w.not(n, "not an object")
	}
	from := len(w.found)
	for range t.fields {
		w.found = append(w.found, nowhere)
	}
	others := false
	for it := w.items(n); it.advance(); {
		if i, ok := t.field(it.name); ok {
			w.found[from+i] = it.value
			continue
		}
		if t.others == "" {
			return nil, fmt.Errorf("it has the member %.40s, which its schema does not allow", it.name)
		}
		others = true
	}
	for i := range t.fields {
		if dst, err = w.value(dst, &t.fields[i].jsonUse, w.found[from+i]); err != nil {
			return nil, fmt.Errorf("%.100s: %w", t.fields[i].name, err)
		}
	}
	w.found = w.found[:from]
	switch {
	case others:
		return appendText(append(dst, 2), w.others(t, n)), nil
	case t.others != "":
		return append(dst, 0), nil
	}
	return dst, nil
}

// field returns which field a member's name in quotes is of.
func (t *jsonType) field(quoted []byte) (i int, ok bool) {
	if i, ok = t.index[string(quoted[1:len(quoted)-1])]; ok {
		return i, true
	}
	name, err := unquote(quoted)
	if err != nil {
		return 0, false
	}
	i, ok = t.index[name]
	return i, ok
}

// others are the members that are no field, as they are written.
func (w *jsonWriter) others(t *jsonType, n node) []byte {
	text := []byte{'{'}
	for it := w.items(n); it.advance(); {
		if _, ok := t.field(it.name); ok {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(append(text, it.name...), ':'), w.raw(it.value)...)
	}
	return append(text, '}')
}

// integer reads a whole number of 64 bits, which JSON Schema allows to be
// written 1.0 or 1e3, without rounding it.
func integer(text []byte) (int64, error) {
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return n, nil
	}
	refused := fmt.Errorf("%s is not a whole number of 64 bits", whatIs(text))
	if text[0] != '-' && (text[0] < '0' || '9' < text[0]) {
		return 0, refused
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(string(text)), "e")
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	digits := strings.TrimLeft(strings.TrimRight(all, "0"), "0")
	if digits == "" {
		return 0, nil
	}
	zeros := len(all) - len(strings.TrimRight(all, "0")) - len(fraction)
	if exponent != "" {
		n, err := strconv.ParseInt(exponent, 10, 32)
		if err != nil {
			return 0, refused
		}
		zeros += int(n)
	}
	if zeros < 0 || zeros > 19 {
		return 0, refused
	}
	if negative {
		digits = "-" + digits
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", zeros), 10, 64)
	if err != nil {
		return 0, refused
	}
	return n, nil
}

// double reads a number. A whole one is refused if a double has another value,
// and is not written like that: it is likely to be somebody's number in 64 bits.
func double(text []byte) (float64, error) {
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a number that a double can hold", whatIs(text))
	}
	if math.Abs(x) < 1<<53 || strconv.FormatFloat(x, 'f', -1, 64) == string(text) {
		return x, nil
	}
	if exact, ok := new(big.Int).SetString(string(text), 10); ok {
		if _, accuracy := new(big.Float).SetInt(exact).Float64(); accuracy != big.Exact {
			return 0, errors.New("it is a whole number that a double cannot hold; its schema should say integer, or string")
		}
	}
	return x, nil
}
