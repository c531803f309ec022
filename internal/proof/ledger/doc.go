// SPDX-License-Identifier: Apache-2.0

// Package ledger writes random transactions into a few tables of PostgreSQL,
// and rebuilds the tables from what a spout has written of them, commit by
// commit: they must be the same, and no commit may hold a part of a
// transaction.
//
// What happened is known without a look at the log that the spout reads: each
// transaction says in a row of the journal how many other rows it changes.
package ledger

import positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"

// Reached says whether so many transactions, all that there are, are whole
// before a position. If they are only in the copy of the journal, changes of
// other tables that were copied earlier may still come: one more transaction
// then has the position follow.
func Reached(p *positions.Position, transactions int64) (all, oneMore bool) {
	journal := p.Tables["public.journal"]
	if journal == nil || journal.Next < transactions {
		return false, false
	}
	for _, relation := range p.Relations {
		if p.LSN < relation.Copied {
			return false, true
		}
	}
	return true, false
}

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
