// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compression compresses whole files, each as one gzip member or zstd frame,
// since many readers stop after the first.
type compression struct {
	// extension is added to the file name's ending, with its dot; "" for none.
	extension string
	// memory is about what a compressor at work takes.
	memory int
	pool   *sync.Pool // of compressor, nil for no compression
}

type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

const (
	// zstdWindow bounds the memory of compressors and of everybody who reads the
	// files. With what goes with it, it fits into a processor's own memory: a
	// window four times as large takes twice the time, and saves nothing of JSON.
	zstdWindow = 256 << 10
	// zstdLevel is what all formats have: the next one takes half as much time
	// again, for files that are a few percent smaller at best.
	zstdLevel = zstd.SpeedFastest
)

var (
	gzipPool = &sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	zstdPool = &sync.Pool{New: func() any {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdLevel), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are constant
		}
		return w
	}}
)

// compressionNamed returns the compression with a name of settings.Compressions.
func compressionNamed(name string) (compression, error) {
	switch name {
	case "none":
		return compression{}, nil
	case "gzip":
		return compression{extension: ".gz", memory: 1 << 20, pool: gzipPool}, nil
	case "zstd":
		return compression{extension: ".zst", memory: 4 << 20, pool: zstdPool}, nil
	}
	return compression{}, fmt.Errorf("unknown compression %q", name)
}
