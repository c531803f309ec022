// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"regexp"
	"strings"
)

// glob is a Pachyderm path pattern: * and ? stay within a path element, ** does
// not; [abc] and {a,b} are as usual. Extended patterns such as @(a|b) are not
// known here.
type glob struct {
	pattern string
	prefix  string // what all matches begin with
	re      *regexp.Regexp
}

func compileGlob(pattern string) (*glob, error) {
	g := &glob{pattern: pattern, prefix: pattern}
	if i := globCharacter.FindStringIndex(pattern); i != nil {
		g.prefix = pattern[:i[0]]
	}
	var b strings.Builder
	b.WriteString("^")
	braces := 0
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*' && i+1 < len(pattern) && pattern[i+1] == '*':
			b.WriteString(".*")
			i++
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 0 {
				return nil, unknown("glob %q: missing ]", pattern)
			}
			class := strings.Replace(pattern[i+1:i+end], "!", "^", 1)
			b.WriteString("[" + class + "]")
			i += end
		case c == '{':
			b.WriteString("(?:")
			braces++
		case c == '}' && braces > 0:
			b.WriteString(")")
			braces--
		case c == ',' && braces > 0:
			b.WriteString("|")
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString("$")
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, unknown("glob %q: %v", pattern, err)
	}
	g.re = re
	return g, nil
}

// match compares a path; folders match without their slash.
func (g *glob) match(p string) bool {
	if p == "/" {
		return g.pattern == "/"
	}
	return g.re.MatchString(strings.TrimRight(p, "/"))
}
