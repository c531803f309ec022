// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// orders are rows of a database.
const orders = `{"type":"record","name":"Row","fields":[
	{"name":"id","type":["null","long"]},
	{"name":"status","type":["null","string"]},
	{"name":"created_at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
	{"name":"day","type":["null",{"type":"int","logicalType":"date"}]},
	{"name":"price","type":["null",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}]},
	{"name":"paid","type":["null","boolean"]},
	{"name":"tags","type":["null",{"type":"array","items":["null","string"]}]},
	{"name":"customer","type":["null",{"type":"record","name":"Customer","fields":[
		{"name":"email","type":["null","string"]},{"name":"country","type":"string"},{"name":"weight","type":"double"}]}]},
	{"name":"lines","type":["null",{"type":"array","items":{"type":"record","name":"Line","fields":[
		{"name":"sku","type":"string"},{"name":"count","type":"int"}]}}]},
	{"name":"labels","type":["null",{"type":"map","values":"long"}]},
	{"name":"mail_2","type":["null","string"],"column":"e mail"}]}`

// order is one of them.
func order() map[string]any {
	return map[string]any{"id": int64(7), "status": "paid", "created_at": int64(1714744800123456), "day": int32(19846), "price": []byte{0x04, 0xd2},
		"paid": true, "tags": []any{"a", nil, "b"}, "customer": map[string]any{"email": "a@example.com", "country": "DE", "weight": 1.5},
		"lines":  []any{map[string]any{"sku": "x", "count": int32(2)}, map[string]any{"sku": "y", "count": int32(3)}},
		"labels": map[string]any{"a": int64(1)}, "mail_2": "c@example.com"}
}

func encoded(t testing.TB, text string, value any) []byte {
	t.Helper()
	of, err := avro.Parse(text, avro.WithLaxNames(nil))
	if err != nil {
		t.Fatal(err)
	}
	b, err := of.Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rowsOf(t testing.TB, text string) *schema.Rows {
	t.Helper()
	rows, err := schema.OfSource(&source.RowSchema{Avro: text}, settings.LayoutOf("postgres", ""))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// shown is a row as a reader of its file sees it, without its coordinates.
func shown(t testing.TB, rows *schema.Rows, rec *source.Record) string {
	t.Helper()
	of, err := avro.Parse(rows.Text, avro.WithLaxNames(nil))
	if err != nil {
		t.Fatalf("%s: %v", rows.Text, err)
	}
	var row map[string]any
	rest, err := of.Decode(rows.Append(nil, source.Stream{Name: "t"}, rec), &row)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%d bytes are left of %s: %v", len(rest), rows.Text, err)
	}
	delete(row, "_record")
	text, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rows.Columns(); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestFilterOfRows: conditions see what JSON lines would say.
func TestFilterOfRows(t *testing.T) {
	t.Parallel()
	rows, value := rowsOf(t, orders), encoded(t, orders, order())
	for filter, want := range map[string]bool{
		`value:id == 7`:                                   true,
		`value:id != 7`:                                   false,
		`value:status in (open, paid)`:                    true,
		`value:paid == true`:                              true,
		`value:price == 12.34`:                            true,
		`value:day == 2024-05-03`:                         true,
		`value:created_at == 2024-05-03T14:00:00.123456Z`: true,
		`value:created_at|day == 2024-05-03`:              true,
		`value:created_at|hour == 2024-05-03-14`:          true,
		`value:day|hour == 2024-05-03-00`:                 true,
		`value:status|day missing`:                        true,
		`value:customer.country == DE`:                    true,
		`value:customer.weight == 1.5`:                    true,
		`value:customer.gone missing`:                     true,
		`value:lines.sku missing`:                         true, // of a list
		`value:tags == '["a",null,"b"]'`:                  true,
		`value:labels.a == 1`:                             true,
		`value:labels.b missing`:                          true,
		`value:customer == '{"email":"a","country":"b"}'`: false,
		`key == k and value:mail_2 == c@example.com`:      true,
		`header:h == v and value:id exists`:               false,
		`value:gone exists`:                               false,
		`value:gone != x and value:customer.email exists`: true,
	} {
		r := rules(t, "SPOUT_RECORD_FILTER="+filter)
		rec := source.Record{Key: []byte("k"), Headers: headers, Value: value}
		keep, err := r.ApplyUndecoded(&rec)
		if keep && err == nil {
			_, keep, err = r.ApplyRows(&rec, rows)
		}
		if keep != want || err != nil {
			t.Errorf("%s: %v, %v", filter, keep, err)
		}
	}
}

// TestRowsReshaped: fields are selected and masked as in JSON, the row before
// too, and nothing of what is masked is left anywhere.
func TestRowsReshaped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, fields, masks, want string }{
		{"some fields", "id,customer.country,lines.sku", "", `{"customer":{"country":"DE"},"id":7,"lines":[{"sku":"x"},{"sku":"y"}]}`},
		{"none that there are", "gone,tags.x", "", `{}`},
		{"redacted", "id,price,customer,lines", "price=redact,customer.email=redact,lines.count=redact,gone=redact",
			`{"customer":{"country":"DE","email":"***","weight":1.5},"id":7,"lines":[{"count":"***","sku":"x"},{"count":"***","sku":"y"}],"price":"***"}`},
		{"whole", "tags,customer", "tags=redact,customer=redact", `{"customer":"***","tags":"***"}`},
		{"each of a list", "tags", "tags.x=redact", `{"tags":["a",null,"b"]}`},
		{"an entry", "labels", "labels.a=redact", `{"labels":{"a":"***"}}`},
		{"another entry", "labels", "labels.b=redact", `{"labels":{"a":"1"}}`},
		{"an entry alone", "labels.a", "", `{"labels":{"a":1}}`},
		{"by the column's name", "e mail", "e mail=redact", `{"mail_2":"***"}`},
		{"by the field's name", "mail_2", "mail_2=redact", `{"mail_2":"***"}`},
		{"hashed", "id,created_at,status", "id=hash,status=hash,created_at=hash", `{"created_at":"` + hashOf("2024-05-03T14:00:00.123456Z") + `","id":"` + hashOf("7") + `","status":"` + hashOf("paid") + `"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := rules(t, "SPOUT_RECORD_FIELDS="+test.fields, "SPOUT_RECORD_MASK="+test.masks)
			value := encoded(t, orders, order())
			for range 2 { // what is made once is used again
				rec := source.Record{Value: value}
				rows, keep, err := r.ApplyRows(&rec, rowsOf(t, orders))
				if err != nil || !keep {
					t.Fatal(keep, err)
				}
				if got := shown(t, rows, &rec); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
				// Records without a value have the same columns.
				rec.Value = nil
				shown(t, rows, &rec)
			}
		})
	}
}

func hashOf(text string) string { return string((newMasks("hash", "")).Mask(nil, []byte(text))) }

// TestRowBeforeMasked: the row before, and the text of what columns cannot hold.
func TestRowBeforeMasked(t *testing.T) {
	t.Parallel()
	text := `{"type":"record","name":"Row","fields":[{"name":"id","type":["null","long"]},{"name":"price","type":["null","long"]},{"name":"secret","type":["null","long"]},{"name":"_text","type":["null",{"type":"map","values":"string"}]}]}`
	rows, err := schema.OfSource(&source.RowSchema{Avro: text, Before: true, Texts: "_text"}, settings.LayoutOf("postgres", ""))
	if err != nil {
		t.Fatal(err)
	}
	value := encoded(t, text, map[string]any{"id": int64(1), "price": nil, "secret": nil, "_text": map[string]any{"price": "Infinity", "secret": "x"}})
	shared := &source.Detail{Op: source.OpUpdate, Before: value}
	rec := source.Record{Value: value, Detail: shared}
	r := rules(t, "SPOUT_RECORD_FIELDS=id,price,_text", "SPOUT_RECORD_MASK=price=redact")
	rows, keep, err := r.ApplyRows(&rec, rows)
	if err != nil || !keep {
		t.Fatal(keep, err)
	}
	row := `"_text":{"price":"***"},"id":1,"price":null`
	if got, want := shown(t, rows, &rec), `{"_before":{`+row+`},`+row+`}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !bytes.Equal(shared.Before, value) {
		t.Error("the detail of others is changed")
	}
}

// TestRouteOfRows: paths show fields of rows, as they are masked.
func TestRouteOfRows(t *testing.T) {
	t.Parallel()
	r := rules(t, "SPOUT_FILE_PATH={value:created_at|month}/{value:customer.country}/{value:price}/{value:gone}/{key}/{value:day|minute}/{partition}-{first_offset}", "SPOUT_RECORD_MASK=price=redact")
	rec := source.Record{Key: []byte("k"), Value: encoded(t, orders, order())}
	if _, keep, err := r.ApplyRows(&rec, rowsOf(t, orders)); !keep || err != nil {
		t.Fatal(keep, err)
	}
	got, err := r.RouteRow(&rec)
	if want := "2024-05/DE/%2A%2A%2A/" + settings.MissingPathValue + "/k/2024-05-03-00-00"; string(got) != want || err != nil {
		t.Errorf("%s, want %s, %v", got, want, err)
	}
}

// TestMoments: times of JSON, with and without an offset.
func TestMoments(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2024-05-03T14:05:06Z":          "2024-05-03-14-05",
		"2024-05-03 14:05:06.123":       "2024-05-03-14-05",
		"2024-05-03t23:59:59.9-02:30":   "2024-05-04-02-29",
		"2024-05-03T00:00:00+14:00":     "2024-05-02-10-00",
		"2024-05-03":                    "2024-05-03-00-00",
		"2024-05-03T14":                 "",
		"1714744800":                    "",
		"2024/05/03 00:00:00":           "",
		"2024-05-03T14:05:06+1":         "",
		"yesterday":                     "",
		"":                              "",
		"2024-05-03T14:05:06+02:00junk": "",
	} {
		r := rules(t, "SPOUT_FILE_PATH={value:at|minute}/{partition}-{first_offset}")
		rec := source.Record{Value: []byte(`{"at":"` + text + `"}`)}
		if want == "" {
			want = settings.MissingPathValue
		}
		if got := string(r.Route(&rec)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestLargeMasks: masks that would take more memory than a record may are refused.
func TestLargeMasks(t *testing.T) {
	t.Parallel()
	text := `{"type":"record","name":"Row","fields":[{"name":"a","type":["null",{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"x","type":"null"},{"name":"b","type":"boolean"}]}}]}]}`
	var elements []any
	for range 1 << 20 {
		elements = append(elements, map[string]any{"x": nil, "b": true})
	}
	rec := source.Record{Value: encoded(t, text, map[string]any{"a": elements})}
	_, _, err := rules(t, "SPOUT_RECORD_MASK=a.b=hash").ApplyRows(&rec, rowsOf(t, text))
	var refused *Refused
	if !errors.As(err, &refused) {
		t.Error(err)
	}
}

// TestRowsAsJSON: rules make of a row what they make of its JSON, but for what
// the types of columns ask for.
func TestRowsAsJSON(t *testing.T) {
	t.Parallel()
	const text = `{"type":"record","name":"Row","fields":[
		{"name":"a","type":["null","string"]},{"name":"b","type":["null",{"type":"record","name":"B","fields":[{"name":"c","type":["null","string"]},{"name":"d","type":["null","string"]}]}]},
		{"name":"l","type":["null",{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"c","type":["null","string"]},{"name":"d","type":["null","string"]}]}}]}]}`
	of := avro.MustParse(text)
	rapid.Check(t, func(t *rapid.T) {
		leaf := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }))
		pair := rapid.Custom(func(t *rapid.T) map[string]any {
			return map[string]any{"c": leaf.Draw(t, "c"), "d": leaf.Draw(t, "d")}
		})
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			list = append(list, pair.Draw(t, "element"))
		}
		want := map[string]any{"a": leaf.Draw(t, "a"), "b": any(pair.Draw(t, "b")), "l": list}
		value, err := of.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		fields := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b.c", "l.d", "l.c"}), 1, 3, rapid.ID).Draw(t, "fields")
		masks := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a=redact", "b.c=hash", "l.d=redact", "b.d=hash"}), 0, 3, rapid.ID).Draw(t, "masks")
		s, err := settings.Parse([]string{"SPOUT_KAFKA_BROKERS=b:1", "SPOUT_KAFKA_TOPICS=t", "SPOUT_RECORD_FIELDS=" + strings.Join(fields, ","), "SPOUT_RECORD_MASK=" + strings.Join(masks, ",")})
		if err != nil {
			t.Fatal(err)
		}
		r := NewRules(s)
		row, line := source.Record{Value: value}, source.Record{Value: asJSON}
		base, err := schema.OfSource(&source.RowSchema{Avro: text}, settings.LayoutOf("postgres", ""))
		if err != nil {
			t.Fatal(err)
		}
		rows, _, err := r.ApplyRows(&row, base)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Apply(&line); err != nil {
			t.Fatal(err)
		}
		own := *rows.Type
		own.Fields = own.Fields[:len(own.Fields)-1]
		got, rest, err := own.AppendJSON(nil, row.Value, 1<<20)
		if err != nil || len(rest) > 0 {
			t.Fatal(rest, err)
		}
		var a, b any
		if json.Unmarshal(got, &a) != nil || json.Unmarshal(line.Value, &b) != nil {
			t.Fatalf("%s, %s", got, line.Value)
		}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if !bytes.Equal(x, y) {
			t.Fatalf("%s, as JSON %s", x, y)
		}
	})
}

// BenchmarkRowRules shows nanoseconds and allocations per record.
func BenchmarkRowRules(b *testing.B) {
	r := rules(b, "SPOUT_RECORD_FILTER=value:status == paid", "SPOUT_RECORD_MASK=customer.email=hash", "SPOUT_FILE_PATH={value:created_at|day}/{partition}-{first_offset}")
	rows, value := rowsOf(b, orders), encoded(b, orders, order())
	b.ReportAllocs()
	for b.Loop() {
		rec := source.Record{Value: value}
		if _, keep, err := r.ApplyRows(&rec, rows); !keep || err != nil {
			b.Fatal(keep, err)
		}
		if _, err := r.RouteRow(&rec); err != nil {
			b.Fatal(err)
		}
	}
}

// TestBoundRows: rules are kept for the rows of open files, and for others up to
// a bound.
func TestBoundRows(t *testing.T) {
	t.Parallel()
	s := settings.Default()
	s.Source, s.Record.Mask = "postgres", []string{"id=hash"}
	r, open := NewRules(s), true
	r.InUse(func(*schema.Rows) bool { return open })
	memory := func() (n int) {
		for rows, of := range r.decoded.bySchema {
			n += rows.Memory() + of.rows.Memory()
		}
		return n
	}
	const schemas = 30
	for i := range 2 * schemas {
		text := `{"type":"record","name":"Row","fields":[{"name":"id","type":["null","string"]}`
		for j := range 1000 {
			text += fmt.Sprintf(`,{"name":"c%d_%d","type":["null","long"]}`, i, j)
		}
		rows, err := schema.OfSource(&source.RowSchema{Avro: text + "]}"}, s.Layout())
		if err != nil {
			t.Fatal(err)
		}
		masked, keep, err := r.ApplyRows(&source.Record{}, rows)
		if err != nil || !keep || masked == rows {
			t.Fatal(err, keep, masked == rows)
		}
		if i == schemas-1 {
			if n := memory(); len(r.decoded.bySchema) != schemas || n < 2*maxRowRules {
				t.Fatalf("the rules of %d schemas are kept, with %d bytes", len(r.decoded.bySchema), n)
			}
			open = false
			r.BoundRows()
		}
		if n := memory(); !open && n > maxRowRules+maxRowRules/4 {
			t.Fatalf("rules are kept that take %d bytes", n)
		}
	}
}
