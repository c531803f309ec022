// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"slices"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// kind is a format of files: how its files are written, and how they are read
// again by whoever audits them. Each has one of text, rows and each.
type kind struct {
	name        string // of SPOUT_FILE_FORMAT
	extension   string
	coordinates bool // a record's are in the file, and not only in its path

	text func(settings.Settings) format                                           // one record after the other
	rows func(compression string, budget settings.Bytes) (containerWriter, error) // rows with a schema, compressed inside
	each bool                                                                     // a file for each record

	columns bool // rows are taken apart into columns

	read func(l settings.Layout, where coordinatesOf, path string, content []byte) ([]Read, error)
}

// kinds are all formats. Dead letters are jsonl, too.
var kinds = []kind{
	{name: "lines", extension: "txt", text: func(settings.Settings) format { return format{fill: fillLines, most: mostLine} }, read: readLines},
	{name: "jsonl", extension: "jsonl", coordinates: true, text: func(s settings.Settings) format { return format{fill: newJSONFiles(s).fill, most: mostJSON} }, read: readJSONLines},
	{name: "raw", extension: "bin", each: true, read: readRaw},
	{name: "avro", extension: "avro", coordinates: true, rows: avroCodec, read: readAvro},
	{name: "parquet", extension: "parquet", coordinates: true, rows: newParquetFiles, columns: true, read: readParquet},
}

func kindNamed(name string) (kind, error) {
	at := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if at < 0 {
		return kind{}, fmt.Errorf("unknown format %q", name)
	}
	return kinds[at], nil
}

// ShowsCoordinates says whether files of a format tell by themselves which
// record is which.
func ShowsCoordinates(format string) bool {
	k, err := kindNamed(format)
	return err == nil && k.coordinates
}
