// SPDX-License-Identifier: Apache-2.0

// Package ledger writes random transactions into a few tables of PostgreSQL,
// and rebuilds the tables from what a spout has written of them, commit by
// commit: they must be the same, and no commit may hold a part of a
// transaction.
//
// What happened is known without a look at the log that the spout reads: each
// transaction says in a row of the journal how many other rows it changes.
package ledger

// Tables are those that are written.
var Tables = []string{"account", "line", "journal"}

// schema makes them. Notes are stored apart from their rows, so that updates of
// other columns leave them out.
var schema = []string{
	"CREATE TABLE account (id bigint PRIMARY KEY, balance numeric(12,2) NOT NULL, note text, changed timestamptz)",
	"ALTER TABLE account ALTER note SET STORAGE EXTERNAL",
	"CREATE TABLE line (account bigint, n int, item text, tags text[], PRIMARY KEY (account, n))",
	"CREATE TABLE journal (id bigint PRIMARY KEY, changes int NOT NULL)",
}
