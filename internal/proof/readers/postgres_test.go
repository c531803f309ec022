// SPDX-License-Identifier: Apache-2.0

//go:build readers && linux

package readers

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/postgrescluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres"
)

// column is a column of a table: a value as SQL, and what readers of rows and of
// JSON should find.
type column struct {
	name, typ, sql string
	row, json      any // of rows; of JSON, if it differs
}

func dec(text string) object { return object{"$decimal": text} }
func raw(b ...byte) object   { return object{"$bytes": append([]byte{}, b...)} }
func micro(n int64) object   { return object{"$micros": n} }
func day(text string) object { return object{"$date": text} }
func large() object          { return object{"$repeat": []any{"x", 10000}} }

// kinds has a column of each type that the guide names.
var kinds = []column{
	{"id", "int PRIMARY KEY", "1", 1, nil}, {"truth", "boolean", "true", true, nil}, {"si", "smallint", "-32768", -32768, nil},
	{"bi", "bigint", "9007199254740993", int64(9007199254740993), nil}, {"o", "oid", "4294967295", int64(4294967295), nil},
	{"re", "real", "1.5", 1.5, nil}, {"dp", "double precision", "0.1::float8 + 0.2", 0.30000000000000004, nil},
	{"n10", "numeric(10,2)", "-12345678.90", dec("-12345678.90"), "-12345678.90"}, {"n38", "numeric(38,10)", "-0.0000000001", dec("-1e-10"), "-0.0000000001"},
	{"nines", "numeric(38,0)", strings.Repeat("9", 38), dec(strings.Repeat("9", 38)), strings.Repeat("9", 38)},
	{"n39", "numeric(39,1)", "1.5", "1.5", nil}, {"n", "numeric", "1e50", "1" + strings.Repeat("0", 50), nil},
	{"by", "bytea", `'\x00ff10'`, raw(0, 0xff, 0x10), "AP8Q"}, {"none", "bytea", "''", raw(), ""},
	{"da", "date", "'0001-01-01'", day("0001-01-01"), "0001-01-01"}, {"last", "date", "'9999-12-31'", day("9999-12-31"), "9999-12-31"},
	{"ti", "time", "'12:34:56.789'", micro(45296789000), "12:34:56.789"}, {"tt", "timetz", "'12:00:00+02'", "12:00:00+02", nil},
	{"ts", "timestamp", "'2026-01-31 12:34:56.000001'", micro(1769862896000001), "2026-01-31T12:34:56.000001"},
	{"tz", "timestamptz", "'2026-01-31 12:34:56.25+05:30'", micro(1769843096250000), "2026-01-31T07:04:56.25Z"},
	{"old", "timestamptz", "'0001-01-01 00:00:00+00'", micro(-62135596800000000), "0001-01-01T00:00:00Z"},
	{"new", "timestamp", "'9999-12-31 23:59:59.999998'", micro(253402300799999998), "9999-12-31T23:59:59.999998"},
	{"iv", "interval", "'1 year 2 mons -3 days 04:05:06.7'", "P1Y2M-3DT4H5M6.7S", nil},
	{"uu", "uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", object{"$uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{"js", "json", `'{"a" : [1,  2]}'`, `{"a" : [1,  2]}`, nil}, {"jb", "jsonb", `'{"b":null}'`, `{"b": null}`, nil}, {"mo", "mood", "'happy'", "happy", nil},
	{"rg", "int4range", "'[1,5)'", "[1,5)", nil}, {"tr", "tstzrange", "'[2026-01-01 00:00:00+00,)'", `["2026-01-01 00:00:00+00",)`, nil},
	{"ip", "inet", "'10.0.0.1/8'", "10.0.0.1/8", nil}, {"pt", "point", "'(1,2)'", "(1,2)", nil}, {"pa", "pair", "ROW(1,'x')::pair", "(1,x)", nil},
	{"pr", "price", "12.5", dec("12.50"), "12.50"}, {"tx", "text", `E'ü\n"\\\t'||chr(1)`, "ü\n\"\\\t\x01", nil}, {"nu", "text", "NULL", nil, nil},
	{"ia", "int[]", "'{1,NULL,3}'", []any{1, nil, 3}, nil}, {"ea", "bigint[]", "'{}'", []any{}, nil}, {"ta", "text[]", `ARRAY['a,b','"q"','NULL',NULL,'']`, []any{"a,b", `"q"`, "NULL", nil, ""}, nil},
	{"na", "numeric(5,1)[]", "'{1.5,-2}'", []any{dec("1.5"), dec("-2.0")}, []any{"1.5", "-2.0"}}, {"ba", "bytea[]", `ARRAY['\x01'::bytea]`, []any{raw(1)}, []any{"AQ=="}},
	{"za", "timestamptz[]", "ARRAY['2026-01-31 00:00:00+00'::timestamptz]", []any{micro(1769817600000000)}, []any{"2026-01-31T00:00:00Z"}},
	{"la", "text", "repeat('x', 10000)", large(), nil},
}

// odd has values that the columns cannot hold.
var odd = []column{
	{"id", "int PRIMARY KEY", "1", 1, nil}, {"da", "date", "'infinity'", "!infinity", nil}, {"bc", "date", "'0044-03-15 BC'", "!0044-03-15 BC", nil}, {"ti", "time", "'24:00:00'", "!24:00:00", nil},
	{"ts", "timestamp", "'-infinity'", "!-infinity", nil}, {"tb", "timestamp", "'0001-01-01 00:00:00 BC'", "!0001-01-01 00:00:00 BC", nil}, {"tz", "timestamptz", "'12026-01-31 00:00:00+00'", "!12026-01-31 00:00:00+00", nil},
	{"nn", "numeric(10,2)", "'NaN'", "!NaN", nil}, {"ia", "int[]", "'{{1,2},{3,4}}'", "!{{1,2},{3,4}}", []any{[]any{1, 2}, []any{3, 4}}}, {"ib", "int[]", "'[0:1]={1,2}'", "![0:1]={1,2}", "[0:1]={1,2}"},
	{"re", "real", "'NaN'", object{"$nan": true}, "NaN"}, {"dp", "double precision", "'-Infinity'", object{"$inf": -1}, "-Infinity"},
}

// names has names that Avro or this program take for themselves.
var names = []column{
	{"id", "int PRIMARY KEY", "1", 1, nil}, {`"a-b"`, "text", "'dash'", "dash", nil}, {`"a b"`, "text", "'blank'", "blank", nil}, {`"Größe"`, "int", "5", 5, nil}, {`"1st"`, "int", "6", 6, nil}, {`"select"`, "int", "7", 7, nil},
	{"_record", "text", "'own'", "own", nil}, {"_text", "text", "'mine'", "mine", nil}, {"_before", "text", "'past'", "past", nil},
}

// whole has the row before in its changes.
var whole = []column{{"id", "int", "1", 1, nil}, {"v", "text", "'one'", "one", nil}, {"da", "date", "'2026-01-31'", day("2026-01-31"), "2026-01-31"}}

// change is a record that there should be of a table. Columns that are not
// among those of value are null in rows, and not there in JSON.
type change struct {
	op        string
	value     []column
	set       object // values that differ from those of the columns
	before    []column
	was       object // values that differ in before
	unchanged string // a column that was not sent
}

// table is one with its statements, and the records that there should be of it.
type table struct {
	name       string
	columns    []column
	statements []string
	records    []change
}

var tables = []table{
	{"kinds", kinds, []string{"UPDATE kinds SET si = 7 WHERE id = 2", "UPDATE kinds SET id = 3 WHERE id = 2", "DELETE FROM kinds WHERE id = 3", "TRUNCATE kinds"},
		[]change{{op: "read", value: kinds}, {op: "insert", value: kinds, set: object{"id": 2}}, {op: "update", value: kinds, set: object{"id": 2, "si": 7}, unchanged: "la"},
			{op: "update", value: kinds, set: object{"id": 3, "si": 7}, before: kinds[:1], was: object{"id": 2}, unchanged: "la"},
			{op: "delete", value: kinds[:1], set: object{"id": 3}}, {op: "truncate"}}},
	{"odd", odd, nil, []change{{op: "read", value: odd}, {op: "insert", value: odd, set: object{"id": 2}}}},
	{"names", names, nil, []change{{op: "read", value: names}, {op: "insert", value: names, set: object{"id": 2}}}},
	{"whole", whole, []string{"UPDATE whole SET v = 'two', da = 'infinity' WHERE id = 2", "DELETE FROM whole WHERE id = 2"},
		[]change{{op: "read", value: whole}, {op: "insert", value: whole, set: object{"id": 2}}, {op: "update", value: whole, set: object{"id": 2, "v": "two", "da": "!infinity"}, before: whole, was: object{"id": 2}},
			{op: "delete", value: whole, set: object{"id": 2, "v": "two", "da": "!infinity"}, before: whole, was: object{"id": 2, "v": "two", "da": "!infinity"}}}},
}

// TestPostgres: what a real PostgreSQL has of all types, copied and changed, in
// each format.
func TestPostgres(t *testing.T) {
	server, err := postgrescluster.Start(t.Context(), postgrescluster.Options{Fast: true, Programs: os.Getenv("POSTGRES_PROGRAMS"), Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	run := func(statements ...string) {
		t.Helper()
		if err := server.Exec(t.Context(), statements...); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TYPE mood AS ENUM ('happy', 'sad')", "CREATE DOMAIN price AS numeric(10,2)", "CREATE TYPE pair AS (a int, b text)")
	var all []string
	records := 0
	for _, table := range tables {
		var columns []string
		for _, c := range table.columns {
			columns = append(columns, c.name+" "+c.typ)
		}
		run("CREATE TABLE " + table.name + " (" + strings.Join(columns, ", ") + ")")
		all = append(all, table.name)
		records += len(table.records)
	}
	run("ALTER TABLE kinds ALTER la SET STORAGE EXTERNAL", "ALTER TABLE whole REPLICA IDENTITY FULL")
	for i, format := range []string{"parquet none", "parquet zstd", "avro snappy", "jsonl none flat", "jsonl none debezium"} {
		words := strings.Fields(format)
		s := settings.Default()
		s.Source, s.File.Format, s.File.Compression = "postgres", words[0], words[1]
		s.Postgres.Host, s.Postgres.Port, s.Postgres.Database, s.Postgres.User = server.Host, server.Port, postgrescluster.Database, postgrescluster.Superuser
		s.Postgres.Tables, s.Postgres.Slot, s.Postgres.Shape = all, fmt.Sprint("slot_", i), strings.Join(words[2:], "")
		for _, table := range tables {
			run("TRUNCATE "+table.name, insert(table, 1))
		}
		p := startSpout(t, s, postgres.Make)
		p.await(int64(len(tables)))
		for _, table := range tables {
			run(append([]string{insert(table, 2)}, table.statements...)...)
		}
		p.await(int64(records))
		for _, table := range tables {
			read(t, table.cases(t, format, p.files("public."+table.name))...)
		}
		p.stop()
	}
}

func insert(of table, id int) string {
	values := []string{fmt.Sprint(id)}
	for _, c := range of.columns[1:] {
		if strings.HasPrefix(c.sql, "'") {
			c.sql += "::" + c.typ
		}
		values = append(values, c.sql)
	}
	return "INSERT INTO " + of.name + " SELECT " + strings.Join(values, ", ")
}

// cases are what a table's files should hold. A file has rows of one schema,
// from the first to the last that its name says, so of one table they may
// overlap.
func (of table) cases(t *testing.T, format string, files []string) (cases []testCase) {
	t.Helper()
	kind, shape := strings.Fields(format)[0], strings.Join(strings.Fields(format)[2:], "")
	read := 0
	for _, file := range files {
		var first, last int
		if _, err := fmt.Sscanf(filepath.Base(file), "%03d-%020d-%020d", new(int), &first, &last); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		c := testCase{Name: fmt.Sprintf("%s/%s/%d-%d", strings.ReplaceAll(format, " ", "-"), of.name, first, last), Format: kind, Path: file, Not: []string{"fastparquet"}}
		if kind == "jsonl" && (of.name == "odd" || of.name == "whole") {
			c.Not = []string{"duckdb"} // it takes "infinity" for its own date, which Python lacks
		}
		for i := first; i <= last; i++ {
			if kind == "jsonl" {
				c.Rows = append(c.Rows, of.line(i, shape))
			} else if row := of.row(i); slices.Equal(columnsOf(row), columnsOf(of.row(first))) {
				c.Rows = append(c.Rows, row)
			}
		}
		read += len(c.Rows)
		cases = append(cases, c)
	}
	if read != len(of.records) {
		t.Errorf("%s: the files have %d of %d records", of.name, read, len(of.records))
	}
	return cases
}

func columnsOf(row object) []string { return slices.Sorted(maps.Keys(row)) }

func (of table) key(i int) any {
	if c := of.records[i]; of.name != "whole" && c.value != nil {
		return fmt.Sprintf(`{"id":%v}`, c.valueOf(c.value[0], c.set))
	}
	return nil
}

func (change) valueOf(c column, set object) any {
	if v, ok := set[c.name]; ok {
		return v
	}
	return c.row
}

// row is what readers of rows find in a record.
func (of table) row(i int) object {
	c := of.records[i]
	out, text := of.columnsOf(c, c.value, c.set)
	own := func(name string) string {
		for strings.HasPrefix(name, "_") && out[name] != nil && of.name == "names" {
			name = "_" + name
		}
		return name
	}
	unchanged := []any{}
	if c.unchanged != "" {
		unchanged = append(unchanged, c.unchanged)
	}
	transaction := any(object{"$present": true})
	if c.op == "read" {
		transaction = nil
	}
	var before any
	if c.before != nil {
		row, texts := of.columnsOf(c, c.before, c.was)
		if len(texts) > 0 || len(text) > 0 {
			row["_text"] = mapOrNull(texts)
		}
		before = row
	}
	if of.name == "whole" || c.before != nil {
		out[own("_before")] = before
	}
	if text := mapOrNull(text); text != nil {
		out["_text"] = text
	}
	record := object{"table": "public." + of.name, "ordinal": i, "lsn": object{"$present": true}, "timestamp": object{"$present": true}, "key": nil, "headers": []any{}, "op": c.op,
		"transaction": transaction, "unchanged": unchanged, "schema_version": 1}
	if key, ok := of.key(i).(string); ok {
		record["key"] = object{"$bytes": []byte(key)}
	}
	out[own("_record")] = record
	return out
}

func mapOrNull(texts object) any {
	if len(texts) == 0 {
		return nil
	}
	return object{"$map": texts}
}

// columnsOf are the columns of a row, and the texts of those that cannot hold
// their value.
func (of table) columnsOf(c change, given []column, set object) (out, text object) {
	out, text = object{}, object{}
	for _, col := range of.columns {
		name := fieldNames.Replace(col.name)
		out[name] = nil
		if col.name == c.unchanged || !slices.ContainsFunc(given, func(g column) bool { return g.name == col.name }) {
			continue
		}
		value := c.valueOf(col, set)
		if s, ok := value.(string); ok && strings.HasPrefix(s, "!") {
			text[strings.Trim(col.name, `"`)] = s[1:]
			continue
		}
		out[name] = value
	}
	return out, text
}

// fieldNames makes names of Avro's of columns'.
var fieldNames = strings.NewReplacer(`"a-b"`, "a_b", `"a b"`, "a_b_2", `"1st"`, "_1st", `"`, "")

// line is what readers of JSON find in a record.
func (of table) line(i int, shape string) object {
	c := of.records[i]
	out := object{"table": "public." + of.name, "ordinal": i, "lsn": object{"$present": true}, "timestamp": object{"$present": true}, "op": c.op}
	if c.op != "read" {
		out["transaction"] = object{"$present": true}
	}
	if key := of.key(i); key != nil {
		out["key"] = key
	}
	if c.unchanged != "" {
		out["unchanged"] = []any{c.unchanged}
	}
	if shape == "debezium" {
		letters := map[string]string{"read": "r", "insert": "c", "update": "u", "delete": "d", "truncate": "t"}
		snapshot := map[bool]string{true: "true", false: "false"}[c.op == "read"]
		envelope := object{"before": nil, "after": nil, "op": letters[c.op], "ts_ms": object{"$present": true}, "transaction": nil, "source": object{"connector": "postgresql", "name": postgrescluster.Database,
			"ts_ms": object{"$present": true}, "snapshot": snapshot, "db": postgrescluster.Database, "schema": "public", "table": of.name, "txId": out["transaction"], "lsn": object{"$present": true}}}
		switch {
		case c.op == "delete":
			envelope["before"] = of.object(c, c.value, c.set, nil)
		case c.value != nil:
			envelope["after"] = of.object(c, c.value, c.set, "__debezium_unavailable_value")
			if c.before != nil {
				envelope["before"] = of.object(c, c.before, c.was, nil)
			}
		}
		out["value"] = envelope
		return out
	}
	if c.before != nil {
		out["before"] = of.object(c, c.before, c.was, nil)
	}
	out["value"] = nil
	if c.value != nil {
		out["value"] = of.object(c, c.value, c.set, nil)
	}
	return out
}

func (of table) object(c change, given []column, set object, instead any) any {
	out := object{}
	for _, col := range given {
		name := strings.Trim(col.name, `"`)
		value := c.valueOf(col, set)
		if _, differs := set[col.name]; !differs && col.json != nil {
			value = col.json
		}
		if s, ok := value.(string); ok {
			value = strings.TrimPrefix(s, "!")
		}
		if col.name == c.unchanged {
			if value = instead; value == nil {
				continue
			}
		}
		out[name] = value
	}
	return out
}
