// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/json"
	"iter"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
)

// What takes JSON apart here takes valid JSON: its parts are parts of the text,
// and nothing is copied.

// isValue says whether a text is one value in JSON, nested no deeper than any
// reader of it takes.
func isValue(text []byte) bool {
	var checker strictjson.Checker
	return checker.CheckSyntax(text) == nil
}

// elements are the elements of an array. It is not ok if the text is no array in
// JSON.
func elements(text []byte) (all iter.Seq[[]byte], ok bool) {
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '[' || !isValue(text) {
		return nil, false
	}
	return func(yield func([]byte) bool) {
		for rest := space(text[1:]); len(rest) > 0 && rest[0] != ']'; {
			n := valueEnd(rest)
			if !yield(rest[:n:n]) {
				return
			}
			rest = space(rest[n:])
			if rest[0] == ',' {
				rest = space(rest[1:])
			}
		}
	}, true
}

// members are the members of an object, with their names as texts. It is not ok
// if the text is no object in JSON.
func members(text []byte) (all iter.Seq2[string, []byte], ok bool) {
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' || !isValue(text) {
		return nil, false
	}
	return func(yield func(string, []byte) bool) {
		for rest := space(text[1:]); len(rest) > 0 && rest[0] != '}'; {
			n := valueEnd(rest)
			name, _ := textOf(rest[:n])
			rest = space(space(rest[n:])[1:]) // the colon
			n = valueEnd(rest)
			if !yield(name, rest[:n:n]) {
				return
			}
			rest = space(rest[n:])
			if rest[0] == ',' {
				rest = space(rest[1:])
			}
		}
	}, true
}

func space(text []byte) []byte { return bytes.TrimLeft(text, " \t\r\n") }

// valueEnd is where the value ends that a text begins with.
func valueEnd(text []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			if quoted = !quoted; !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i // of what is around a number
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c == ':' || c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			return i
		}
	}
	return len(text)
}

// textOf is the text that a string in JSON stands for.
func textOf(raw []byte) (text string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return text, json.Unmarshal(raw, &text) == nil
}

// fieldIn is the text of a field of a body in JSON: a string or a number.
func fieldIn(body []byte, field []string) (string, bool) {
	for i, name := range field {
		all, ok := members(body)
		if !ok {
			return "", false
		}
		found := false
		for member, value := range all { // of several of one name, the last counts, as for most readers
			if member == name {
				body, found = value, true
			}
		}
		if !found {
			return "", false
		}
		if i < len(field)-1 {
			continue
		}
		if text, ok := textOf(body); ok {
			return text, text != ""
		}
		return string(body), body[0] == '-' || body[0] >= '0' && body[0] <= '9'
	}
	return "", false
}
