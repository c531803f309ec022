// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
)

// avroFiles writes Avro object container files.
type avroFiles struct{ codec func() (ocf.Codec, error) }

// avroCodec returns the codec for a compression of settings.
func avroCodec(compression string, _ settings.Bytes) (containerWriter, error) {
	switch compression {
	case "none":
		return avroFiles{}, nil
	case "snappy":
		return avroFiles{func() (ocf.Codec, error) { return ocf.SnappyCodec(), nil }}, nil
	case "gzip": // the same algorithm, which Avro calls deflate
		return avroFiles{func() (ocf.Codec, error) { return ocf.DeflateCodec(-1), nil }}, nil
	case "zstd":
		return avroFiles{func() (ocf.Codec, error) {
			return ocf.ZstdCodec([]zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true)}, []zstd.DOption{zstd.WithDecoderConcurrency(1)})
		}}, nil
	}
	return avroFiles{}, fmt.Errorf("unknown compression %q of Avro", compression)
}

// Names under which files say which schema of the registry they were made with.
const schemaIDProperty = "spout.schema.id"

// avroBlock is the size of an Avro file's blocks before compression: what a
// reader needs to hold at once, and what it can split a file by.
const avroBlock = 256 << 10

// anySchema is for the library: rows are encoded already, and which schema a
// file has is said by its text.
var anySchema = avro.MustParse(`"bytes"`)

func (a avroFiles) write(out *blocks, of *schema.Rows, rows *rowBlocks) error {
	options := []ocf.WriterOpt{ocf.WithSchema(of.Text), ocf.WithBlockBytes(avroBlock), ocf.WithBlockCount(0)}
	if a.codec != nil {
		codec, err := a.codec()
		if err != nil {
			return err
		}
		options = append(options, ocf.WithCodec(codec))
	}
	if of.ID != "" {
		options = append(options, ocf.WithMetadata(map[string][]byte{schemaIDProperty: []byte(of.ID)}))
	}
	w, err := ocf.NewWriter(out, anySchema, options...)
	if err != nil {
		return err
	}
	err = rows.each(func(row []byte) error {
		_, err := w.Write(row)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}
