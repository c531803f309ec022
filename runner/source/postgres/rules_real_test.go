// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// Rows of tables are filtered, masked and filed by what is in their columns, and
// so are the rows before and the text of what columns cannot hold.
func TestRulesOfRows(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"parquet", "avro"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			database, conn := newDatabase(t)
			run(t, conn, `CREATE TABLE t (id int PRIMARY KEY, at timestamptz, price numeric(10,2), mail text, "e mail" text, due date, gone text)`, "ALTER TABLE t REPLICA IDENTITY FULL")
			s := configure(database, "t")
			s.File.Format = format
			var err error
			if s.Record.Filter, err = settings.ParseFilter("value:price != 5.00"); err != nil {
				t.Fatal(err)
			}
			if s.File.Path, err = settings.ParsePathTemplate("{value:at|day}/{value:mail}/{value:due}/{first_ordinal}.{ext}"); err != nil {
				t.Fatal(err)
			}
			s.Record.Fields, s.Record.Mask = []string{"id", "at", "price", "mail", "e mail", "due", "_text"}, []string{"mail=redact", "e mail=hash", "due=redact"}
			r := start(t, s)
			run(t, conn, `INSERT INTO t VALUES (1, '2024-05-03T23:30:00-02:00', 12.30, 'a@example.com', 'b@example.com', 'infinity', 'x')`,
				"INSERT INTO t VALUES (2, '2024-05-03', 5, 'c@example.com', NULL, NULL, 'x')", "UPDATE t SET price = 7 WHERE id = 1")
			replay, err := ingest.NewReplay(s, hclog.NewNullLogger())
			if err != nil {
				t.Fatal(err)
			}
			var rows, paths []string
			seen := 0
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for seen < 3 {
				chunk, err := r.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				seen += len(chunk.Records)
				if len(chunk.Records) > 0 && chunk.Schema == nil {
					t.Fatal("no rows")
				}
				err = replay.Files(ctx, chunk, func(path string, content []byte) error {
					read, err := encode.ReadFile(s.Layout(), path, content)
					for _, one := range read {
						rows = append(rows, fmt.Sprintf("%d %s", one.Offset, one.Value))
					}
					paths = append(paths, path)
					for _, secret := range []string{"example.com", "infinity"} {
						if strings.Contains(string(content), secret) {
							t.Errorf("%s holds %s", path, secret)
						}
					}
					return err
				})
				r.Consume(chunk, len(chunk.Records))
				chunk.Release()
				if err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(paths)
			if got := strings.Join(paths, " "); !strings.HasPrefix(got, "/2024-05-04/%2A%2A%2A/__HIVE_DEFAULT_PARTITION__/") || strings.Contains(got, "05-03") {
				t.Error(got)
			}
			if len(rows) != 2 || !strings.Contains(rows[0], `"mail":"***"`) || strings.Contains(rows[0], `"gone"`) || !strings.Contains(rows[0], `"due":null`) || !strings.Contains(rows[0], `"_text":{"due":"`) || !strings.Contains(rows[1], "_before") {
				t.Error(strings.Join(rows, "\n"))
			}
		})
	}
}
