// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"slices"
	"strings"
)

// predicate says whether an object is selected.
type predicate func(object) bool

func everything(object) bool { return true }

// parseSelector makes a predicate of a label selector (=, ==, !=, in, notin, KEY, !KEY) and a field selector, of which
// metadata.name alone is known.
func parseSelector(labelSelector, fieldSelector string) predicate {
	var terms []labelTerm
	for _, text := range splitTerms(labelSelector) {
		terms = append(terms, parseTerm(text))
	}
	name := ""
	for text := range strings.SplitSeq(fieldSelector, ",") {
		if v, ok := strings.CutPrefix(text, "metadata.name="); ok {
			name = strings.TrimPrefix(v, "=")
		}
	}
	return func(o object) bool {
		if name != "" && nameOf(o) != name {
			return false
		}
		labels := at(o, "metadata", "labels")
		return !slices.ContainsFunc(terms, func(t labelTerm) bool { return !t.matches(labels) })
	}
}

// labelTerm wants a key to be there and, where values are given, its value to be one of them; or the contrary.
type labelTerm struct {
	key    string
	values []string
	negate bool
}

func (t labelTerm) matches(labels object) bool {
	value, there := labels[t.key].(string)
	return (there && (t.values == nil || slices.Contains(t.values, value))) != t.negate
}

func parseTerm(text string) labelTerm {
	if key, set, ok := strings.Cut(text, " notin "); ok {
		return labelTerm{strings.TrimSpace(key), parseSet(set), true}
	}
	if key, set, ok := strings.Cut(text, " in "); ok {
		return labelTerm{strings.TrimSpace(key), parseSet(set), false}
	}
	if key, value, ok := strings.Cut(text, "!="); ok {
		return labelTerm{key, []string{value}, true}
	}
	if key, value, ok := strings.Cut(text, "="); ok {
		return labelTerm{key, []string{strings.TrimPrefix(value, "=")}, false}
	}
	key, negate := strings.CutPrefix(text, "!")
	return labelTerm{key, nil, negate}
}

// splitTerms splits a label selector at the commas outside parentheses.
func splitTerms(selector string) []string {
	depth := 0
	terms := strings.FieldsFunc(selector, func(c rune) bool {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		return c == ',' && depth == 0
	})
	for i, term := range terms {
		terms[i] = strings.TrimSpace(term)
	}
	return terms
}

// parseSet parses "(a, b)".
func parseSet(s string) []string {
	values := strings.Split(strings.Trim(strings.TrimSpace(s), "()"), ",")
	for i, v := range values {
		values[i] = strings.TrimSpace(v)
	}
	return values
}
