// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Read is a record as a file has it.
type Read struct {
	Stream  source.Stream
	Offset  int64 // -1 where the file's format does not show it
	Value   string
	Refused bool // it is a dead letter
}

// ReadFile reads the records of a file, whose kind the ending of its name tells,
// of a source with that layout. What has no coordinates inside must have them
// in its path, as the layout's default path does.
func ReadFile(l settings.Layout, path string, content []byte) ([]Read, error) {
	name, content, err := unpacked(path, content)
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		if strings.HasSuffix(name, "."+k.extension) {
			return k.read(l, name, content)
		}
	}
	if k, ok := kindByContent(content); ok {
		return k.read(l, name, content)
	}
	return nil, fmt.Errorf("unknown kind of file")
}

// kindByContent is the kind of a file whose name does not tell it: a path need
// not end in its format.
func kindByContent(content []byte) (k kind, ok bool) {
	for name, begin := range map[string]string{"parquet": "PAR1", "avro": "Obj\x01", "jsonl": "{"} {
		if bytes.HasPrefix(content, []byte(begin)) {
			k, err := kindNamed(name)
			return k, err == nil
		}
	}
	return kind{}, false
}

func unpacked(path string, content []byte) (name string, plain []byte, err error) {
	name, gzipped := strings.CutSuffix(path, ".gz")
	if gzipped || isNameless(path) && bytes.HasPrefix(content, []byte("\x1f\x8b")) {
		r, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return "", nil, fmt.Errorf("gzip: %w", err)
		}
		plain, err = io.ReadAll(r)
		return name, plain, err
	}
	name, compressed := strings.CutSuffix(path, ".zst")
	if compressed || isNameless(path) && bytes.HasPrefix(content, []byte("\x28\xb5\x2f\xfd")) {
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return "", nil, fmt.Errorf("zstd: %w", err)
		}
		defer r.Close()
		plain, err = r.DecodeAll(content, nil)
		return name, plain, err
	}
	return path, content, nil
}

// isNameless says whether a path does not end in a format.
func isNameless(path string) bool {
	for _, k := range kinds {
		if strings.HasSuffix(path, "."+k.extension) {
			return false
		}
	}
	return true
}

func readJSONLines(l settings.Layout, _ string, content []byte) ([]Read, error) {
	var records []Read
	for line := range bytes.Lines(content) {
		r, err := readJSONLine(l, line)
		if err != nil {
			return records, fmt.Errorf("line %d: %w", len(records)+1, err)
		}
		records = append(records, r)
	}
	return records, nil
}

func readJSONLine(l settings.Layout, line []byte) (r Read, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return r, err
	}
	for name, to := range map[string]any{l.Stream: &r.Stream.Name, l.Offset: &r.Offset, l.Partition: &r.Stream.Partition} {
		if name == "" {
			continue
		}
		if err := json.Unmarshal(members[name], to); err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	_, r.Refused = members["reason"]
	r.Value = string(members["value"])
	if text, ok := members["value_base64"]; ok {
		var value []byte
		if err := json.Unmarshal(text, &value); err != nil {
			return r, fmt.Errorf("value_base64: %w", err)
		}
		r.Value = string(value)
	}
	return r, nil
}

func readLines(l settings.Layout, path string, content []byte) ([]Read, error) {
	stream, _, err := coordinatesIn(l, path)
	if err != nil {
		return nil, err
	}
	var records []Read
	for line := range bytes.Lines(content) {
		records = append(records, Read{Stream: stream, Offset: -1, Value: string(bytes.TrimSuffix(line, []byte("\n")))})
	}
	return records, nil
}

func readRaw(l settings.Layout, path string, content []byte) ([]Read, error) {
	stream, offset, err := coordinatesIn(l, path)
	return []Read{{Stream: stream, Offset: offset, Value: string(content)}}, err
}

// coordinatesIn takes the stream and the first offset from a path,
// /STREAM/PARTITION/…/FIRST…, without the partition where there are none.
func coordinatesIn(l settings.Layout, path string) (stream source.Stream, first int64, err error) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	name, folders := parts[len(parts)-1], 1
	if l.Partition != "" {
		folders = 2
	}
	if len(parts) < folders+1 || len(name) < 20 {
		return stream, 0, fmt.Errorf("its path is not like %s", l.DefaultPath())
	}
	var partition int64
	if l.Partition != "" {
		partition, err = strconv.ParseInt(parts[1], 10, 32)
	}
	if err == nil {
		first, err = strconv.ParseInt(name[:20], 10, 64)
	}
	if err != nil {
		return stream, 0, fmt.Errorf("its path is not like %s: %w", l.DefaultPath(), err)
	}
	return source.Stream{Name: parts[0], Partition: int32(partition)}, first, nil
}
