// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

const (
	// namesPerPlace is how many names of members are kept of a place.
	namesPerPlace = 256
	// maxNames and maxName bound what is kept of all places: names, and the
	// length of one with its quotes.
	maxNames = 1024
	maxName  = 128
	// maxStrange is how many names are met that are not kept until all that is
	// kept is forgotten: values have become different.
	maxStrange = 1 << 16
)

// known are the names that objects had, by the places where these were. Nothing
// is kept of a checker's first value, which is the only one of many checkers.
type known struct {
	root    *name // the place of the value itself
	values  int
	names   int
	strange int
}

// place is where an object is: below which names. It has all names that were
// met there; each remembers which one followed it the last time.
type place struct {
	first *name // of the last object
	names map[string]*name
	list  []*name // the same by number
	other *name   // stands for names that are not kept

	single, everywhere *Fields // what is sought here, nil for nothing
}

// name is the name of a member.
type name struct {
	quoted     string
	head, tail uint64 // the first eight bytes, and the last eight
	mask       uint64 // the bytes of head that count
	length     int    // with the quotes
	reach      int    // how many bytes are looked at
	number     uint8  // at its place
	bit        uint64 // that stands for it among 64
	next       *name  // the one that followed it

	object *place // of objects that are its value, or are in lists that are

	isPlain            bool    // it is written as it is; others are found without their escapes
	isSought           bool    // the value, or something in it, is sought
	single, everywhere *Fields // what of its value, nil for nothing
	inList             *name   // stands for the elements of a list
}

func (n *name) text() string { return n.quoted[1 : len(n.quoted)-1] }

// endsAt says whether a name of more than eight bytes, the first of which are
// at a position, is there whole.
func (n *name) endsAt(data []byte, at int) bool {
	if n.length <= 16 {
		return binary.LittleEndian.Uint64(data[at+n.length-8:]) == n.tail
	}
	return string(data[at+8:at+n.length]) == n.quoted[8:]
}

// begin returns what stands for the name of a value that is by itself.
func (k *known) begin(f *found) *name {
	k.values++
	if k.strange > maxStrange {
		*k = known{values: k.values}
	}
	if k.root == nil && (k.values > 1 || !f.nothing()) {
		k.root = &name{single: f.single, everywhere: f.everywhere}
	}
	return k.root
}

// object returns the place of an object that is a member's value.
func (k *known) object(of *name) *place {
	if of == nil {
		return nil
	}
	if of.object == nil {
		everywhere := of.everywhere
		if everywhere != nil && len(everywhere.here) > 0 {
			everywhere = nil // it has been found as a whole
		}
		of.object = k.newPlace(of.single, everywhere)
	}
	return of.object
}

// elements returns what stands for the name of a list's elements. No single
// field is in a list.
func (k *known) elements(of *name) *name {
	if of == nil {
		return nil
	}
	if of.inList == nil {
		of.inList = &name{}
		if of.everywhere != nil && len(of.everywhere.here) == 0 { // otherwise it has been found as a whole
			of.inList.everywhere = of.everywhere
		}
		of.inList.inList = of.inList
	}
	return of.inList
}

// isWide says whether more is sought at a place than is kept of one.
func (p *place) isWide() bool { return len(p.names) > namesPerPlace }

func (k *known) newPlace(single, everywhere *Fields) *place {
	p := &place{names: map[string]*name{}, single: single, everywhere: everywhere}
	for _, fields := range []*Fields{single, everywhere} { // what is sought is always kept
		if fields == nil {
			continue
		}
		for text := range fields.below {
			if p.names[text] == nil {
				k.add(p, text)
			}
		}
	}
	return p
}

// add keeps a name.
func (k *known) add(p *place, text string) *name {
	n := &name{quoted: `"` + text + `"`, length: len(text) + 2, isPlain: isPlain([]byte(text)), number: uint8(len(p.names)), bit: 1 << (len(p.names) % 64), single: p.single.named(text), everywhere: p.everywhere.named(text)}
	n.isSought = n.single != nil || n.everywhere != nil && len(n.everywhere.here) > 0
	n.reach, n.mask = max(n.length, 8), ^uint64(0)>>(64-8*min(n.length, 8))
	n.head = binary.LittleEndian.Uint64([]byte(n.quoted + "\x00\x00\x00\x00\x00\x00"))
	if n.length >= 8 {
		n.tail = binary.LittleEndian.Uint64([]byte(n.quoted)[n.length-8:])
	}
	p.names[text], p.list = n, append(p.list, n)
	k.names++
	return n
}

// lookup returns the name at a position, nil if it is not kept.
func (k *known) lookup(data []byte, at int, in *place) *name {
	if at >= len(data) || data[at] != '"' {
		return nil
	}
	length := bytes.IndexByte(data[at+1:min(len(data), at+maxName)], '"')
	if length < 0 {
		k.strange++
		return nil
	}
	text := data[at+1 : at+1+length]
	if n := in.names[string(text)]; n != nil && n.isPlain {
		return n
	}
	if len(in.names) >= namesPerPlace || k.names >= maxNames || !isPlain(text) {
		k.strange++
		return nil
	}
	return k.add(in, string(text))
}

// other returns the name of a member that is met among some that are not kept;
// nil if nothing is kept there.
func (k *known) other(in *place, text []byte) *name {
	if in == nil {
		return nil
	}
	if n := in.names[string(text)]; n != nil {
		return n
	}
	if in.other == nil {
		in.other = &name{}
	}
	return in.other
}

// isPlain says whether a name is written as it is.
func isPlain(text []byte) bool {
	for _, b := range text {
		if b < ' ' || b == '\\' {
			return false
		}
	}
	return utf8.Valid(text)
}
