// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"strings"
	"testing"
	"time"
)

// TestPathsOfLayouts: paths have the words of the source, and no others.
func TestPathsOfLayouts(t *testing.T) {
	t.Parallel()
	tables := Layout{Stream: "table", Offset: "ordinal", ID: "lsn"}
	fields := PathFields{Stream: "public.orders", FirstOffset: 3, LastOffset: 4, Ext: "parquet", Time: time.Unix(0, 0)}
	for template, want := range map[string]string{
		tables.DefaultPath():             "/public.orders/00000000000000000003-00000000000000000004.parquet",
		"{year}/{table}/{first_ordinal}": "/1970/public.orders/00000000000000000003",
	} {
		p, err := ParsePathTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		p = p.For(tables)
		if problem := p.check(tables, true); problem != "" || p.Render(fields) != want {
			t.Errorf("%s: %s, %s", template, problem, p.Render(fields))
		}
	}
	for template, test := range map[string]struct {
		of   Layout
		want string
	}{
		"{table}/{last_ordinal}":     {tables, "must have {first_ordinal}, or"},
		"{first_ordinal}":            {tables, "must have {table}, since several tables are read"},
		"{topic}/{first_ordinal}":    {tables, "unknown placeholder {topic}; known are {table} {first_ordinal} {last_ordinal} {ext} {year}"},
		"{table}/{partition}":        {tables, "unknown placeholder {partition}"},
		"{topic}/{partitoin}":        {Default().Layout(), "unknown placeholder {partitoin}; known are {topic} {partition} {first_offset} {last_offset} {ext} {year}"},
		"{topic}/{first_offset}":     {Default().Layout(), "must have {partition} and {first_offset}"},
		"{partition}/{first_offset}": {Default().Layout(), "must have {topic}, since several topics are read"},
	} {
		p, err := ParsePathTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		if problem := p.For(test.of).check(test.of, true); !strings.Contains(problem, test.want) {
			t.Errorf("%s: %q, want %q", template, problem, test.want)
		}
	}
	if got := tables.Record("t", 0, 7) + ", " + Default().Layout().Record("t", 1, 7) + ", " + Default().Layout().Of("t", 1); got != "table t, ordinal 7, topic t, partition 1, offset 7, topic t partition 1" {
		t.Error(got)
	}
}
