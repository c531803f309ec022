// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestNoSourceIsNamed: what the runner and the provider stand on learns of a
// new source without an edit. Only the lists, the source's own folders and the
// contract have its name, in code; texts may name one as an example.
func TestNoSourceIsNamed(t *testing.T) {
	t.Parallel()
	own := []string{"runner/sources.go", "runner/source/", "internal/position/"}
	for _, root := range []string{"runner", "internal/position", "internal/spoutcommit", "internal/spoutlog", "internal/pachyderm"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
			for _, prefix := range own {
				if strings.HasPrefix(name, prefix) {
					return nil
				}
			}
			return namesNoSource(t, path)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// namesNoSource looks for identifiers and whole texts that are a source's name.
func namesNoSource(t *testing.T, path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		var word string
		switch n := n.(type) {
		case *ast.Ident:
			word = n.Name
		case *ast.BasicLit:
			word, _ = strconv.Unquote(n.Value) //nolint:errcheck // it is no text
			if strings.Contains(word, " ") {
				return true
			}
		default:
			return true
		}
		for source := range sources {
			if strings.Contains(strings.ToLower(word), source) {
				t.Errorf("%s names the source %s: %s", path, source, word)
			}
		}
		return true
	})
	return nil
}
