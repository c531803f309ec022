// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Encoder makes files as the settings say.
type Encoder struct {
	format      format
	compression compression
	path        settings.PathTemplate
}

// NewEncoder returns an encoder for validated settings.
func NewEncoder(s settings.File) (*Encoder, error) {
	format, err := formatNamed(s.Format)
	if err != nil {
		return nil, err
	}
	compression, err := compressionNamed(s.Compression)
	if err != nil {
		return nil, err
	}
	return &Encoder{format: format, compression: compression, path: s.Path}, nil
}

// compressFrom is how much raw data a file gathers before it gets a compressor
// of its own. Compressors take megabytes; a thousand quiet streams share one.
const compressFrom = 1 << 20

// File is the content of a file that is being written: records of one stream
// in their order. It is used by one goroutine at a time.
type File struct {
	encoder *Encoder
	stream  source.Stream
	time    time.Time // of the path

	first, last int64
	records     int

	raw         [][]byte // not compressed yet, or all there is
	rawSize     int
	rawCapacity int
	compressor  compressor
	packed      blocks
}

// NewFile begins a file of a stream whose path shows the time at.
func (e *Encoder) NewFile(stream source.Stream, at time.Time) *File {
	return &File{encoder: e, stream: stream, time: at}
}

// Append adds records until one of them brings the file's size (see
// [File.Size]) to limit or beyond, and returns how many it took: at least one.
func (f *File) Append(records []source.Record, limit int) (taken int, err error) {
	if f.records == 0 {
		f.first = records[0].Offset
	}
	for i := range records {
		r := &records[i]
		f.room(f.encoder.format.most(r))
		tail := &f.raw[len(f.raw)-1]
		size, capacity := len(*tail), cap(*tail)
		*tail = f.encoder.format.append(*tail, f.stream, r)
		f.rawSize += len(*tail) - size
		f.rawCapacity += cap(*tail) - capacity
		taken++
		if f.packed.size+f.rawSize >= limit {
			break
		}
	}
	f.last = records[taken-1].Offset
	f.records += taken
	return taken, f.compress(false)
}

// room makes sure that the last raw block has room for need bytes, so that
// appending seldom has to move what the block holds.
func (f *File) room(need int) {
	if n := len(f.raw); n == 0 || cap(f.raw[n-1])-len(f.raw[n-1]) < need {
		block := newBlock(n, need)
		f.raw = append(f.raw, block)
		f.rawCapacity += cap(block)
	}
}

// compress moves raw data through the compressor: once there is enough of it
// for a compressor of its own, or at the end.
func (f *File) compress(end bool) error {
	if f.encoder.compression.pool == nil || !end && f.rawSize < compressFrom {
		return nil
	}
	if f.compressor == nil {
		f.compressor = f.encoder.compression.pool.Get().(compressor)
		f.compressor.Reset(&f.packed)
	}
	for _, block := range f.raw {
		if _, err := f.compressor.Write(block); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
		freeBlock(block)
	}
	f.raw, f.rawSize, f.rawCapacity = f.raw[:0], 0, 0
	if !end {
		return nil
	}
	if err := f.compressor.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	f.encoder.compression.pool.Put(f.compressor)
	f.compressor = nil
	return nil
}

// Size is the number of bytes the file will have at most, as far as is known:
// what is not compressed yet counts whole.
func (f *File) Size() int { return f.packed.size + f.rawSize }

// Memory is about the memory that the file takes.
func (f *File) Memory() int {
	memory := f.packed.capacity + f.rawCapacity
	if f.compressor != nil {
		memory += f.encoder.compression.memory
	}
	return memory
}

// Seal ends the file. Its path and content are final after it.
func (f *File) Seal() error { return f.compress(true) }

// Path is the file's path in the repo; it must be sealed.
func (f *File) Path() string {
	topic := f.stream.Topic
	if f.stream.Generation > 0 {
		// ~ is in no topic's name: a topic that was made again shares no path with its former self.
		topic = fmt.Sprintf("%s~%d", topic, f.stream.Generation)
	}
	return f.encoder.path.Render(settings.PathFields{
		Topic: topic, Partition: f.stream.Partition, FirstOffset: f.first, LastOffset: f.last,
		Ext: f.encoder.format.extension + f.encoder.compression.extension, Time: f.time,
	})
}

// Parts is the file's content, in pieces; it must be sealed.
func (f *File) Parts() [][]byte {
	if f.encoder.compression.pool == nil {
		return f.raw
	}
	return f.packed.list
}

// Free gives the file's memory back. The file must not be used after it.
func (f *File) Free() {
	for _, block := range f.raw {
		freeBlock(block)
	}
	for _, block := range f.packed.list {
		freeBlock(block)
	}
	f.raw, f.packed = nil, blocks{}
}

// blocks is a growing list of blocks that can be written to.
type blocks struct {
	list           [][]byte
	size, capacity int
}

func (b *blocks) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := len(b.list)
		if n == 0 || len(b.list[n-1]) == cap(b.list[n-1]) {
			b.list = append(b.list, newBlock(n, 1))
			b.capacity += cap(b.list[n])
			n++
		}
		tail := b.list[n-1]
		fits := min(len(rest), cap(tail)-len(tail))
		b.list[n-1] = append(tail, rest[:fits]...)
		rest = rest[fits:]
	}
	b.size += len(data)
	return len(data), nil
}
