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

// Decode reads files by the ending of their names: .txt (lines, with the
// default path template) and .jsonl, each also with .gz or .zst.
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
		entries = append(entries, Entry{source.Stream{Topic: r.Topic, Partition: r.Partition}, r.Offset, value})
	}
	return entries, nil
}

// decodeLines takes the stream from the path, /TOPIC/PARTITION/FIRST-LAST.txt.
func decodeLines(path string, content []byte) ([]Entry, error) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) != 3 {
		return nil, fmt.Errorf("its path is not TOPIC/PARTITION/FIRST-LAST")
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("its path shows no partition: %w", err)
	}
	stream := source.Stream{Topic: parts[0], Partition: int32(partition)}
	var entries []Entry
	for line := range bytes.Lines(content) {
		entries = append(entries, Entry{stream, -1, string(bytes.TrimSuffix(line, []byte("\n")))})
	}
	return entries, nil
}
