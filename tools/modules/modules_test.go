// SPDX-License-Identifier: Apache-2.0

package modules

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLicencesAreRecognised(t *testing.T) {
	t.Parallel()
	const mit = "Copyright (c) 2026 Somebody\n\nPermission is hereby granted, free of charge, to any\nperson obtaining a copy of this software"
	const bsd2 = "Redistribution and use in source and binary forms, with or without\n// modification, are permitted"
	const bsd3 = bsd2 + " Neither the name of it nor the names of its contributors may be used to\n * endorse or promote products derived from"
	for name, c := range map[string]struct {
		files []File
		want  string
	}{
		"one":                       {[]File{{"LICENSE", mit}}, "MIT"},
		"in a comment":              {[]File{{"LICENSE", bsd3}}, "BSD-3-Clause"},
		"two clauses":               {[]File{{"LICENSE", bsd2}}, "BSD-2-Clause"},
		"a folder with its own":     {[]File{{"LICENSE", mit}, {"inner/LICENSE", bsd3}}, "BSD-3-Clause AND MIT"},
		"a notice is no licence":    {[]File{{"NOTICE", "Somebody made this."}, {"LICENSE", mit}}, "MIT"},
		"only a notice":             {[]File{{"NOTICE", mit}}, ""},
		"a text of another kind":    {[]File{{"LICENSE", "All rights reserved."}}, ""},
		"one known, one not":        {[]File{{"LICENSE", mit}, {"inner/LICENSE", "All rights reserved."}}, ""},
		"none":                      {nil, ""},
		"affero":                    {[]File{{"LICENSE", "GNU AFFERO GENERAL PUBLIC LICENSE\n Version 3"}}, "AGPL-3.0"},
		"a business's":              {[]File{{"LICENSE", "Business Source License 1.1"}}, "BUSL-1.1"},
		"Mozilla's, which names it": {[]File{{"LICENSE", "Mozilla Public License, version 2.0 ... GNU General Public License, Version 2.0"}}, "MPL-2.0"},
	} {
		if got := expression(c.files); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
	if got := Refused("AGPL-3.0 AND MIT"); !slices.Equal(got, []string{"AGPL-3.0"}) {
		t.Errorf("refused: %v", got)
	}
	if got := Refused("Apache-2.0 AND MIT"); len(got) > 0 {
		t.Errorf("refused: %v", got)
	}
}

// Our own licence is recognised by its whole text.
func TestTheWholeText(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	if got := Recognise(string(text)); !slices.Equal(got, []string{"Apache-2.0"}) {
		t.Errorf("LICENSE is %v", got)
	}
}

// The image's command is made of modules with notices, and of Go.
func TestListAndNotices(t *testing.T) {
	t.Parallel()
	found, err := List(t.Context(), Query{Dir: "..", Packages: []string{"./image"}})
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string]Module{}
	for _, m := range found {
		byPath[m.Path] = m
		if m.Licence == "" || m.Version == "" || len(m.Files) == 0 {
			t.Errorf("%s %s: licence %q, %d files", m.Path, m.Version, m.Licence, len(m.Files))
		}
	}
	registry := byPath["github.com/google/go-containerregistry"]
	if registry.Licence != "Apache-2.0" {
		t.Errorf("go-containerregistry: %+v", registry.Licence)
	}
	if compress := byPath["github.com/klauspost/compress"]; !strings.Contains(compress.Licence, "BSD-3-Clause") {
		t.Errorf("the licences in folders of klauspost/compress are missing: %q", compress.Licence)
	}
	if !strings.HasPrefix(byPath[Standard].Version, "go1.") {
		t.Errorf("Go itself: %+v", byPath[Standard].Version)
	}
	text := Notices("image", found)
	for _, want := range []string{"image contains code of", "github.com/google/go-containerregistry v", "std: LICENSE", "The Go Authors"} {
		if !strings.Contains(text, want) {
			t.Errorf("the notices do not have %q", want)
		}
	}
	if n := strings.Count(text, "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"); n > 5 {
		t.Errorf("the same licence is there %d times", n)
	}
}
