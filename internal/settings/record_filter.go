// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"slices"
	"strings"
)

// Filter says which records are kept: those that all conditions hold for. It
// is made by [ParseFilter]; the zero Filter keeps all.
type Filter struct {
	text       string
	Conditions []Condition
}

// Condition compares a part of a record with texts.
type Condition struct {
	Of       Reference
	Operator string   // ==, !=, in, exists or missing
	Texts    []string // one for == and !=, any number for in
}

const filterForms = `as value:status == "paid" and header:env != test and value:type in (order, refund) and key exists and value:deleted missing`

// ParseFilter parses conditions that are joined by the word and:
//
//	value:status == "paid" and header:env != test and value:type in (order, refund) and key exists
//
// Texts stand in single or double quotes, or bare if they hold neither white
// space nor any of ( ) , ' ".
func ParseFilter(text string) (Filter, error) {
	tokens, err := filterTokens(text)
	if err != nil {
		return Filter{}, err
	}
	f := Filter{text: text}
	for {
		var c Condition
		if c, tokens, err = parseCondition(tokens); err != nil {
			return Filter{}, err
		}
		f.Conditions = append(f.Conditions, c)
		if len(tokens) == 0 {
			return f, nil
		}
		if tokens[0].text != "and" || tokens[0].quoted {
			return Filter{}, fmt.Errorf("has %q where it should end or continue with and; write it %s", tokens[0].text, filterForms)
		}
		tokens = tokens[1:]
	}
}

type filterToken struct {
	text   string
	quoted bool
}

func filterTokens(text string) (tokens []filterToken, err error) {
	for text = strings.TrimLeft(text, " \t\r\n"); text != ""; text = strings.TrimLeft(text, " \t\r\n") {
		switch c := text[0]; c {
		case '(', ')', ',':
			tokens = append(tokens, filterToken{text: text[:1]})
			text = text[1:]
		case '"', '\'':
			quoted, rest, ok := strings.Cut(text[1:], string(c))
			if !ok {
				return nil, fmt.Errorf("has a quote that does not end: %s", text)
			}
			tokens, text = append(tokens, filterToken{text: quoted, quoted: true}), rest
		default:
			end := strings.IndexAny(text, " \t\r\n(),'\"")
			if end < 0 {
				end = len(text)
			}
			tokens, text = append(tokens, filterToken{text: text[:end]}), text[end:]
		}
	}
	return tokens, nil
}

// parseCondition takes one condition off the tokens.
func parseCondition(tokens []filterToken) (c Condition, rest []filterToken, err error) {
	if len(tokens) < 2 {
		return c, nil, fmt.Errorf("ends within a condition; write it %s", filterForms)
	}
	if c.Of, err = ParseReference(tokens[0].text); err != nil {
		return c, nil, err
	}
	c.Operator, rest = tokens[1].text, tokens[2:]
	switch c.Operator {
	case "exists", "missing":
		return c, rest, nil
	case "==", "!=":
		if len(rest) == 0 || !rest[0].isText() {
			return c, nil, fmt.Errorf("has no text after %s %s", tokens[0].text, c.Operator)
		}
		c.Texts = []string{rest[0].text}
		return c, rest[1:], nil
	case "in":
		end := slices.Index(rest, filterToken{text: ")"})
		if end < 2 || rest[0] != (filterToken{text: "("}) {
			return c, nil, fmt.Errorf("has no list after %s in, such as (order, refund)", tokens[0].text)
		}
		for i, token := range rest[1:end] {
			if i%2 == 0 != token.isText() || i == end-2 && !token.isText() {
				return c, nil, fmt.Errorf("has a list after %s in that is not like (order, refund)", tokens[0].text)
			}
			if token.isText() {
				c.Texts = append(c.Texts, token.text)
			}
		}
		return c, rest[end+1:], nil
	}
	return c, nil, fmt.Errorf("has the operator %q; known are ==, !=, in, exists and missing", c.Operator)
}

func (t filterToken) isText() bool {
	return t.quoted || t.text != "(" && t.text != ")" && t.text != ","
}

func (f Filter) String() string { return f.text }

// UnmarshalText parses as [ParseFilter] does.
func (f *Filter) UnmarshalText(text []byte) (err error) {
	parsed, err := ParseFilter(string(text))
	if err == nil {
		*f = parsed
	}
	return err
}

// MarshalText returns the filter as it was written.
func (f Filter) MarshalText() ([]byte, error) { return []byte(f.text), nil }
