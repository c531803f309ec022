// SPDX-License-Identifier: Apache-2.0

package promised

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// golden says what to do with the files: compare, or "add" what is new, or
// "break" promises. "make golden" sets it.
var golden = os.Getenv("GOLDEN")

func TestTheSchemaKeepsItsPromises(t *testing.T) {
	t.Parallel()
	now, err := Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keep(t, "schema.json", now)
}

func TestTheSettingsKeepTheirPromises(t *testing.T) {
	t.Parallel()
	keep(t, "settings.json", Settings())
}

// keep compares what there is with a file of promises, or updates that.
func keep(t *testing.T, name string, now Things) {
	t.Helper()
	name = filepath.Join("testdata", name)
	before := Things{}
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &before)
	}
	if err != nil && (!os.IsNotExist(err) || golden == "") {
		t.Fatal(err)
	}
	if broken := Breaks(before, now); len(broken) > 0 && golden != "break" {
		t.Fatalf("this breaks configurations or spouts that work today:\n  %s\nIf that is meant: make golden BREAKING=1, and say in CHANGELOG.md what users have to do.",
			strings.Join(broken, "\n  "))
	}
	if golden != "" {
		if err := os.WriteFile(name, now.Write(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if added := New(before, now); len(added) > 0 {
		t.Logf("not promised yet, and added by \"make golden\": %s", strings.Join(added, ", "))
	}
}

func TestWhatBreaks(t *testing.T) {
	t.Parallel()
	before := Things{
		"resource a":          {Version: 1},
		"resource a name":     {Type: "string", Required: true},
		"resource a size":     {Type: "number", Optional: true, Computed: true},
		"resource a id":       {Type: "string", Computed: true},
		"resource a o":        {Type: "object single", Optional: true},
		"resource a o.secret": {Type: "string", Optional: true, WriteOnly: true},
		"FORMAT":              {Type: "text", Default: "lines", Values: []string{"lines", "raw"}},
	}
	with := func(changes Things, gone ...string) Things {
		now := Things{}
		for name, thing := range before {
			if !slices.Contains(gone, name) {
				now[name] = thing
			}
		}
		for name, thing := range changes {
			now[name] = thing
		}
		return now
	}
	for name, c := range map[string]struct {
		now  Things
		want string // the whole of the one thing that breaks, or empty
	}{
		"nothing changes":            {with(nil), ""},
		"a new optional attribute":   {with(Things{"resource a o.more": {Type: "string", Optional: true}}), ""},
		"a new object":               {with(Things{"resource b": {}, "resource b name": {Type: "string", Required: true}}), ""},
		"no longer required":         {with(Things{"resource a name": {Type: "string", Optional: true}}), ""},
		"a new value":                {with(Things{"FORMAT": {Type: "text", Default: "lines", Values: []string{"raw", "csv", "lines"}}}), ""},
		"a newer state":              {with(Things{"resource a": {Version: 2}}), ""},
		"a new required attribute":   {with(Things{"resource a o.more": {Type: "string", Required: true}}), "resource a o.more is new, and must be set"},
		"an attribute less":          {with(nil, "resource a size"), "resource a size is gone"},
		"another type":               {with(Things{"resource a id": {Type: "number", Computed: true}}), "resource a id is of type number, and was of type string"},
		"required":                   {with(Things{"resource a o": {Type: "object single", Required: true}}), "resource a o must be set now"},
		"read only":                  {with(Things{"resource a size": {Type: "number", Computed: true}}), "resource a size can no longer be set"},
		"without a value of its own": {with(Things{"resource a size": {Type: "number", Optional: true}}), "resource a size no longer has a value where it is not set"},
		"sensitive":                  {with(Things{"resource a id": {Type: "string", Computed: true, Sensitive: true}}), "resource a id is sensitive now, so that outputs with it fail"},
		"a secret that is kept":      {with(Things{"resource a o.secret": {Type: "string", Optional: true}}), "resource a o.secret was and is no longer, or was not and is, write-only"},
		"an older state":             {with(Things{"resource a": {}}), "resource a has version 0 of its state, and had 1"},
		"another default":            {with(Things{"FORMAT": {Type: "text", Default: "raw", Values: []string{"lines", "raw"}}}), `FORMAT is "raw" by default, and was "lines"`},
		"a value less":               {with(Things{"FORMAT": {Type: "text", Default: "lines", Values: []string{"lines"}}}), `FORMAT can no longer be "raw"`},
	} {
		if got := strings.Join(Breaks(before, c.now), "; "); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func TestFilesAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	now := Settings()
	var back Things
	if err := json.Unmarshal(now.Write(), &back); err != nil {
		t.Fatal(err)
	}
	if broken, added := Breaks(now, back), New(now, back); len(broken)+len(added) > 0 {
		t.Errorf("%v, %v", broken, added)
	}
}
