// SPDX-License-Identifier: Apache-2.0

//go:build readers

// Package readers reads what the runner writes with libraries that share no
// code with it, and compares each value. It holds tests only.
package readers

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/registrytest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

//go:embed read.py
var script string

// testCase is a file, or several by a pattern, and what its rows are. Each
// value is what JSON has; others are objects of one member, as read.py says.
type testCase struct {
	Name   string   `json:"name"`
	Format string   `json:"format"`
	Path   string   `json:"path"`
	Rows   []any    `json:"rows"`
	Not    []string `json:"not,omitempty"` // readers that cannot read it
}

type object = map[string]any

var stream = source.Stream{Name: "orders", Partition: 3}

// read has all readers read the files of cases.
func read(t *testing.T, cases ...testCase) {
	t.Helper()
	input, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), needPython(t), "-c", script)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	compared := map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var result struct {
			Case, Reader string
			Wrong        *string
		}
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		compared[result.Case]++
		t.Run(result.Case+"/"+result.Reader, func(t *testing.T) {
			if result.Wrong != nil {
				t.Error(*result.Wrong)
			}
		})
	}
	for _, c := range cases {
		if compared[c.Name] == 0 {
			t.Errorf("%s: nobody has read it", c.Name)
		}
	}
}

// write makes a file of records and returns its path.
func write(t *testing.T, folder, format, compression string, rows *schema.Rows, records ...source.Record) string {
	t.Helper()
	s := settings.Default()
	s.File.Format, s.File.Compression = format, compression
	e, err := encode.NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	f := e.NewFile(encode.Place{Stream: stream, Rows: rows})
	if n, err := f.Append(records, math.MaxInt); err != nil || n != len(records) {
		t.Fatal(n, err)
	}
	var path string
	err = f.Write(func(name string, parts ...[]byte) error {
		path = filepath.Join(folder, fmt.Sprintf("%s-%s-%s", format, compression, filepath.Base(name)))
		return os.WriteFile(path, bytes.Join(parts, nil), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// schemaCases are files with payloads of a registry's schema: Parquet in each
// compression, and Avro.
func schemaCases(t *testing.T, name, kind, text string, want []any, payloads ...[]byte) []testCase {
	t.Helper()
	return casesAs(t, []string{"parquet none", "parquet snappy", "parquet gzip", "parquet zstd", "avro zstd"}, name, kind, text, want, payloads...)
}

// casesAs are schemaCases in some formats and compressions.
func casesAs(t *testing.T, formats []string, name, kind, text string, want []any, payloads ...[]byte) (cases []testCase) {
	t.Helper()
	for _, as := range formats {
		format, compression, _ := strings.Cut(as, " ")
		values := registrytest.Values(t, format, kind, text)
		var records []source.Record
		var rows *schema.Rows
		for i, payload := range payloads {
			r, value, err := values.Decode(nil, payload)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			rows = r
			records = append(records, source.Record{Offset: int64(i), Timestamp: 1700000000000, Key: []byte("k"), Value: value})
		}
		all := make([]any, len(want))
		for i := range want {
			all[i] = object{"_record": coordinates(int64(i))}
			for field, value := range want[i].(object) {
				all[i].(object)[field] = value
			}
		}
		cases = append(cases, testCase{Name: name + "/" + strings.ReplaceAll(as, " ", "-"), Format: format,
			Path: write(t, t.TempDir(), format, compression, rows, records...), Rows: all})
	}
	return cases
}

// notWithFastparquet leaves fastparquet out. Of any writer's files, pyarrow's
// too, it reads null where a column leaves its dictionary for lack of room, and
// it fails on numbers that are null behind columns that are nested.
func notWithFastparquet(cases []testCase) []testCase {
	for i := range cases {
		cases[i].Not = []string{"fastparquet"}
	}
	return cases
}

// coordinates are those of schemaCases' records.
func coordinates(offset int64) object {
	return object{"topic": "orders", "partition": 3, "offset": offset, "timestamp": object{"$micros": 1700000000000_000},
		"key": object{"$bytes": []byte("k")}, "headers": []any{}}
}
