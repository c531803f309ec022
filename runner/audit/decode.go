// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Decode reads files by the ending of their names: .avro, .parquet, .jsonl
// (dead letters too), .txt (lines) and .bin (raw), the last three also with .gz
// or .zst. The paths of the last two must begin with {topic}/{partition}/, and their names with
// {first_offset}.
func Decode(path string, content []byte) ([]Entry, error) {
	name, content, err := decompress(path, content)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.HasSuffix(name, ".jsonl"):
		return decodeJSONL(content)
	case strings.HasSuffix(name, ".txt"):
		return decodeLines(name, content)
	case strings.HasSuffix(name, ".avro"):
		return entriesOfRows(readAvro(content))
	case strings.HasSuffix(name, ".parquet"):
		return entriesOfRows(readParquet(content))
	case strings.HasSuffix(name, ".bin"):
		stream, offset, err := coordinates(name)
		return []Entry{{Stream: stream, Offset: offset, Value: string(content)}}, err
	}
	return nil, fmt.Errorf("unknown kind of file")
}

func decompress(path string, content []byte) (name string, plain []byte, err error) {
	if name, ok := strings.CutSuffix(path, ".gz"); ok {
		r, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return "", nil, fmt.Errorf("gzip: %w", err)
		}
		plain, err = io.ReadAll(r)
		return name, plain, err
	}
	if name, ok := strings.CutSuffix(path, ".zst"); ok {
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

func decodeJSONL(content []byte) ([]Entry, error) {
	var entries []Entry
	for line := range bytes.Lines(content) {
		var r struct {
			Topic     string          `json:"topic"`
			Partition int32           `json:"partition"`
			Offset    int64           `json:"offset"`
			Value     json.RawMessage `json:"value"`
			Base64    *string         `json:"value_base64"`
			Reason    *string         `json:"reason"` // of a dead letter
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return entries, fmt.Errorf("line %d: %w", len(entries)+1, err)
		}
		value := string(r.Value)
		if r.Base64 != nil {
			b, err := base64.StdEncoding.DecodeString(*r.Base64)
			if err != nil {
				return entries, fmt.Errorf("line %d: %w", len(entries)+1, err)
			}
			value = string(b)
		}
		entry := Entry{Stream: source.Stream{Name: r.Topic, Partition: r.Partition}, Offset: r.Offset, Value: value}
		if r.Reason != nil {
			entry.Fate = DeadLettered
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func decodeLines(path string, content []byte) ([]Entry, error) {
	stream, _, err := coordinates(path)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for line := range bytes.Lines(content) {
		entries = append(entries, Entry{Stream: stream, Offset: -1, Value: string(bytes.TrimSuffix(line, []byte("\n")))})
	}
	return entries, nil
}

// coordinates takes the stream and the first offset from a path,
// /TOPIC/PARTITION/…/FIRST….
func coordinates(path string) (stream source.Stream, first int64, err error) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	name := parts[len(parts)-1]
	if len(parts) < 3 || len(name) < 20 {
		return stream, 0, fmt.Errorf("its path is not like TOPIC/PARTITION/FIRST-LAST")
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	if err == nil {
		first, err = strconv.ParseInt(name[:20], 10, 64)
	}
	if err != nil {
		return stream, 0, fmt.Errorf("its path is not like TOPIC/PARTITION/FIRST-LAST: %w", err)
	}
	return source.Stream{Name: parts[0], Partition: int32(partition)}, first, nil
}
