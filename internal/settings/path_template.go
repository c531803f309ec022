// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PathTemplate is a file's path in the output repo with placeholders, as
// {topic}/{partition}/{first_offset}-{last_offset}.{ext}. It is made by
// [ParsePathTemplate].
type PathTemplate struct {
	text  string
	parts []part
}

// part is literal text or, if word is not empty, a placeholder.
type part struct {
	literal, word string
	role          role
	of            Reference // what of the record, if the role is ofRecord
}

// role says what stands in the place of a placeholder.
type role int

const (
	literally   role = iota
	byLayout         // one of the next four, or unknown; the layout says
	ofStream         // as {topic}
	ofPartition      // as {partition}
	ofFirst          // as {first_offset}
	ofLast           // as {last_offset}
	ofExt            // {ext}
	ofTime           // {year} and its like
	ofRecord         // what each record has itself: {key}, {header:NAME} and {value:FIELD}
)

var timePlaceholders = []string{"year", "month", "day", "hour", "minute"}

// placeholderWord is what coordinates may be called.
var placeholderWord = regexp.MustCompile(`^[a-z_]+$`)

// timeGrain says how long the path of a record stays the same, per placeholder.
var timeGrain = map[string]time.Duration{"year": 24 * time.Hour, "month": 24 * time.Hour,
	"day": 24 * time.Hour, "hour": time.Hour, "minute": time.Minute}

// forbiddenInPath are the printable characters that Pachyderm takes for glob
// operators and refuses in paths (src/server/pfs/server/paths.go).
const forbiddenInPath = "*?[]{}!()@+^"

// ParsePathTemplate parses a template and checks what does not depend on
// other settings.
func ParsePathTemplate(text string) (PathTemplate, error) {
	t := PathTemplate{text: text}
	for rest := text; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			t.parts = append(t.parts, part{literal: rest})
			break
		}
		if open > 0 {
			t.parts = append(t.parts, part{literal: rest[:open]})
		}
		name, after, ok := strings.Cut(rest[open+1:], "}")
		if !ok {
			return PathTemplate{}, fmt.Errorf("has a { without a }")
		}
		p := part{word: name}
		of, err := ParseReference(name)
		switch {
		case name == "ext":
			p.role = ofExt
		case slices.Contains(timePlaceholders, name):
			p.role = ofTime
		case err == nil:
			p.role, p.of = ofRecord, of
		case placeholderWord.MatchString(name):
			p.role = byLayout
		default:
			return PathTemplate{}, fmt.Errorf("has the unknown placeholder {%s}; a value of the record is {key}, {header:NAME} or {value:FIELD}", name)
		}
		t.parts = append(t.parts, p)
		rest = after
	}
	if err := t.checkLiterals(); err != nil {
		return PathTemplate{}, err
	}
	return t, nil
}

// For returns the template with a source's names of coordinates. Only such a
// one can be rendered.
func (t PathTemplate) For(l Layout) PathTemplate {
	roles := map[string]role{l.Stream: ofStream, l.first(): ofFirst, l.last(): ofLast}
	if l.Partition != "" {
		roles[l.Partition] = ofPartition
	}
	t.parts = slices.Clone(t.parts)
	for i := range t.parts {
		p := &t.parts[i]
		if known, ok := roles[p.word]; ok && p.role == byLayout {
			p.role = known
		}
	}
	return t
}

// checkLiterals applies Pachyderm's rules for paths to a sample path.
func (t PathTemplate) checkLiterals() error {
	for _, p := range t.parts {
		for _, c := range p.literal {
			if c < ' ' || c > '~' {
				return fmt.Errorf("has the character %q; Pachyderm takes printable ASCII only", c)
			}
			if strings.ContainsRune(forbiddenInPath, c) {
				return fmt.Errorf("has the character %q, which Pachyderm forbids in paths (any of %s)", c, forbiddenInPath)
			}
		}
	}
	if err := t.checkSeparators(); err != nil {
		return err
	}
	sample := t.Render(PathFields{Stream: "t", Ext: "x", Values: strings.Repeat("v/", len(t.References()))})
	if strings.HasSuffix(sample, "/") || sample == "" {
		return fmt.Errorf("must end in a file's name, not in a folder")
	}
	for element := range strings.SplitSeq(strings.TrimPrefix(sample, "/"), "/") {
		switch element {
		case "":
			return fmt.Errorf("has an empty element (//)")
		case ".", "..":
			return fmt.Errorf("has the element %q, which Pachyderm forbids", element)
		}
	}
	return nil
}

// checkSeparators makes sure that a path tells which value stands where:
// between a value of a record and another placeholder there must be a character
// that no value has in it.
func (t PathTemplate) checkSeparators() error {
	before, apart := part{}, true // the placeholder before, and whether something has separated it
	for _, p := range t.parts {
		switch p.role {
		case literally:
			apart = apart || strings.ContainsFunc(p.literal, func(c rune) bool { return c > '~' || c != '%' && !plainInPath[c] })
			continue
		case ofExt:
			continue // the same in all paths
		}
		if !apart && (p.role == ofRecord || before.role == ofRecord) {
			return fmt.Errorf("has nothing between %s and %s that could not be in a value, so that different records could get the same path; put a / or one of = , ; : & between them", before, p)
		}
		before, apart = p, false
	}
	return nil
}

func (p part) String() string { return "{" + p.word + "}" }

// maxElement is how long the name of a file or folder may be in the file
// systems that pods see a repo through.
const maxElement = 255

// longestElement returns a bound for the length of a path's elements, for
// these streams, and others too if there may be some.
func (t PathTemplate) longestElement(streams []string, others bool) int {
	longest, length := 0, 0
	widths := map[role]int{ofStream: 1, ofPartition: 10, ofFirst: 20, ofLast: 20, ofExt: len("parquet.zst"), ofTime: 4, ofRecord: maxPathValue}
	if others {
		widths[ofStream] = 249 // as long as any may be
	}
	for _, stream := range streams {
		widths[ofStream] = max(widths[ofStream], len(stream))
	}
	for _, p := range t.parts {
		for i, element := range strings.Split(p.literal, "/") {
			if i > 0 {
				length = 0
			}
			length += len(element)
			longest = max(longest, length)
		}
		length += widths[p.role]
		longest = max(longest, length)
	}
	return longest
}

// References lists what the template shows of each record, in order.
func (t PathTemplate) References() []Reference {
	var list []Reference
	for _, p := range t.parts {
		if p.role == ofRecord {
			list = append(list, p.of)
		}
	}
	return list
}

// check returns what is wrong with the template, which is for that layout, in
// view of the other settings.
func (t PathTemplate) check(l Layout, several bool) string {
	if at := slices.IndexFunc(t.parts, func(p part) bool { return p.role == byLayout }); at >= 0 {
		return fmt.Sprintf("has the unknown placeholder %s; known are {%s} {key} {header:NAME} {value:FIELD}", t.parts[at], strings.Join(l.Placeholders(), "} {"))
	}
	switch {
	case len(t.parts) == 0:
		return "must not be empty"
	case l.Partition == "" && !t.has(ofFirst):
		return fmt.Sprintf("must have {%s}, or two batches would write the same file", l.first())
	case l.Partition != "" && (!t.has(ofPartition) || !t.has(ofFirst)):
		return fmt.Sprintf("must have {%s} and {%s}, or two batches would write the same file", l.Partition, l.first())
	case several && !t.has(ofStream):
		return fmt.Sprintf("must have {%s}, since several %ss are read", l.Stream, l.Stream)
	}
	return ""
}

// Coordinates takes a path of the template apart: which records a file of it
// holds, as far as it shows. A stream that it does not show is "". The template
// must be one for a layout.
func (t PathTemplate) Coordinates(path string) (stream string, partition int32, first int64, ok bool) {
	if !strings.HasPrefix(t.text, "/") {
		path = strings.TrimPrefix(path, "/")
	}
	found := t.pattern().FindStringSubmatch(path)
	if found == nil {
		return "", 0, 0, false
	}
	at := 0
	for _, p := range t.parts {
		if p.role == literally {
			continue
		}
		at++
		var n int64
		var err error
		switch p.role {
		case ofStream:
			stream = found[at]
		case ofPartition:
			n, err = strconv.ParseInt(found[at], 10, 32)
			partition = int32(n)
		case ofFirst:
			first, err = strconv.ParseInt(found[at], 10, 64)
		}
		if err != nil {
			return "", 0, 0, false
		}
	}
	return stream, partition, first, true
}

// pattern is what paths of the template look like, with a group for each
// placeholder.
func (t PathTemplate) pattern() *regexp.Regexp {
	groups := map[role]string{ofStream: `([^/]+)`, ofPartition: `([0-9]{5,})`, ofFirst: `([0-9]{20,})`, ofLast: `([0-9]{20,})`, ofExt: `([^/]+)`, ofTime: `(-?[0-9]{2,})`}
	var text strings.Builder
	for _, p := range t.parts {
		switch group, ok := groups[p.role]; {
		case p.role == literally:
			text.WriteString(regexp.QuoteMeta(p.literal))
		case ok:
			text.WriteString(group)
		default:
			text.WriteString(`([^/]*)`)
		}
	}
	return regexp.MustCompile("^" + text.String() + "$")
}

// Orders says whether files of a stream's records, in the order of their paths,
// have the records in their order, and each those that follow each other.
func (t PathTemplate) Orders() bool {
	return !slices.ContainsFunc(t.parts, func(p part) bool { return p.role == ofRecord || p.role == ofTime })
}

// ShowsStream says whether paths of the template name the stream.
func (t PathTemplate) ShowsStream() bool { return t.has(ofStream) }

func (t PathTemplate) has(r role) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.role == r })
}

// TimeGrain returns for how long records with rising timestamps share a path,
// or 0 if the path does not depend on time.
func (t PathTemplate) TimeGrain() time.Duration {
	var grain time.Duration
	for _, p := range t.parts {
		if g := timeGrain[p.word]; g != 0 && (grain == 0 || g < grain) {
			grain = g
		}
	}
	return grain
}

// PathFields are the values of a template's placeholders.
type PathFields struct {
	Stream                  string
	Partition               int32
	FirstOffset, LastOffset int64
	Ext                     string
	Time                    time.Time
	Values                  string // of the template's references, each after [AppendPathValue], with a / between them
}

// Render fills in the placeholders. Partitions get at least 5 digits and
// offsets 20, so that names sort as numbers do.
func (t PathTemplate) Render(f PathFields) string {
	var room [256]byte // for most paths: they are rendered for each record, if each has its file
	path := append(room[:0], '/')
	at := f.Time.UTC()
	for _, p := range t.parts {
		switch p.role {
		case ofRecord:
			var value string
			value, f.Values, _ = strings.Cut(f.Values, "/")
			path = append(path, value...)
		case literally:
			path = append(path, p.literal...)
		case ofStream:
			path = append(path, f.Stream...)
		case ofPartition:
			path = appendNumber(path, int64(f.Partition), 5)
		case ofFirst:
			path = appendNumber(path, f.FirstOffset, 20)
		case ofLast:
			path = appendNumber(path, f.LastOffset, 20)
		case ofExt:
			path = append(path, f.Ext...)
		case ofTime:
			path = appendTime(path, p.word, at)
		case byLayout: // in the sample of a check
			path = append(path, p.word...)
		}
	}
	if bytes.HasPrefix(path, []byte("//")) {
		path = path[1:] // the template begins with one, too
	}
	return string(path)
}

func appendTime(path []byte, of string, at time.Time) []byte {
	switch of {
	case "year":
		return appendNumber(path, int64(at.Year()), 4)
	case "month":
		return appendNumber(path, int64(at.Month()), 2)
	case "day":
		return appendNumber(path, int64(at.Day()), 2)
	case "hour":
		return appendNumber(path, int64(at.Hour()), 2)
	}
	return appendNumber(path, int64(at.Minute()), 2)
}

// appendNumber appends a number of at least so many characters.
func appendNumber(path []byte, n int64, width int) []byte {
	var room [20]byte
	digits := strconv.AppendUint(room[:0], uint64(max(n, -n)), 10)
	if n < 0 { // years, if a timestamp is odd
		path = append(path, '-')
		width--
	}
	for range width - len(digits) {
		path = append(path, '0')
	}
	return append(path, digits...)
}

func (t PathTemplate) String() string { return t.text }

// UnmarshalText parses as [ParsePathTemplate] does.
func (t *PathTemplate) UnmarshalText(text []byte) (err error) {
	parsed, err := ParsePathTemplate(string(text))
	if err == nil {
		*t = parsed
	}
	return err
}

// MarshalText returns the template as it was written.
func (t PathTemplate) MarshalText() ([]byte, error) { return []byte(t.text), nil }
