// SPDX-License-Identifier: Apache-2.0

package modules

import (
	"path"
	"slices"
	"strings"
)

// Allowed are the licences of which programs may be made: those that ask for
// their text to be passed on and no more, and MPL-2.0, which asks for the
// source of changes to its own files, of which we make none.
var Allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "LicenseRef-public-domain", "MIT", "MPL-2.0", "Unlicense", "Zlib"}

// known are licences by what only they say, in small letters and single spaces.
var known = []struct {
	licence string
	says    []string
	not     string
}{
	{"AGPL-3.0", []string{"gnu affero general public license version"}, ""},
	{"LGPL", []string{"gnu lesser general public license version"}, "mozilla public license"},
	{"GPL", []string{"gnu general public license version"}, "mozilla public license"},
	{"BUSL-1.1", []string{"business source license 1.1"}, ""},
	{"SSPL-1.0", []string{"server side public license"}, ""},
	{"Apache-2.0", []string{"apache license", "version 2.0, january 2004"}, ""},
	{"Apache-2.0", []string{"licensed under the apache license, version 2.0"}, "version 2.0, january 2004"},
	{"MPL-2.0", []string{"mozilla public license", "version 2.0"}, ""},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy"}, ""},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "endorse or promote products derived"}, ""},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms"}, "endorse or promote products derived"},
	{"ISC", []string{"permission to use, copy, modify, and", "distribute this software for any purpose with or without fee", "copyright notice and this permission notice"}, ""},
	{"0BSD", []string{"permission to use, copy, modify, and", "distribute this software for any purpose with or without fee"}, "copyright notice and this permission notice"},
	{"CC0-1.0", []string{"cc0 1.0 universal"}, ""},
	{"Unlicense", []string{"this is free and unencumbered software released into the public domain"}, ""},
	{"LicenseRef-public-domain", []string{"have been put into the public domain. you can do whatever you want"}, ""},
	{"Zlib", []string{"this software is provided 'as-is'", "altered source versions must be plainly marked"}, ""},
}

// Recognise returns the SPDX identifiers of the licences whose text, or notice,
// is in a text.
func Recognise(text string) []string {
	plain := strings.ToLower(strings.Join(strings.Fields(strings.NewReplacer("’", "'", "`", "'", "*", " ", "//", " ", "#", " ").Replace(text)), " "))
	var licences []string
	for _, k := range known {
		if k.not != "" && strings.Contains(plain, k.not) || slices.Contains(licences, k.licence) {
			continue
		}
		if !slices.ContainsFunc(k.says, func(phrase string) bool { return !strings.Contains(plain, phrase) }) {
			licences = append(licences, k.licence)
		}
	}
	return licences
}

// expression is the SPDX expression of all licences in files: each of them
// holds for a part. Empty if one file is of a kind that is not known, or if
// there is no licence.
func expression(files []File) string {
	var all []string
	for _, f := range files {
		recognised := Recognise(f.Text)
		name := strings.ToLower(path.Base(f.Name))
		isLicence := !strings.HasPrefix(name, "notice") && !strings.HasPrefix(name, "patents")
		if len(recognised) == 0 && isLicence {
			return ""
		}
		if isLicence {
			all = append(all, recognised...)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " AND ")
}

// Refused returns the licences of an expression that are not allowed.
func Refused(expression string) []string {
	return slices.DeleteFunc(strings.Split(expression, " AND "), func(l string) bool { return slices.Contains(Allowed, l) })
}
