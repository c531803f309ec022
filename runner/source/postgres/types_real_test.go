// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/avro"
)

// typeCases are values of all types: as SQL, in JSON, and in rows where that
// differs. What a column cannot hold is text in _text, after a '!'.
var typeCases = []struct{ typ, sql, json, rows string }{
	{"boolean", "true", "true", ""}, {"boolean", "false", "false", ""},
	{"smallint", "-32768", "-32768", ""}, {"integer", "2147483647", "2147483647", ""}, {"bigint", "-9223372036854775808", "-9223372036854775808", ""},
	{"bigint", "9007199254740993", "9007199254740993", ""}, {"oid", "4294967295", "4294967295", ""},
	{"real", "1.5e-07", "1.5e-07", "1.5e-07"}, {"real", "'NaN'", `"NaN"`, "NaN"}, {"double precision", "'-Infinity'", `"-Infinity"`, "-Inf"}, {"double precision", "0.1::float8 + 0.2", "0.30000000000000004", ""},
	{"numeric(10,2)", "-12345678.90", `"-12345678.90"`, "-1234567890e-2"}, {"numeric(10,2)", "'NaN'", `"NaN"`, "!NaN"}, {"numeric(38,0)", "99999999999999999999999999999999999999", `"99999999999999999999999999999999999999"`, "99999999999999999999999999999999999999e-0"},
	{"numeric(38,10)", "-0.0000000001", `"-0.0000000001"`, "-1e-10"}, {"numeric(38,5)", "-123456789012345678901234567890123.45678", `"-123456789012345678901234567890123.45678"`, "-12345678901234567890123456789012345678e-5"},
	{"numeric", "1e50", `"100000000000000000000000000000000000000000000000000"`, ""}, {"numeric", "'Infinity'", `"Infinity"`, ""}, {"numeric(3,-2)", "12345", `"12300"`, ""},
	{"money", "'1234.5'", `"$1,234.50"`, ""}, {"text", `E'ü\n"\\'`, `"ü\n\"\\"`, ""}, {"character(5)", "'ab'", `"ab   "`, ""}, {"character varying(10)", "''", `""`, ""}, {`"char"`, "'x'", `"x"`, ""}, {"name", "'n'", `"n"`, ""},
	{"bytea", `'\x00ff10'`, `"AP8Q"`, "bytes:00ff10"}, {"bytea", `''`, `""`, "bytes:"},
	{"date", "'2026-01-31'", `"2026-01-31"`, "20484"}, {"date", "'0044-03-15 BC'", `"0044-03-15 BC"`, "!0044-03-15 BC"}, {"date", "'infinity'", `"infinity"`, "!infinity"}, {"date", "'5874897-12-31'", `"5874897-12-31"`, "!5874897-12-31"}, {"date", "'0001-01-01'", `"0001-01-01"`, "-719162"}, {"date", "'9999-12-31'", `"9999-12-31"`, "2932896"},
	{"time", "'12:34:56.789'", `"12:34:56.789"`, "45296789000"}, {"time", "'24:00:00'", `"24:00:00"`, "!24:00:00"}, {"timetz", "'12:00:00+02'", `"12:00:00+02"`, ""},
	{"timestamp", "'2026-01-31 12:34:56.000001'", `"2026-01-31T12:34:56.000001"`, "1769862896000001"}, {"timestamp", "'-infinity'", `"-infinity"`, "!-infinity"}, {"timestamp", "'0001-01-01 00:00:00 BC'", `"0001-01-01 00:00:00 BC"`, "!0001-01-01 00:00:00 BC"},
	{"timestamp", "'294276-12-31 23:59:59.999999'", `"294276-12-31 23:59:59.999999"`, "!294276-12-31 23:59:59.999999"}, {"timestamp", "'1969-12-31 23:59:59'", `"1969-12-31T23:59:59"`, "-1000000"},
	{"timestamptz", "'2026-01-31 12:34:56+05:30'", `"2026-01-31T07:04:56Z"`, "1769843096000000"}, {"timestamptz", "'infinity'", `"infinity"`, "!infinity"}, {"timestamptz", "'12026-01-31 00:00:00+00'", `"12026-01-31 00:00:00+00"`, "!12026-01-31 00:00:00+00"}, {"timestamptz", "'9999-12-31 23:59:59.999999+00'", `"9999-12-31T23:59:59.999999Z"`, "253402300799999999"},
	{"interval", "'1 year 2 mons -3 days 04:05:06.7'", `"P1Y2M-3DT4H5M6.7S"`, ""},
	{"uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`, ""},
	{"json", `'{"a" : [1,  2]}'`, `"{\"a\" : [1,  2]}"`, ""}, {"jsonb", `'{"a":1e400}'`, "", ""}, {"xml", "'<a/>'", `"<a/>"`, ""},
	{"inet", "'10.0.0.1/8'", `"10.0.0.1/8"`, ""}, {"macaddr", "'08:00:2b:01:02:03'", `"08:00:2b:01:02:03"`, ""}, {"bit(3)", "B'101'", `"101"`, ""}, {"point", "'(1,2)'", `"(1,2)"`, ""}, {"tsvector", "'a b'", `"'a' 'b'"`, ""},
	{"int4range", "'[1,5)'", `"[1,5)"`, ""}, {"tstzrange", "'[2026-01-01 00:00:00+00,)'", `"[\"2026-01-01 00:00:00+00\",)"`, ""}, {"int4range", "'empty'", `"empty"`, ""},
	{"pg_lsn", "'16/B374D848'", `"16/B374D848"`, ""}, {"regclass", "'pg_class'", `"pg_class"`, ""},
	{"mood", "'happy'", `"happy"`, ""}, {"price", "12.5", `"12.50"`, "1250e-2"}, {"cheap", "1.5", `"1.50"`, "150e-2"}, {"pair", "ROW(1,'x')::pair", `"(1,x)"`, ""},
	{"integer[]", "'{1,NULL,3}'", "[1,null,3]", "[1 <nil> 3]"}, {"integer[]", "'{}'", "[]", "[]"}, {"integer[]", "'{{1,2},{3,4}}'", "[[1,2],[3,4]]", "!{{1,2},{3,4}}"}, {"integer[]", "'[0:1]={1,2}'", `"[0:1]={1,2}"`, "![0:1]={1,2}"},
	{"text[]", `ARRAY['a,b','"q"','NULL',NULL,'','{}','\']`, `["a,b","\"q\"","NULL",null,"","{}","\\"]`, `[a,b "q" NULL <nil>  {} \]`}, {"bytea[]", `ARRAY['\x01'::bytea]`, `["AQ=="]`, "[bytes:01]"},
	{"timestamptz[]", "ARRAY['2026-01-31 00:00:00+00'::timestamptz,'infinity']", `["2026-01-31T00:00:00Z","infinity"]`, `!{"2026-01-31 00:00:00+00",infinity}`}, {"numeric(5,1)[]", "'{1.5,-2}'", `["1.5","-2.0"]`, "[15e-1 -20e-1]"},
	{"mood[]", "'{happy,sad}'", `["happy","sad"]`, "[happy sad]"}, {"price[]", "'{1}'", `["1.00"]`, "[100e-2]"}, {"boolean[]", "'{t,f}'", "[true,false]", "[true false]"}, {"double precision[]", "'{NaN,1}'", `["NaN",1]`, "[NaN 1]"},
	{"box[]", "'{(1,1),(0,0)}'", `"{(1,1),(0,0)}"`, ""}, {"integer", "NULL", "null", "<nil>"}, {"integer[]", "NULL", "null", "<nil>"},
}

// Values of all types are the same from copies and from changes, and nothing of
// them is lost.
func TestTypes(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"jsonl", "avro"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			database, conn := newDatabase(t)
			run(t, conn, "CREATE TYPE mood AS ENUM ('happy', 'sad')", "CREATE DOMAIN price AS numeric(10,2)", "CREATE DOMAIN cheap AS price CHECK (VALUE < 10)", "CREATE TYPE pair AS (a int, b text)")
			var version int
			if err := conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
				t.Fatal(err)
			}
			var columns, values []string
			cases := slices.Clone(typeCases)
			for i, c := range cases { // what came with a version
				if c.typ == "numeric(3,-2)" && version < 150000 || c.typ == "numeric" && c.sql == "'Infinity'" && version < 140000 {
					cases[i] = typeCases[0]
				}
			}
			for i, c := range cases {
				columns = append(columns, fmt.Sprintf("c%d %s", i, c.typ))
				sql := c.sql
				if strings.HasPrefix(sql, "'") || strings.HasPrefix(sql, "E'") {
					sql += "::" + c.typ
				}
				values = append(values, sql)
			}
			run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, "+strings.Join(columns, ", ")+")", "INSERT INTO t SELECT 1, "+strings.Join(values, ", "))
			s := configure(database, "t")
			s.File.Format = format
			r := start(t, s)
			run(t, conn, "INSERT INTO t SELECT 2, "+strings.Join(values, ", "))
			r.read(2)
			for _, rec := range r.records {
				if format == "jsonl" {
					var got map[string]json.RawMessage
					if err := json.Unmarshal([]byte(rec.value), &got); err != nil {
						t.Fatalf("%v: %s", err, rec.value)
					}
					for i, c := range cases {
						if text := string(got[fmt.Sprintf("c%d", i)]); text != c.json && c.json != "" {
							t.Errorf("%s of %s %s is %s, should be %s", rec.op, c.typ, c.sql, text, c.json)
						}
					}
					continue
				}
				row := decodeRow(t, rec)
				texts, _ := row["_text"].(map[string]any)
				for i, c := range cases {
					name := fmt.Sprintf("c%d", i)
					got, want := show(row[name]), c.rows
					if text, ok := texts[name]; ok {
						got = fmt.Sprint("!", text)
					}
					if want == "" {
						if want = c.json; strings.HasPrefix(want, `"`) {
							if err := json.Unmarshal([]byte(c.json), &want); err != nil {
								t.Fatal(err)
							}
						}
					}
					if got != want && want != "" {
						t.Errorf("%s of %s %s is %s, should be %s", rec.op, c.typ, c.sql, got, want)
					}
				}
			}
			if format == "avro" && r.records[0].schema != r.records[1].schema {
				t.Error("a copy and a change have schemas that differ")
			}
		})
	}
}

var logicalType = regexp.MustCompile(`"logicalType":"[a-z-]+",?`)

// decodeRow reads a row by another implementation, which is not told what the
// values stand for. Decimals become the whole number and the exponent.
func decodeRow(t testing.TB, rec record) map[string]any {
	t.Helper()
	var described struct {
		Fields []struct {
			Name string
			Type json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(rec.schema.Avro), &described); err != nil {
		t.Fatal(err)
	}
	plain, err := avro.Parse(strings.ReplaceAll(logicalType.ReplaceAllString(rec.schema.Avro, ""), ",}", "}"))
	if err != nil {
		t.Fatal(err)
	}
	var row map[string]any
	if rest, err := plain.Decode(rec.raw, &row); err != nil || len(rest) > 0 {
		t.Fatalf("%v, and %d bytes are left of %s", err, len(rest), rec)
	}
	for _, f := range described.Fields {
		scale := scaleOf.FindSubmatch(f.Type)
		if scale == nil {
			continue
		}
		switch v := row[f.Name].(type) {
		case []byte:
			row[f.Name] = decimal(v, string(scale[1]))
		case []any:
			for i := range v {
				v[i] = decimal(v[i].([]byte), string(scale[1]))
			}
		}
	}
	return row
}

var scaleOf = regexp.MustCompile(`"scale":(\d+)`)

func decimal(b []byte, scale string) string {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n.String() + "e-" + scale
}

func show(v any) string {
	switch v := v.(type) {
	case []byte:
		return fmt.Sprintf("bytes:%x", v)
	case []any:
		texts := make([]string, len(v))
		for i := range v {
			texts[i] = show(v[i])
		}
		return "[" + strings.Join(texts, " ") + "]"
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	}
	return fmt.Sprint(v)
}
