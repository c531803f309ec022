// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

const defaultDatum = "default"

// change is what a commit or file set does to one path: perhaps delete what
// was there, then perhaps append parts.
type change struct {
	path, datum string
	deleted     bool
	added       bool
	parts       [][]byte
}

// changes is an ordered edit of a file tree, by file key.
type changes map[string]*change

func (cs changes) at(p, datum string) *change {
	if datum == "" {
		datum = defaultDatum
	}
	key := fileKey(p, datum)
	c := cs[key]
	if c == nil {
		c = &change{path: p, datum: datum}
		cs[key] = c
	}
	return c
}

// add appends to a path; an existing file keeps what it has.
func (cs changes) add(p, datum string, parts ...[]byte) {
	c := cs.at(p, datum)
	c.added = true
	for _, part := range parts {
		if len(part) > 0 {
			c.parts = append(c.parts, part)
		}
	}
}

func (cs changes) delete(p, datum string) {
	c := cs.at(p, datum)
	c.deleted, c.added, c.parts = true, false, nil
}

// deleteDir removes a folder: what was added to it here, and what the base
// holds below it.
func (cs changes) deleteDir(dir, datum string, base *tree) {
	for key, c := range cs {
		if c.added && strings.HasPrefix(c.path, dir) {
			c.added, c.parts = false, nil
			if !c.deleted {
				delete(cs, key)
			}
		}
	}
	base.walk(dir, func(f *file) bool {
		if !strings.HasPrefix(f.path, dir) {
			return false
		}
		cs.delete(f.path, datum)
		return true
	})
}

// then lays later changes over cs.
func (cs changes) then(later changes) {
	for _, c := range later {
		at := cs.at(c.path, c.datum)
		if c.deleted {
			at.deleted, at.added, at.parts = true, false, nil
		}
		if c.added {
			at.added = true
			at.parts = append(slices.Clip(at.parts), c.parts...)
		}
	}
}

func (cs changes) clone() changes {
	copied := make(changes, len(cs))
	for key, c := range cs {
		d := *c
		d.parts = slices.Clip(d.parts)
		copied[key] = &d
	}
	return copied
}

// over returns the tree that the changes make of base.
func (cs changes) over(base *tree) *tree {
	t := base
	for key, c := range cs {
		old := t.get(key)
		switch {
		case c.added && old != nil && !c.deleted:
			t = t.put(newFile(c.path, c.datum, append(slices.Clip(old.parts), c.parts...)))
		case c.added:
			t = t.put(newFile(c.path, c.datum, c.parts))
		case c.deleted && old != nil:
			t = t.remove(key)
		}
	}
	return t
}

// validate looks for the collisions that Pachyderm finds when it finishes a
// commit: it compares each file with the one right before it. Only the
// neighbours of changed paths can be new collisions.
func (cs changes) validate(total *tree) string {
	keys := make([]string, 0, len(cs))
	for key := range cs {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		before, after := total.neighbours(key)
		pairs := [][2]*file{{before, after}}
		if f := total.get(key); f != nil {
			pairs = [][2]*file{{before, f}, {f, after}}
		}
		for _, pair := range pairs {
			if text := collision(pair[0], pair[1]); text != "" {
				return text
			}
		}
	}
	return ""
}

func collision(before, after *file) string {
	switch {
	case before == nil || after == nil:
		return ""
	case before.path == after.path:
		return fmt.Sprintf("duplicate path output by different datums (%v from %v and %v from %v)", before.path, before.datum, after.path, after.datum)
	case strings.HasPrefix(after.path, before.path+"/"):
		return fmt.Sprintf("file / directory path collision (%v)", after.path)
	}
	return ""
}

var (
	printablePath = regexp.MustCompile("^[ -~]+$")
	globCharacter = regexp.MustCompile(`[*?[\]{}!()@+^]`)
)

// validatePath is the rule for paths that are written.
func validatePath(p string) error {
	if !printablePath.MatchString(p) {
		return unknown("path (%v) invalid: only printable ASCII characters allowed", p)
	}
	if c := globCharacter.FindString(p); c != "" {
		return unknown("path (%v) invalid: globbing character (%v) not allowed in path", p, c)
	}
	for _, element := range strings.Split(p, "/") {
		if element == "." || element == ".." {
			return unknown("path (%v) invalid: relative file paths are not allowed", p)
		}
	}
	return nil
}

// cleanPath is the form in which paths are kept: "" and "abc/" become "/" and
// "/abc".
func cleanPath(p string) string {
	p = path.Clean(p)
	if p == "." {
		return "/"
	}
	return "/" + strings.Trim(p, "/")
}

// cleanDir is cleanPath with a slash at the end.
func cleanDir(p string) string {
	p = cleanPath(p)
	if !strings.HasSuffix(p, "/") {
		p += "/"
	}
	return p
}
