// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/binary"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
)

// Days and microseconds are those of Go's calendar.
func TestTimes(t *testing.T) {
	t.Parallel()
	for year := 1; year <= 9999; year++ {
		for _, at := range []time.Time{time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 2, 28, 23, 59, 59, 999999000, time.UTC), time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 12, 31, 1, 2, 3, 0, time.UTC)} {
			text := at.Format("2006-01-02 15:04:05.999999")
			if got, ok := timestampOf([]byte(text+"+00"), true); !ok || got != at.UnixMicro() {
				t.Fatalf("%s is %d, should be %d", text, got, at.UnixMicro())
			}
			if got, ok := dateOf([]byte(at.Format("2006-01-02"))); !ok || got != floorDays(at) {
				t.Fatalf("%s is day %d, should be %d", text, got, floorDays(at))
			}
		}
	}
	for _, text := range []string{"infinity", "-infinity", "", "0044-03-15 BC", "10000-01-01", "5874897-12-31", "0000-01-01", "2026-01-31x"} {
		if got, ok := dateOf([]byte(text)); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
	for _, text := range []string{"infinity", "-infinity", "", "2026-01", "2026-01-31", "2026-01-31 12:00", "2026-13-01 00:00:00", "2026-01-31 00:00:00.", "2026-01-31 00:00:00+01", "294277-01-01 00:00:00", "0001-01-01 00:00:00 BC", "10000-01-01 00:00:00", "2026-01-31 24:00:00", "99999999999999999999-01-01 00:00:00"} {
		if got, ok := timestampOf([]byte(text), false); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func floorDays(at time.Time) int64 {
	days := at.Unix() / 86400
	if at.Unix()%86400 < 0 {
		days--
	}
	return days
}

// Decimals of any number of digits are the whole number in as few bytes as it
// takes, as Avro wants it.
func TestDecimals(t *testing.T) {
	t.Parallel()
	c := &converter{}
	for _, text := range []string{"0", "1", "-1", "127", "128", "-128", "-129", "255", "256", "9223372036854775807", "-9223372036854775808", "170141183460469231731687303715884105727",
		"-340282366920938463463374607431768211456", "99999999999999999999999999999999999999", "-99999999999999999999999999999999999999", "-18446744073709551616"} {
		b, ok := c.appendAvro(nil, columnType{kind: kindDecimal, precision: 38}, []byte(text))
		n, size := binary.Varint(b)
		if !ok || int(n) != len(b)-size {
			t.Fatalf("%s: %v, % x", text, ok, b)
		}
		got, b := new(big.Int).SetBytes(b[size:]), b[size:]
		if b[0] >= 0x80 {
			got.Sub(got, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		if got.String() != text || len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xFF && b[1] >= 0x80) {
			t.Errorf("%s is %s, in % x", text, got, b)
		}
	}
	for _, text := range []string{"NaN", "", "-", "1e5", "1.234"} {
		if b, ok := c.appendAvro(nil, columnType{kind: kindDecimal, precision: 10, scale: 2}, []byte(text)); ok || len(b) > 0 {
			t.Errorf("%q is % x", text, b)
		}
	}
}

// Lines of COPY are what they were before it, with all characters.
func TestCopyText(t *testing.T) {
	t.Parallel()
	var c copyText
	values, err := c.line([]byte(`a\tb`+"\t"+`\N`+"\t"+`\\N`+"\t\t"+`\n\r\b\f\v\\`), 5)
	if err != nil || string(values[0].Text) != "a\tb" || values[1].Kind != 'n' || string(values[2].Text) != `\N` || values[3].Kind != 't' || len(values[3].Text) > 0 || string(values[4].Text) != "\n\r\b\f\v\\" {
		t.Errorf("%q, %v", values, err)
	}
	if values, err := c.line(nil, 0); err != nil || len(values) > 0 {
		t.Errorf("no columns: %v, %v", values, err)
	}
	for _, line := range []string{"a", "a\tb\tc", `a\`} {
		if _, err := c.line([]byte(line), 2); err == nil {
			t.Errorf("%q has two columns", line)
		}
	}
}

// Columns get names that Avro takes, none of them twice.
func TestFieldNames(t *testing.T) {
	t.Parallel()
	taken := map[string]int{}
	for name, want := range map[string]string{"plain": "plain", "Größe": "Größe", "": "_"} {
		if got := fieldName(name, taken); got != want {
			t.Errorf("%q becomes %q", name, got)
		}
	}
	for i, want := range []string{"a_b", "a_b_2", "a_b_3"} {
		if got := fieldName([]string{"a b", "a-b", "a_b"}[i], taken); got != want {
			t.Errorf("%q, should be %q", got, want)
		}
	}
	if got := fieldName("1st", taken); got != "_1st" {
		t.Error(got)
	}
}

// FuzzValues has values of any text: JSON is JSON, and what a row is made of is
// not more than a part of it.
func FuzzValues(f *testing.F) {
	for _, text := range []string{"1", `{1,NULL,"a\"b"}`, "{{1},{2}}", "[0:1]={1}", "infinity", "0044-03-15 BC", `\x00ff`, "-12.50", "NaN", "{", `{"`, "24:00:00"} {
		for k := range kindUUID + 1 {
			f.Add(text, uint8(k), true)
		}
		f.Add(text, uint8(kindDecimal), false)
	}
	f.Fuzz(func(t *testing.T, text string, k uint8, array bool) {
		column := columnType{kind: kind(k) % (kindUUID + 1), precision: 10, scale: 2, array: array}
		c := &converter{}
		rsstest.Bounded(t, 1<<20+64*int64(len(text)), 5*time.Second, func() {
			before := []byte("before")
			if out, ok := c.appendAvro(before, column, []byte(text)); !ok && len(out) != len(before) || string(out[:len(before)]) != "before" {
				t.Errorf("%q leaves %q", text, out)
			}
			if out := c.appendJSON(nil, column, []byte(text)); !json.Valid(out) {
				t.Errorf("%q becomes %q", text, out)
			}
		})
	})
}
