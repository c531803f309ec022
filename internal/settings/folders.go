// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ownFolder is a folder of the output repo for what is no file of records.
// Nothing else may be in it: a file could meet a folder of the same name, which
// Pachyderm refuses only once the commit is finished.
type ownFolder struct {
	variable, name string
	of             string   // what is in it
	with           []string // variables that say that it is used
}

// ownFolders lists the folders that are used.
func (s Settings) ownFolders() (list []ownFolder) {
	if s.SchemaRegistry.URL != "" && s.File.takesSchemas() {
		list = append(list, ownFolder{"SPOUT_SCHEMA_REGISTRY_FOLDER", s.SchemaRegistry.Folder, "the schemas",
			[]string{"SPOUT_SCHEMA_REGISTRY_URL", "SPOUT_FILE_FORMAT"}})
	}
	if s.Record.OnRefused == "dead_letter" {
		list = append(list, ownFolder{"SPOUT_RECORD_DEAD_LETTER_FOLDER", s.Record.DeadLetterFolder, "the dead letters",
			[]string{"SPOUT_RECORD_ON_REFUSED"}})
	}
	return list
}

// ReservedFolders are the names of the folders that are used.
func (s Settings) ReservedFolders() (names []string) {
	for _, folder := range s.ownFolders() {
		names = append(names, folder.name)
	}
	return names
}

// validateFolders checks that the folders are apart from each other and from
// the files of records.
func (s Settings) validateFolders() (p Problems) {
	list, read := s.ownFolders(), s.streams()
	for i, folder := range list {
		for _, other := range list[:i] {
			if folder.name == other.name {
				p.add(folder.variable, folder.name, fmt.Sprintf("is the folder of %s, too; choose another name, or set %s", other.of, other.variable),
					append([]string{other.variable}, append(folder.with, other.with...)...)...)
			}
		}
		if s.FilePath().mayBeIn(folder.name, read.names) {
			p.add("SPOUT_FILE_PATH", s.FilePath().String(), fmt.Sprintf("can begin with the folder of %s, %s; begin it with another one, for example data/%s",
				folder.of, folder.name, strings.TrimPrefix(s.FilePath().String(), "/")), slices.Concat([]string{folder.variable}, read.variables, folder.with)...)
		}
	}
	return p
}

// mayBeIn says whether a path of these topics, or of any record, can begin with
// a folder. Topics that only a pattern names are not known here: files of one
// that is called like a folder go into another one, see encode.
func (t PathTemplate) mayBeIn(folder string, topics []string) bool {
	var first strings.Builder // a regular expression of the paths' first elements
	for i, p := range t.parts {
		switch p.role {
		case literally:
			literal := p.literal
			if i == 0 {
				literal = strings.TrimPrefix(literal, "/")
			}
			element, _, ends := strings.Cut(literal, "/")
			first.WriteString(regexp.QuoteMeta(element))
			if ends {
				return matches(first.String(), folder)
			}
		case ofStream:
			if len(topics) == 0 {
				return false
			}
			names := make([]string, len(topics))
			for i, topic := range topics {
				names[i] = regexp.QuoteMeta(topic)
			}
			first.WriteString("(" + strings.Join(names, "|") + ")")
		case ofRecord:
			// See [AppendPathValue]: no value begins with '.' or '_'.
			first.WriteString("([^._].*|" + MissingPathValue + ")")
		case ofExt:
			first.WriteString("[a-z0-9.]+")
		default:
			first.WriteString("[0-9]+")
		}
	}
	return matches(first.String(), folder)
}

func matches(expression, text string) bool {
	matched, _ := regexp.MatchString("^("+expression+")$", text) //nolint:errcheck // it was made of quoted parts
	return matched
}
