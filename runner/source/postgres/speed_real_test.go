// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// BenchmarkChanges reads rows that were inserted in transactions of a hundred,
// and BenchmarkDropped has another client drop them: what lies between is what
// the source takes.
func BenchmarkChanges(b *testing.B) {
	for _, size := range []int{100, 1000} {
		for _, format := range []string{"jsonl", "parquet"} {
			b.Run(fmt.Sprintf("%d bytes, %s", size, format), func(b *testing.B) {
				database, conn := newDatabase(b)
				run(b, conn, "CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE PUBLICATION slot_"+database+" FOR TABLE t", "SELECT pg_create_logical_replication_slot('slot_"+database+"', 'pgoutput')")
				for n := 0; n < b.N; n += 100 {
					run(b, conn, fmt.Sprintf("INSERT INTO t SELECT n, repeat('x', %d) FROM generate_series(%d, %d) n", size, n, min(n+99, b.N-1)))
				}
				s := configure(database, "t")
				s.Postgres.Snapshot, s.File.Format = "never", format
				r := newReader(b, s).mustOpen(nil)
				b.SetBytes(int64(size))
				b.ResetTimer()
				for n := 0; n < b.N; {
					chunk, err := r.Next(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					n += len(chunk.Records)
					r.Consume(chunk, len(chunk.Records))
					chunk.Release()
				}
				b.StopTimer()
				r.Close() //nolint:errcheck // it is read
			})
		}
	}
}

func BenchmarkDropped(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			database, conn := newDatabase(b)
			run(b, conn, "CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE PUBLICATION p FOR TABLE t", "SELECT pg_create_logical_replication_slot('slot_"+database+"', 'pgoutput')")
			for n := 0; n < b.N; n += 100 {
				run(b, conn, fmt.Sprintf("INSERT INTO t SELECT n, repeat('x', %d) FROM generate_series(%d, %d) n", size, n, min(n+99, b.N-1)))
			}
			config, err := pgconn.ParseConfig(shared.URL(database))
			if err != nil {
				b.Fatal(err)
			}
			config.RuntimeParams["replication"] = "database"
			c, err := pgconn.ConnectConfig(b.Context(), config)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ResetTimer()
			c.Frontend().SendQuery(&pgproto3.Query{String: "START_REPLICATION SLOT slot_" + database + " LOGICAL 0/0 (proto_version '1', publication_names 'p')"})
			if err := c.Frontend().Flush(); err != nil {
				b.Fatal(err)
			}
			for n := 0; n < b.N; {
				m, err := c.ReceiveMessage(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if m, ok := m.(*pgproto3.CopyData); ok && len(m.Data) > 25 && m.Data[0] == 'w' && m.Data[25] == 'I' {
					n++
				}
			}
			b.StopTimer()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			c.Close(ctx) //nolint:errcheck // it is read
		})
	}
}
