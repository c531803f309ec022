// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"strings"
	"testing"
)

// TestRefusalsSayNoValue: why a value does not fit is told to logs and to whoever
// asks the runner's port. What it holds is not.
func TestRefusalsSayNoValue(t *testing.T) {
	t.Parallel()
	v := jsonOf(t, true, Source{Text: `{"properties":{"i":{"type":"integer"},"n":{"type":"number"},"s":{"type":"string"},"b":{"type":"boolean"},"l":{"type":"array","items":{"type":"integer"}},
		"o":{"type":"object","properties":{"x":{"type":"integer"}}},"d":{"type":"string","format":"date"},"u":{"type":"string","format":"uuid"},
		"m":{"type":"object","additionalProperties":{"type":"integer"}}}}`})
	const secret, number = `"4111-hidden"`, `41110000000000000000.5`
	for _, name := range []string{"i", "n", "b", "l", "o", "d", "u", "m"} {
		for _, value := range []string{secret, "[" + secret + "]", `{"4111-hidden":` + secret + `}`, number, "4111e999", "4111000000000000001", "41110000000000000001"} {
			_, err := rowOf(t, v, []byte(`{"`+name+`":`+value+`}`))
			if err != nil && strings.Contains(err.Error(), "4111") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, value := range []string{number, `{"4111":1}`, "[4111]"} {
		if _, err := rowOf(t, v, []byte(`{"s":`+value+`}`)); err == nil || strings.Contains(err.Error(), "4111") {
			t.Errorf("s: %v", err)
		}
	}
}

// whole takes JSON text as it is but for members that are masked, which are all.
type whole struct{ JSONText }

func (whole) Mask(dst, _ []byte, _ *Tree, _ int) ([]byte, bool) { return append(dst, `"***"`...), true }

// TestMemberLikeAColumn: a member that the schema does not know, and that is
// called as the column of another, is masked like it.
func TestMemberLikeAColumn(t *testing.T) {
	t.Parallel()
	v := jsonOf(t, true, Source{Text: `{"properties":{"a-b":{"type":"string"}}}`})
	rows, value, err := v.Decode(nil, []byte(`{"a-b":"x","a_b":"hidden"}`))
	if err != nil {
		t.Fatal(err)
	}
	masks := &Tree{}
	masks.Add([]string{"a_b"}).Mask = stars{}
	shape, err := rows.Reshape(Reshaping{Masks: masks, In: whole{}, Unfold: -1, Most: 1 << 20})
	if err != nil || shape == nil {
		t.Fatal(shape, err)
	}
	if got, err := shape.Apply(nil, value); err != nil || strings.Contains(string(got), "hidden") {
		t.Errorf("%q, %v", got, err)
	}
}
