// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// jsonDocuments are a JSON Schema and those that it refers to, with all that
// can be referred to in them.
type jsonDocuments struct {
	main      place
	resources map[string]place    // by URI
	anchors   map[string]place    // by URI and name
	bases     map[position]string // of schemas that have a URI of their own
	found     map[string]place    // by references that have been looked up
	members   map[position]map[string]node
	indexed   int // members
	passed    int // elements of lists on the way to those that are referred to
}

// position is a schema in one of the documents.
type position struct {
	document *document
	node     node
}

// place is a schema with the URI that references in it, or around it, are
// relative to.
type place struct {
	position
	base string
}

func readDocuments(sources []Source) (*jsonDocuments, error) {
	d := &jsonDocuments{resources: map[string]place{}, anchors: map[string]place{}, bases: map[position]string{}, found: map[string]place{}, members: map[position]map[string]node{}}
	roots := make([]position, len(sources))
	for i, s := range sources {
		doc := &document{}
		root, err := doc.parse([]byte(s.Text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.title(), err)
		}
		roots[i] = position{doc, root}
	}
	for i, s := range sources { // the schema itself is the last
		if s.Name == "" {
			d.main = place{roots[i], ""}
		}
	}
	base := d.add(d.main)
	for i, s := range sources {
		if s.Name != "" {
			at := place{roots[i], resolveURI(base, s.Name)}
			d.resources[at.base], d.resources[s.Name] = at, at
			d.add(at)
		}
	}
	return d, nil
}

// add notes what can be referred to in a document, and returns its URI.
func (d *jsonDocuments) add(at place) string {
	d.collect(at, idKeyword(at.position))
	base := d.base(at)
	d.resources[base] = at
	return base
}

func (s Source) title() string {
	if s.Name == "" {
		return "the schema"
	}
	return fmt.Sprintf("the schema %.100q, which it refers to", s.Name)
}

// idKeyword is what identifiers are called in a document. In later drafts "id"
// is as likely a word of somebody's own.
func idKeyword(root position) string {
	version, _ := root.document.string(root.document.member(root.node, "$schema"))
	if strings.Contains(version, "draft-03") || strings.Contains(version, "draft-04") {
		return "id"
	}
	return "$id"
}

// instances are keywords whose values are no schemas.
var instances = map[string]bool{"enum": true, "const": true, "default": true, "examples": true, "example": true}

const (
	// maxURI bounds how long references and identifiers are that are followed.
	maxURI = 1000
	// maxIdentifiers bounds how many identifiers are kept.
	maxIdentifiers = 10_000
)

// note keeps what an identifier stands for.
func note(in map[string]place, identifier string, at place) {
	if len(in) < maxIdentifiers {
		in[identifier] = at
	}
}

// collect notes what has a name within a schema.
func (d *jsonDocuments) collect(at place, id string) {
	doc := at.document
	inner := at.base
	for it := doc.items(at.node); it.isObject && it.advance(); {
		text, ok := doc.string(it.value)
		switch {
		case !ok || len(text) > maxURI:
		case is(it.name, id) && strings.HasPrefix(text, "#"):
			note(d.anchors, at.base+text, at)
		case is(it.name, id):
			inner = withoutFragment(resolveURI(at.base, text))
			note(d.resources, inner, at)
			if len(d.bases) < maxIdentifiers {
				d.bases[at.position] = inner
			}
		}
	}
	for it := doc.items(at.node); it.advance(); {
		if it.isObject {
			name, _ := unquote(it.name)
			if name == "$anchor" || name == "$dynamicAnchor" {
				if anchor, ok := doc.string(it.value); ok && len(anchor) <= maxURI {
					note(d.anchors, inner+"#"+anchor, at)
				}
			}
			if instances[name] {
				continue
			}
		}
		if kind := doc.kind(it.value); kind == '{' || kind == '[' {
			d.collect(place{position{doc, it.value}, inner}, id)
		}
	}
}

// base is the URI that references in a schema are relative to.
func (d *jsonDocuments) base(at place) string {
	if own, ok := d.bases[at.position]; ok {
		return own
	}
	return at.base
}

func withoutFragment(uri string) string {
	uri, _, _ = strings.Cut(uri, "#")
	return uri
}

// resolveURI resolves a reference. What is no URI is taken as it is.
func resolveURI(base, reference string) string {
	of, err := url.Parse(base)
	if err != nil {
		return reference
	}
	resolved, err := of.Parse(reference)
	if err != nil {
		return reference
	}
	if uri := resolved.String(); len(uri) <= maxURI {
		return uri
	}
	return base
}

// lookup returns the schema that a reference names; ok is false if there is
// none.
func (d *jsonDocuments) lookup(base, reference string) (at place, ok bool) {
	if len(reference) > maxURI {
		return place{}, false
	}
	key := base + "\x00" + reference
	if at, ok := d.found[key]; ok {
		return at, at.document != nil
	}
	name, fragment, _ := strings.Cut(reference, "#")
	target := base
	if name != "" {
		target = withoutFragment(resolveURI(base, name))
	}
	at, ok = d.resources[target]
	if !ok {
		at, ok = d.resources[name] // by the name that the registry has for it
	}
	if ok && fragment != "" {
		if text, err := url.PathUnescape(fragment); err == nil {
			fragment = text
		}
		if fragment[0] == '/' {
			at, ok = d.walk(at, fragment[1:])
		} else {
			at, ok = d.anchors[d.base(at)+"#"+fragment]
		}
	}
	if !ok {
		at = place{}
	}
	d.found[key] = at
	return at, ok
}

// walk follows a JSON pointer.
func (d *jsonDocuments) walk(at place, pointer string) (_ place, ok bool) {
	for _, step := range strings.Split(pointer, "/") {
		at.base = d.base(at)
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		next := nowhere
		switch at.document.kind(at.node) {
		case '{':
			if member, ok := d.membersOf(at.position)[step]; ok {
				next = member
			}
		case '[':
			if index, err := strconv.ParseUint(step, 10, 31); err == nil && d.passed+int(index) <= maxPassed {
				d.passed += int(index)
				next = at.document.element(at.node, int(index))
			}
		}
		if !next.exists() {
			return at, false
		}
		at.node = next
	}
	return at, true
}

// maxPassed bounds how many elements of lists are gone over: references to what
// is further on are to anything.
const maxPassed = 10_000_000

// maxIndexed bounds how many members are kept by their names.
const maxIndexed = 100_000

// membersOf are an object's members by their names, made once: all references
// go through the same few.
func (d *jsonDocuments) membersOf(at position) map[string]node {
	list, ok := d.members[at]
	if !ok && d.indexed < maxIndexed {
		list = at.document.members(at.node)
		d.members[at] = list
		d.indexed += len(list)
	}
	return list
}
