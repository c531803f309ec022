// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// Postgres says which tables of a PostgreSQL database are read, and how the
// server is reached.
type Postgres struct {
	Host     string `env:"SPOUT_POSTGRES_HOST" attribute:"host" required:"true" address:"true" doc:"Host name or address of the primary server, for example ´db.example.com´. Of several, with commas between them, the first that can be reached and is not a standby is taken; they share one port."`
	Port     int    `env:"SPOUT_POSTGRES_PORT" attribute:"port" default:"5432" doc:"Port of the server. A connection pooler does not understand replication, so name the port of the server itself."`
	Database string `env:"SPOUT_POSTGRES_DATABASE" attribute:"database" required:"true" doc:"Database to read."`
	User     string `env:"SPOUT_POSTGRES_USER" attribute:"user" doc:"User name, if no secret holds it, for example with a client certificate. The user needs the attribute REPLICATION and SELECT on the tables. To make the publication of SPOUT_POSTGRES_TABLES, it must own them and have CREATE on the database."`

	Credentials    `attribute:"credentials_secret" prefix:"SPOUT_POSTGRES" doc:"Kubernetes secret with the user name and the password."`
	TLS            OptionalTLS `attribute:"tls" prefix:"SPOUT_POSTGRES_TLS" doc:"Use TLS, and check the server's certificate and name. ´{}´ trusts the system's authorities."`
	AllowCleartext bool        `env:"SPOUT_POSTGRES_ALLOW_CLEARTEXT_CREDENTIALS" attribute:"allow_cleartext_credentials" default:"false" doc:"Whether the password may be given to a server that asks for it in clear or as MD5 on a connection without SPOUT_POSTGRES_TLS. Everybody on the way can take it then. Without this, the runner logs in by SCRAM only, which sends no password. To this machine, anything is allowed."`

	Tables      []string `env:"SPOUT_POSTGRES_TABLES" attribute:"tables" set:"true" doc:"Tables to read, as ´schema.table´, or ´table´ in the schema ´public´. The runner makes a publication of them, called as the slot, and changes it when this list does. A partitioned table is read as one. Set either this or SPOUT_POSTGRES_PUBLICATION."`
	Publication string   `env:"SPOUT_POSTGRES_PUBLICATION" attribute:"publication" doc:"Publication to read, which somebody else has made: with its tables, columns, filters and kinds of changes. Tables that it gets later are read from then on."`
	Slot        string   `env:"SPOUT_POSTGRES_SLOT" attribute:"slot" required:"true" doc:"Name of the replication slot, of lower-case letters, digits and underscores. The runner makes it. It belongs to this spout alone: while it exists, the server keeps all WAL that was not read."`

	Snapshot     string   `env:"SPOUT_POSTGRES_SNAPSHOT" attribute:"snapshot" default:"initial" doc:"Whether the rows that a table holds when it is first read are copied, as changes called ´read´." values:"initial: each table is copied once, before its changes. One copy after the other, each whole in a commit|never: only changes are read"`
	OnReset      string   `env:"SPOUT_POSTGRES_ON_RESET" attribute:"on_reset" default:"stop" doc:"What to do when the database, the server or the slot is not the one that was read, so that changes may be missing: it was made again, restored, moved on by someone else, or has lost its WAL." values:"stop: the runner stops, with both positions in its message|restart: it makes the slot again, and copies all tables again as SPOUT_POSTGRES_SNAPSHOT says"`
	Shape        string   `env:"SPOUT_POSTGRES_SHAPE" attribute:"shape" doc:"What a value in ´jsonl´, ´lines´ and ´raw´ files is. Left out, ´flat´ in ´jsonl´, and ´debezium´ in the others, which do not say otherwise what has become of a row. ´avro´ and ´parquet´ files always have the table's own columns, and one called ´_record´." values:"flat: an object of the row's columns|debezium: Debezium's envelope, with ´before´, ´after´, ´source´, ´op´ and ´ts_ms´"`
	IdleInterval Duration `env:"SPOUT_POSTGRES_IDLE_INTERVAL" attribute:"idle_interval" default:"5m" doc:"How long the slot may stand still while only others write to the server. Then a commit without records moves it on, so that the server can drop its WAL. It also comes after 256 MiB of WAL."`
}

func (p Postgres) largestBatch() Bytes { return 0 }

// left implements leaving.
func (p Postgres) left() Left {
	l := Left{What: fmt.Sprintf("the replication slot %s of the database %s at %s, for which the server keeps all WAL that is not read", p.Slot, p.Database, p.Host),
		Command: "SELECT pg_drop_replication_slot('" + p.Slot + "');"}
	if p.OwnsPublication() {
		l.What += ", and the publication of the same name"
		l.Command += ` DROP PUBLICATION IF EXISTS "` + p.Slot + `";`
	}
	return l
}

// Name is the user to log in as.
func (p Postgres) Name() string {
	if p.Username != "" {
		return p.Username
	}
	return p.User
}

// OwnsPublication says whether the publication is the runner's own.
func (p Postgres) OwnsPublication() bool { return p.Publication == "" }

// PublicationName is the publication that is read.
func (p Postgres) PublicationName() string {
	if p.OwnsPublication() {
		return p.Slot
	}
	return p.Publication
}

// PostgresTable takes the text of a table apart. It is not ok if there is none.
func PostgresTable(text string) (schema, table string, ok bool) {
	schema, table, found := strings.Cut(text, ".")
	if !found {
		schema, table = "public", text
	}
	plausible := func(name string) bool { return name != "" && len(name) <= 63 && !strings.ContainsRune(name, 0) }
	return schema, table, plausible(schema) && plausible(table)
}

// PostgresStream names the stream of a table. Dots within the names are %2E, so
// that no two tables have one name. In paths other characters are escaped, too.
func PostgresStream(schema, table string) string {
	return streamEscapes.Replace(schema) + "." + streamEscapes.Replace(table)
}

var streamEscapes = strings.NewReplacer(".", "%2E", "%", "%25")

func (p Postgres) streams() streams {
	s := streams{others: p.Publication != "", variables: []string{"SPOUT_POSTGRES_TABLES"}}
	for _, text := range p.Tables {
		schema, table, _ := PostgresTable(text)
		s.names = append(s.names, PostgresStream(schema, table))
	}
	return s
}

var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

func (p Postgres) validate(all Settings) (list Problems) {
	for _, host := range p.Hosts() {
		if host == "" || strings.ContainsAny(host, "/@ ") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			list.add("SPOUT_POSTGRES_HOST", p.Host, "must be a host name or address, such as db.example.com, or several with commas between them, without a port, user or password")
			break
		}
	}
	if p.Port < 1 || p.Port > 65535 {
		list.add("SPOUT_POSTGRES_PORT", strconv.Itoa(p.Port), "must be a port from 1 to 65535")
	}
	if p.Database == "" {
		list.add("SPOUT_POSTGRES_DATABASE", "", "must name the database to read")
	}
	if !slotName.MatchString(p.Slot) {
		list.add("SPOUT_POSTGRES_SLOT", p.Slot, "must be 1 to 63 lower-case letters, digits and underscores, such as pachyderm_orders")
	}
	list = append(list, p.validateTables()...)
	if p.IdleInterval.Std() < time.Second && p.IdleInterval.Std() != 0 || p.IdleInterval.Std() < 0 {
		list.add("SPOUT_POSTGRES_IDLE_INTERVAL", p.IdleInterval.String(), "must be at least 1s")
	}
	if !all.File.HasRows() && all.File.Format != "jsonl" && p.Shape == "flat" {
		list.add("SPOUT_FILE_FORMAT", all.File.Format, "does not say what has become of a row: take jsonl, avro or parquet, or set SPOUT_POSTGRES_SHAPE to debezium", "SPOUT_POSTGRES_SHAPE")
	}
	if all.File.HasRows() && p.Shape != "" {
		list.add("SPOUT_POSTGRES_SHAPE", p.Shape, "is for jsonl, lines and raw; leave it out, since SPOUT_FILE_FORMAT is "+all.File.Format, "SPOUT_FILE_FORMAT")
	}
	if all.SchemaRegistry.URL != "" {
		list.add("SPOUT_SCHEMA_REGISTRY_URL", all.SchemaRegistry.URL, "is for values that were made with a schema registry; the database has its own schemas, so leave the registry out", "SPOUT_SOURCE")
	}
	return append(list, p.TLS.validate("SPOUT_POSTGRES_TLS")...)
}

// validateTables checks which tables are named.
func (p Postgres) validateTables() (list Problems) {
	switch {
	case len(p.Tables) == 0 && p.Publication == "":
		list.add("SPOUT_POSTGRES_TABLES", "", "must name at least one table, or SPOUT_POSTGRES_PUBLICATION a publication", "SPOUT_POSTGRES_PUBLICATION")
	case len(p.Tables) > 0 && p.Publication != "":
		list.add("SPOUT_POSTGRES_PUBLICATION", p.Publication, "cannot be set together with SPOUT_POSTGRES_TABLES; set one of the two", "SPOUT_POSTGRES_TABLES")
	}
	if len(p.Publication) > 63 {
		list.add("SPOUT_POSTGRES_PUBLICATION", p.Publication, "is longer than the 63 bytes that a name may have")
	}
	var seen []string
	for _, text := range p.Tables {
		schema, table, ok := PostgresTable(text)
		name := schema + "." + table
		switch {
		case !ok:
			list.add("SPOUT_POSTGRES_TABLES", text, "must be schema.table or table, each of at most 63 bytes")
		case slices.Contains(seen, name):
			list.add("SPOUT_POSTGRES_TABLES", text, "is there twice; name each table once")
		}
		seen = append(seen, name)
	}
	return list
}

func (p Postgres) validateSecrets() (list Problems) {
	switch {
	case p.Username != "" && p.User != "":
		list.add("SPOUT_POSTGRES_USER", p.User, "cannot be set together with SPOUT_POSTGRES_USERNAME of a secret; set one of the two", "SPOUT_POSTGRES_USERNAME")
	case p.Name() == "":
		list.add("SPOUT_POSTGRES_USER", "", "must be set, or SPOUT_POSTGRES_USERNAME come from a Kubernetes secret", "SPOUT_POSTGRES_USERNAME")
	}
	return append(list, p.TLS.validateSecrets("SPOUT_POSTGRES_TLS")...)
}

// Hosts are those of which one is the primary.
func (p Postgres) Hosts() []string { return strings.Split(p.Host, ",") }

// MayShowPassword says whether the server may be given the password.
func (p Postgres) MayShowPassword() bool { return p.TLS.Enabled || p.AllowCleartext || p.isLocal() }

// isLocal says whether all servers are on this machine.
func (p Postgres) isLocal() bool {
	return !slices.ContainsFunc(p.Hosts(), func(host string) bool { return !address.IsLoopback(net.JoinHostPort(host, strconv.Itoa(p.Port))) })
}

func (p Postgres) exposures() []exposure {
	if p.TLS.Enabled || p.Host == "" || p.isLocal() {
		return nil
	}
	e := exposure{variable: "SPOUT_POSTGRES_HOST", value: address.Redacted(p.Host), fix: "use TLS (SPOUT_POSTGRES_TLS)", with: []string{"SPOUT_POSTGRES_TLS"},
		what: "is reached without TLS, so that everybody on the way can read the rows"}
	if p.AllowCleartext {
		e.what = "may ask for the password without TLS, so that everybody on the way can take it and read the rows"
		e.with = append(e.with, "SPOUT_POSTGRES_ALLOW_CLEARTEXT_CREDENTIALS")
	}
	return []exposure{e}
}
