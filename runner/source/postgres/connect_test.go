// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestRefusalsSayWhatToDo: each refusal of a login stops the runner, and its
// message has the server's own words and the fix.
func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	s := settings.Default().Postgres
	s.Host, s.Database, s.User = "db.example.com", "shop", "spout"
	v := newServer(s, 1<<20)
	for code, want := range map[string][]string{
		codeBadPassword: {"the user spout", "SPOUT_POSTGRES_PASSWORD"},
		codeNoAccess:    {"the user spout", "pg_hba.conf", "the database shop", "physical replication only", "LOGIN"},
		codeNoDatabase:  {"SPOUT_POSTGRES_DATABASE"},
		codeNoRight:     {`ALTER ROLE "spout" REPLICATION`},
	} {
		err := v.explained(&pgconn.PgError{Code: code, Message: "the server's own words"})
		if !source.IsStop(err) {
			t.Errorf("%s does not stop the runner: %v", code, err)
		}
		for _, part := range append(want, "db.example.com", "the server's own words") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in %v", code, part, err)
			}
		}
	}
}
