// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro/ocf"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

func readParquet(content []byte) ([]map[string]any, error) {
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

func readAvro(content []byte) (rows []map[string]any, err error) {
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

// entriesOfRows takes the records out of rows: the coordinates are columns
// beside the value, or in one of their own beside the value's fields, which
// are shown as JSON. A record without a value has none of them, or all null.
func entriesOfRows(rows []map[string]any, err error) ([]Entry, error) {
	var entries []Entry
	for _, row := range rows {
		var value any
		where := row
		if own, ok := row["_record"].(map[string]any); ok {
			where = own
			delete(row, "_record")
			if value = ""; hasValue(row) {
				text, err := json.Marshal(row)
				if err != nil {
					return entries, err
				}
				value = string(text)
			}
		} else {
			value = row["value"]
		}
		entries = append(entries, Entry{Stream: source.Stream{Name: fmt.Sprint(where["topic"]), Partition: int32(number(where["partition"]))},
			Offset: number(where["offset"]), Value: content(value)})
	}
	return entries, err
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
