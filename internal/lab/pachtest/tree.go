// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"crypto/sha256"
	"hash/fnv"
	"sync"
)

// file is the content of one path from one datum. It never changes: appending
// makes a new file that shares the parts.
type file struct {
	path  string
	datum string
	parts [][]byte
	size  int64

	once sync.Once
	sum  [sha256.Size]byte
}

func newFile(path, datum string, parts [][]byte) *file {
	f := &file{path: path, datum: datum, parts: parts}
	for _, p := range parts {
		f.size += int64(len(p))
	}
	return f
}

func (f *file) key() string { return fileKey(f.path, f.datum) }

// fileKey sorts by path, then datum: no path holds a zero byte.
func fileKey(path, datum string) string { return path + "\x00" + datum }

func (f *file) hash() []byte {
	f.once.Do(func() {
		h := sha256.New()
		for _, p := range f.parts {
			h.Write(p)
		}
		h.Sum(f.sum[:0])
	})
	return f.sum[:]
}

func (f *file) bytes() []byte {
	b := make([]byte, 0, f.size)
	for _, p := range f.parts {
		b = append(b, p...)
	}
	return b
}

// tree is a persistent sorted map from file keys to files (a treap). A nil
// tree is empty. Methods return new trees and leave the old one as it was.
type tree struct {
	file        *file
	key         string
	priority    uint32
	count       int
	size        int64
	left, right *tree
}

func (t *tree) len() int {
	if t == nil {
		return 0
	}
	return t.count
}

func (t *tree) bytes() int64 {
	if t == nil {
		return 0
	}
	return t.size
}

// with returns a copy of t with other children.
func (t *tree) with(left, right *tree) *tree {
	return &tree{
		file: t.file, key: t.key, priority: t.priority, left: left, right: right,
		count: 1 + left.len() + right.len(),
		size:  t.file.size + left.bytes() + right.bytes(),
	}
}

func (t *tree) get(key string) *file {
	for t != nil {
		switch {
		case key == t.key:
			return t.file
		case key < t.key:
			t = t.left
		default:
			t = t.right
		}
	}
	return nil
}

// split parts t into the keys below and above key.
func (t *tree) split(key string) (below, above *tree) {
	switch {
	case t == nil:
		return nil, nil
	case t.key < key:
		below, above = t.right.split(key)
		return t.with(t.left, below), above
	case t.key > key:
		below, above = t.left.split(key)
		return below, t.with(above, t.right)
	default:
		return t.left, t.right
	}
}

// join puts together two trees whose keys do not overlap.
func join(below, above *tree) *tree {
	switch {
	case below == nil:
		return above
	case above == nil:
		return below
	case below.priority >= above.priority:
		return below.with(below.left, join(below.right, above))
	default:
		return above.with(join(below, above.left), above.right)
	}
}

func (t *tree) put(f *file) *tree {
	key := f.key()
	h := fnv.New32a()
	h.Write([]byte(key))
	leaf := &tree{file: f, key: key, priority: h.Sum32() * 2654435761, count: 1, size: f.size}
	below, above := t.split(key)
	return join(join(below, leaf), above)
}

func (t *tree) remove(key string) *tree {
	if t.get(key) == nil {
		return t
	}
	below, above := t.split(key)
	return join(below, above)
}

// walk calls fn for the files from the key from on, in order, until fn returns
// false. It returns false if fn did.
func (t *tree) walk(from string, fn func(*file) bool) bool {
	if t == nil {
		return true
	}
	if t.key >= from {
		return t.left.walk(from, fn) && fn(t.file) && t.right.walk(from, fn)
	}
	return t.right.walk(from, fn)
}

// neighbours returns the files right before and right after key.
func (t *tree) neighbours(key string) (before, after *file) {
	for t != nil {
		switch {
		case key < t.key:
			after, t = t.file, t.left
		case key > t.key:
			before, t = t.file, t.right
		default:
			for n := t.left; n != nil; n = n.right {
				before = n.file
			}
			for n := t.right; n != nil; n = n.left {
				after = n.file
			}
			return before, after
		}
	}
	return before, after
}
