// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"strings"
	"sync"
)

// Layout is what a source calls the coordinates of its records. Paths, JSON
// lines, rows, metrics, gaps and pages take their words from it.
type Layout struct {
	Kind      string // of the streams, "" where the source has streams of one kind only
	Stream    string // topic, table, queue …
	Partition string // "" where streams have none
	Offset    string // the number of a record in its partition
	ID        string // the source's own name of a record, "" where it has none besides the number
}

// Of names a stream in messages, as "topic orders partition 3".
func (l Layout) Of(stream string, partition int32) string {
	if l.Partition == "" {
		return l.Stream + " " + stream
	}
	return fmt.Sprintf("%s %s %s %d", l.Stream, stream, l.Partition, partition)
}

// Record names a record in messages, as "topic orders, partition 3, offset 7".
func (l Layout) Record(stream string, partition int32, offset int64) string {
	text := l.Stream + " " + stream
	if l.Partition != "" {
		text += fmt.Sprintf(", %s %d", l.Partition, partition)
	}
	return text + fmt.Sprintf(", %s %d", l.Offset, offset)
}

// Placeholders lists what may stand in braces in a path of this layout, besides
// the references to parts of a record.
func (l Layout) Placeholders() []string {
	names := []string{l.Stream}
	if l.Partition != "" {
		names = append(names, l.Partition)
	}
	return append(append(names, l.first(), l.last(), "ext"), timePlaceholders...)
}

func (l Layout) first() string { return "first_" + l.Offset }
func (l Layout) last() string  { return "last_" + l.Offset }

// DefaultPath is the template of SPOUT_FILE_PATH where none is given, as
// {topic}/{partition}/{first_offset}-{last_offset}.{ext}.
func (l Layout) DefaultPath() string {
	parts := []string{l.Stream}
	if l.Partition != "" {
		parts = append(parts, l.Partition)
	}
	return "{" + strings.Join(parts, "}/{") + "}/{" + l.first() + "}-{" + l.last() + "}.{ext}"
}

// defaultPaths are the templates of [Layout.DefaultPath], by layout.
var defaultPaths sync.Map

func defaultPath(l Layout) PathTemplate {
	if path, ok := defaultPaths.Load(l); ok {
		return path.(PathTemplate)
	}
	path, err := ParsePathTemplate(l.DefaultPath())
	if err != nil {
		panic(err) // layouts are constant
	}
	defaultPaths.Store(l, path)
	return path
}

// FilePath is the template of the files' paths, with the source's names of
// coordinates.
func (s Settings) FilePath() PathTemplate {
	path, l := s.File.Path, s.Layout()
	if path.text == "" {
		path = defaultPath(l)
	}
	return path.For(l)
}
