// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Encoder makes files as the settings say.
type Encoder struct {
	settings    settings.Settings
	kind        kind
	filePath    settings.PathTemplate
	coordinates *schema.Coordinates
	words       *jsonWords
	reserved    []string // folders for what is no file of records
	compression compression
	text        *textKind
	container   containerWriter // of rows; nil for other formats
	largest     int             // bytes that a record may become
}

// NewEncoder returns an encoder for validated settings.
func NewEncoder(s settings.Settings) (*Encoder, error) {
	kind, err := kindNamed(s.File.Format)
	if err != nil {
		return nil, err
	}
	layout := s.Layout()
	e := &Encoder{settings: s, kind: kind, filePath: s.FilePath(), coordinates: schema.CoordinatesOf(layout), words: newJSONWords(layout), reserved: s.ReservedFolders(), largest: s.LargestRecord()}
	if kind.rows != nil {
		e.container, err = kind.rows(s.File.Compression, s.MemoryBudget)
		return e, err // it compresses inside
	}
	if e.compression, err = compressionNamed(s.File.Compression); err != nil {
		return nil, err
	}
	if kind.text != nil {
		e.text = &textKind{kind.text(s), kind.extension, e.compression, e.path, e.largest}
	}
	return e, nil
}

// Place is what the path of a file shows, besides offsets.
type Place struct {
	Stream source.Stream
	Time   time.Time
	Values string       // of the records, as settings.PathFields has them
	Rows   *schema.Rows // of avro and parquet files; nil for records whose values are bytes
}

// File is the content of a file that is being written, or of one file per
// record: records of one stream in their order. It is used by one goroutine at
// a time.
type File interface {
	// Append adds records until one of them brings the size to limit or
	// beyond, and returns how many it took: at least one. It ends before a
	// record that would take more memory than one may, with a [*record.Refused].
	Append(records []source.Record, limit int) (taken int, err error)

	// Size is the number of bytes the file will have at most, as far as is
	// known: what is not compressed yet counts whole.
	Size() int

	// Memory is about the memory that the file takes.
	Memory() int

	// Write ends the file and passes it, or each one, to put; one without
	// records is none. Its memory is given back: the file must not be used
	// after it.
	Write(put func(path string, parts ...[]byte) error) error
}

// CheckRows returns an error if no file can be made of rows with that schema.
func (e *Encoder) CheckRows(rows *schema.Rows) error {
	if !e.kind.columns {
		return nil
	}
	return rows.CheckColumns(schema.MaxColumns(e.settings.MemoryBudget))
}

// NewFile begins a file of the settings' format.
func (e *Encoder) NewFile(at Place) File {
	switch {
	case e.container != nil:
		return newRowFile(e, at)
	case e.kind.each:
		return &rawFile{encoder: e, place: at}
	}
	return &textFile{place: at, kind: e.text}
}

// path is the path of a file of records from first to last.
func (e *Encoder) path(at Place, extension string, first, last int64) string {
	return e.outside(e.filePath.Render(settings.PathFields{
		Stream: streamFolder(at.Stream), Partition: at.Stream.Partition, FirstOffset: first, LastOffset: last,
		Ext: extension + e.compression.extension, Time: at.Time, Values: at.Values,
	}))
}

// outside keeps a path out of the reserved folders: a stream that a pattern has
// matched may be called like one. Its first letter is then written as values
// have others, which no other path has.
func (e *Encoder) outside(path string) string {
	for _, folder := range e.reserved {
		if rest, ok := strings.CutPrefix(path, "/"+folder); ok && strings.HasPrefix(rest, "/") {
			return fmt.Sprintf("/%%%02X%s", folder[0], path[2:])
		}
	}
	return path
}

// streamFolder is a stream's name in paths, escaped as values are unless it is
// plain, as all names of Kafka's topics are. ~ is in no such name: a stream
// that was made again shares no path with its former self.
func streamFolder(stream source.Stream) string {
	name := stream.Name
	if !settings.IsPlainInPath(name) {
		name = string(settings.AppendPathValue(nil, []byte(name)))
	}
	if stream.Generation > 0 {
		return fmt.Sprintf("%s~%d", name, stream.Generation)
	}
	return name
}

// compressFrom is how much raw data a file gathers before it gets a compressor
// of its own. Compressors take megabytes; a thousand quiet streams share one.
const compressFrom = 1 << 20

// textKind is what text files of a sort have in common.
type textKind struct {
	format      format
	extension   string
	compression compression
	path        func(at Place, extension string, first, last int64) string
	largest     int // bytes of a record, 0 for no limit
}

// textFile is a file whose format puts one record after the other.
type textFile struct {
	// What each Append touches comes first: with thousands of files, most of
	// what it costs is to get this from memory.
	kind    *textKind
	tail    []byte // the block that is being filled
	size    int
	memory  int
	records int
	last    int64

	first      int64
	full       [][]byte // blocks before the tail
	packed     blocks
	compressor compressor
	place      Place
}

// Append implements [File].
func (f *textFile) Append(records []source.Record, limit int) (taken int, err error) {
	format := &f.kind.format
	if f.records == 0 {
		f.first = records[0].Offset
		if f.size == 0 {
			f.begin(format.head)
		}
	}
	for done := false; !done; done = taken == len(records) || f.size >= limit {
		need := format.most(&records[taken])
		if f.kind.largest > 0 && need > f.kind.largest { // one that long does not fit into what is left of a block
			err = tooLarge(need, f.kind.largest)
			break
		}
		f.room(need)
		size, capacity := len(f.tail), cap(f.tail)
		filled, n := format.fill(f.tail, &f.place.Stream, records[taken:], limit-(f.size-size))
		f.tail = filled
		taken += n
		f.size += len(filled) - size
		f.memory += cap(filled) - capacity
	}
	if taken > 0 {
		f.last = records[taken-1].Offset
		f.records += taken
	}
	if err != nil {
		return taken, err
	}
	return taken, f.compress(false)
}

// begin puts in what a file of the format begins with.
func (f *textFile) begin(head []byte) {
	f.room(len(head))
	f.tail = append(f.tail, head...)
	f.size += len(head)
}

// tooLarge says why a record is not written.
func tooLarge(need, largest int) error {
	return &record.Refused{Reason: fmt.Sprintf("in the file it would take %d bytes of memory, more than the %d that one record may take. SPOUT_MEMORY_BUDGET raises that limit", need, largest)}
}

// room makes sure that the tail has room for need bytes, so that appending
// seldom has to move what it holds.
func (f *textFile) room(need int) {
	if cap(f.tail)-len(f.tail) >= need {
		return
	}
	if f.tail != nil {
		if f.full == nil {
			f.full = make([][]byte, 0, len(blockSizes))
		}
		f.full = append(f.full, f.tail)
	}
	f.tail = newBlock(len(f.full), need)
	f.memory += cap(f.tail)
}

// raw is what is not compressed yet, or all there is.
func (f *textFile) raw() [][]byte {
	if f.tail == nil {
		return nil
	}
	return append(f.full, f.tail)
}

// compress moves raw data through the compressor: once there is enough of it
// for a compressor of its own, or at the end.
func (f *textFile) compress(end bool) error {
	compression := &f.kind.compression
	if compression.pool == nil || !end && f.size-f.packed.size < compressFrom {
		return nil
	}
	if f.compressor == nil {
		f.compressor = compression.pool.Get().(compressor)
		f.compressor.Reset(&f.packed)
	}
	for _, block := range f.raw() {
		if _, err := f.compressor.Write(block); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
		freeBlock(block)
	}
	f.tail, f.full = nil, f.full[:0]
	f.size, f.memory = f.packed.size, f.packed.capacity+compression.memory
	if !end {
		return nil
	}
	if err := f.compressor.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	compression.pool.Put(f.compressor)
	f.compressor = nil
	return nil
}

// Size implements [File].
func (f *textFile) Size() int { return f.size }

// Memory implements [File].
func (f *textFile) Memory() int { return f.memory }

// Write implements [File].
func (f *textFile) Write(put func(path string, parts ...[]byte) error) error {
	if f.records == 0 {
		return nil
	}
	if err := f.compress(true); err != nil {
		return err
	}
	parts := f.packed.list
	if f.kind.compression.pool == nil {
		parts = f.raw()
	}
	if err := put(f.kind.path(f.place, f.kind.extension, f.first, f.last), parts...); err != nil {
		return err
	}
	for _, block := range parts {
		freeBlock(block)
	}
	f.tail, f.full, f.packed = nil, nil, blocks{}
	return nil
}
