// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"slices"
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

// part is literal text or, if name is not empty, a placeholder.
type part struct{ literal, name string }

// Placeholders lists what may stand in braces in a path template.
var Placeholders = []string{"topic", "partition", "first_offset", "last_offset", "ext",
	"year", "month", "day", "hour", "minute"}

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
		if !slices.Contains(Placeholders, name) {
			return PathTemplate{}, fmt.Errorf("has the unknown placeholder {%s}; known are {%s}", name, strings.Join(Placeholders, "} {"))
		}
		t.parts = append(t.parts, part{name: name})
		rest = after
	}
	if err := t.checkLiterals(); err != nil {
		return PathTemplate{}, err
	}
	return t, nil
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
	sample := t.Render(PathFields{Topic: "t", Ext: "x"})
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

// check returns what is wrong with the template in view of the other settings.
func (t PathTemplate) check(severalTopics bool) string {
	switch {
	case len(t.parts) == 0:
		return "must not be empty"
	case !t.Has("partition") || !t.Has("first_offset"):
		return "must have {partition} and {first_offset}, or two batches would write the same file"
	case severalTopics && !t.Has("topic"):
		return "must have {topic}, since several topics are read"
	}
	return ""
}

// Has says whether the template has a placeholder.
func (t PathTemplate) Has(placeholder string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.name == placeholder })
}

// TimeGrain returns for how long records with rising timestamps share a path,
// or 0 if the path does not depend on time.
func (t PathTemplate) TimeGrain() time.Duration {
	var grain time.Duration
	for _, p := range t.parts {
		if g := timeGrain[p.name]; g != 0 && (grain == 0 || g < grain) {
			grain = g
		}
	}
	return grain
}

// PathFields are the values of a template's placeholders.
type PathFields struct {
	Topic                   string
	Partition               int32
	FirstOffset, LastOffset int64
	Ext                     string
	Time                    time.Time
}

// Render fills in the placeholders. Partitions get at least 5 digits and
// offsets 20, so that names sort as numbers do.
func (t PathTemplate) Render(f PathFields) string {
	var b strings.Builder
	at := f.Time.UTC()
	for _, p := range t.parts {
		switch p.name {
		case "":
			b.WriteString(p.literal)
		case "topic":
			b.WriteString(f.Topic)
		case "partition":
			fmt.Fprintf(&b, "%05d", f.Partition)
		case "first_offset":
			fmt.Fprintf(&b, "%020d", f.FirstOffset)
		case "last_offset":
			fmt.Fprintf(&b, "%020d", f.LastOffset)
		case "ext":
			b.WriteString(f.Ext)
		case "year":
			fmt.Fprintf(&b, "%04d", at.Year())
		case "month":
			fmt.Fprintf(&b, "%02d", at.Month())
		case "day":
			fmt.Fprintf(&b, "%02d", at.Day())
		case "hour":
			fmt.Fprintf(&b, "%02d", at.Hour())
		case "minute":
			fmt.Fprintf(&b, "%02d", at.Minute())
		}
	}
	return "/" + strings.TrimPrefix(b.String(), "/")
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
