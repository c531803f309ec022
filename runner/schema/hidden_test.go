// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
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

// TestFirstSchemaIsUnknown: a producer whose first record names what a registry
// has no place for holds up nothing, though nothing of the registry was read
// before. A registry of Confluent's answers 404 without a code of its own to
// numbers of more than 32 bits and, before 7.8, to GUIDs.
func TestFirstSchemaIsUnknown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		w.WriteHeader(http.StatusNotFound)
		if id, ok := strings.CutPrefix(r.URL.Path, "/schemas/ids/"); ok {
			if n, err := strconv.ParseInt(id, 10, 32); err == nil {
				fmt.Fprintf(w, `{"error_code":40403,"message":"Schema %d not found"}`, n)
				return
			}
		}
		_, _ = io.WriteString(w, `{"error_code":404,"message":"HTTP 404 Not Found"}`)
	}))
	defer server.Close()
	for name, value := range map[string][]byte{
		"a number of 64 bits": {0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6},
		"more than 31 bits":   append([]byte{0, 0, 0, 0, 0}, "\xff\xff\xff\xff\xff\xff"...),
		"a GUID":              append([]byte{1}, make([]byte, 20)...),
	} {
		r := newRegistry(t, server.URL, io.Discard)
		id, _, err := r.Split(&source.Record{Value: value}, false)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err = r.Lookup(ctx, id)
		cancel()
		var refused *Refused
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
