// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression compresses whole files, each as one gzip member or zstd frame,
// since many readers stop after the first.
type Compression struct {
	// Extension is added to the file name's ending, with its dot; "" for none.
	Extension string
	// memory is about what a compressor at work takes.
	memory int
	pool   *sync.Pool // of compressor, nil for no compression
}

type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// zstdWindow bounds the memory of compressors and of everybody who reads the files.
const zstdWindow = 1 << 20

var (
	gzipPool = &sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	zstdPool = &sync.Pool{New: func() any {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are constant
		}
		return w
	}}
)

// CompressionNamed returns the compression with a name of settings.Compressions.
func CompressionNamed(name string) (Compression, error) {
	switch name {
	case "none":
		return Compression{}, nil
	case "gzip":
		return Compression{Extension: ".gz", memory: 1 << 20, pool: gzipPool}, nil
	case "zstd":
		return Compression{Extension: ".zst", memory: 4 << 20, pool: zstdPool}, nil
	}
	return Compression{}, fmt.Errorf("unknown compression %q", name)
}
