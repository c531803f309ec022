// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro/ocf"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

func readAvro(l settings.Layout, _ string, content []byte) ([]Read, error) {
	rows, err := avroRows(content)
	return recordsOfRows(l, rows, err)
}

func readParquet(l settings.Layout, _ string, content []byte) ([]Read, error) {
	rows, err := parquetRows(content)
	return recordsOfRows(l, rows, err)
}

func parquetRows(content []byte) ([]map[string]any, error) {
	list, err := parquet.Read[any](bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	rows := make([]map[string]any, 0, len(list))
	for _, v := range list {
		row, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("a row is a %T", v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func avroRows(content []byte) (rows []map[string]any, err error) {
	r, err := ocf.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("avro: %w", err)
	}
	defer r.Close() //nolint:errcheck // it reads memory
	for {
		var row map[string]any
		if err := r.Decode(&row); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return rows, fmt.Errorf("avro: %w", err)
		}
		rows = append(rows, row)
	}
}

// recordsOfRows takes the records out of rows: the coordinates are columns
// beside the value, or in one of their own beside the value's fields, which
// are shown as JSON. A record without a value has none of them, or all null.
func recordsOfRows(l settings.Layout, rows []map[string]any, err error) ([]Read, error) {
	var records []Read
	for _, row := range rows {
		var value any
		where := row
		if own, ok := row["_record"].(map[string]any); ok {
			where = own
			delete(row, "_record")
			key := row["_key"]
			delete(row, "_key")
			if value = ""; hasValue(row) || key != nil {
				if !hasValue(row) { // which columns it has then is by chance
					clear(row)
				}
				if key != nil {
					row["_key"] = key
				}
				value = textOfRow(row)
			}
		} else {
			value = row["value"]
		}
		r := Read{Stream: source.Stream{Name: fmt.Sprint(where[l.Stream])}, Offset: number(where[l.Offset]), Value: content(value)}
		if l.Partition != "" {
			r.Stream.Partition = int32(number(where[l.Partition]))
		}
		records = append(records, r)
	}
	return records, err
}

// textOfRow is a row as JSON or, where that has no numbers for it, as text.
func textOfRow(row map[string]any) string {
	text, err := json.Marshal(row)
	if err != nil {
		return fmt.Sprint(row)
	}
	return string(text)
}

func hasValue(fields map[string]any) bool {
	for _, v := range fields {
		if v != nil {
			return true
		}
	}
	return false
}

func number(v any) int64 {
	if n := reflect.ValueOf(v); n.IsValid() && n.CanInt() {
		return n.Int()
	}
	return -1
}

func content(v any) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case string:
		return v
	}
	return ""
}
