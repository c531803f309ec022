// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

func TestTreeAgainstAMap(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var tr *tree
	model := map[string]string{}
	var olds []*tree
	var oldModels []map[string]string
	for i := range 3000 {
		path := "/" + strconv.Itoa(r.IntN(300))
		if r.IntN(3) == 0 {
			tr = tr.remove(fileKey(path, defaultDatum))
			delete(model, path)
		} else {
			content := strconv.Itoa(i)
			tr = tr.put(newFile(path, defaultDatum, [][]byte{[]byte(content)}))
			model[path] = content
		}
		if i%500 == 0 {
			olds, oldModels = append(olds, tr), append(oldModels, maps.Clone(model))
		}
	}
	olds, oldModels = append(olds, tr), append(oldModels, model)
	for i, old := range olds {
		var paths []string
		var size int64
		old.walk("", func(f *file) bool {
			paths = append(paths, f.path)
			size += f.size
			if got := string(f.bytes()); got != oldModels[i][f.path] {
				t.Errorf("%s holds %q; want %q", f.path, got, oldModels[i][f.path])
			}
			return true
		})
		want := slices.Sorted(maps.Keys(oldModels[i]))
		if !slices.Equal(paths, want) || old.len() != len(want) || old.bytes() != size {
			t.Fatalf("tree %d: %d files, want %d", i, len(paths), len(want))
		}
		for j, path := range want {
			before, after := old.neighbours(fileKey(path, defaultDatum))
			if j > 0 && before.path != want[j-1] || j == 0 && before != nil || j+1 < len(want) && after.path != want[j+1] {
				t.Fatalf("neighbours of %s", path)
			}
		}
	}
}

// Pachyderm compares only files that follow each other, so that "/a-b" between
// "/a" and "/a/c" hides a collision.
func TestCollisionsOfNeighbours(t *testing.T) {
	t.Parallel()
	build := func(paths ...string) *tree {
		cs := changes{}
		for _, p := range paths {
			cs.add(p, "")
		}
		return cs.over(nil)
	}
	cases := []struct {
		base []string
		edit func(changes)
		want string
	}{
		{[]string{"/a"}, func(c changes) { c.add("/a/b", "") }, "file / directory path collision (/a/b)"},
		{[]string{"/a/b", "/a/c"}, func(c changes) { c.add("/a", "") }, "file / directory path collision (/a/b)"},
		{[]string{"/a"}, func(c changes) { c.add("/a-b", "") }, ""},
		{[]string{"/a", "/a-b"}, func(c changes) { c.add("/a/c", "") }, ""},
		{[]string{"/a", "/a-b", "/a/c"}, func(c changes) { c.delete("/a-b", "") }, "file / directory path collision (/a/c)"},
		{[]string{"/a"}, func(c changes) { c.delete("/a", ""); c.add("/a/b", "") }, ""},
	}
	for i, c := range cases {
		cs := changes{}
		c.edit(cs)
		if got := cs.validate(cs.over(build(c.base...))); got != c.want {
			t.Errorf("case %d: %q; want %q", i, got, c.want)
		}
	}
}

func TestGlobs(t *testing.T) {
	t.Parallel()
	cases := []struct {
		pattern, path string
		want          bool
	}{
		{"/*", "/a", true}, {"/*", "/a/b", false}, {"/**", "/a/b", true}, {"/a?", "/ab", true}, {"/[ab]", "/b", true},
		{"/[!ab]", "/b", false}, {"/{a,b}/c", "/b/c", true}, {"/", "/", true}, {"/*", "/d/", true}, {"/a.b", "/axb", false},
	}
	for _, c := range cases {
		g, err := compileGlob(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if g.match(c.path) != c.want {
			t.Errorf("%s on %s: want %v", c.pattern, c.path, c.want)
		}
	}
}
