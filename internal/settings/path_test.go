// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// pachydermPath is Pachyderm's own rule (src/server/pfs/server/paths.go).
var pachydermPath = regexp.MustCompile(`^[ -~]+$`)

func checkPathValue(t rapid.TB, escaped string) {
	t.Helper()
	switch {
	case escaped == "" || len(escaped) > maxPathValue:
		t.Fatalf("%q has %d bytes", escaped, len(escaped))
	case !pachydermPath.MatchString(escaped) || strings.ContainsAny(escaped, forbiddenInPath+"/"):
		t.Fatalf("%q has characters that Pachyderm forbids", escaped)
	case escaped[0] == '.' || escaped[0] == '_':
		t.Fatalf("%q is hidden, or one of the runner's own folders", escaped)
	}
}

// TestPathValues: escaped values are safe, and different ones stay different.
func TestPathValues(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "%empty", "DE": "DE", "a/b": "a%2Fb", "..": "%2E.", ".": "%2E", "_x": "%5Fx", "a_.-b": "a_.-b", "50%": "50%25",
		"grün": "gr%C3%BCn", "gru\u0308n": "gru%CC%88n", "a b": "a%20b", "*?[]{}!()@+^": "%2A%3F%5B%5D%7B%7D%21%28%29%40%2B%5E", "\x00\n": "%00%0A",
		MissingPathValue:         "%5F_HIVE_DEFAULT_PARTITION__",
		strings.Repeat("x", 100): strings.Repeat("x", 100),
		strings.Repeat("x", 101): strings.Repeat("x", 66) + "%~c675a2e604b0cd1229c036e3ce0c8742",
	} {
		if got := string(AppendPathValue(nil, []byte(value))); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	values := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.SliceOfN(rapid.SampledFrom([]byte("/.%_~a2F\x00é")), 0, 120))
	rapid.Check(t, func(t *rapid.T) {
		a, b := values.Draw(t, "a"), values.Draw(t, "b")
		one, other := string(AppendPathValue(nil, a)), string(AppendPathValue(nil, b))
		checkPathValue(t, one)
		if (one == other) != bytes.Equal(a, b) {
			t.Fatalf("%q is %s, %q is %s", a, one, b, other)
		}
	})
}

func FuzzPathValue(f *testing.F) {
	f.Add([]byte("a/../b"), []byte("%2E"))
	f.Add([]byte(strings.Repeat("é", 60)), []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		one, other := string(AppendPathValue(nil, a)), string(AppendPathValue(nil, b))
		checkPathValue(t, one)
		checkPathValue(t, other)
		if (one == other) != bytes.Equal(a, b) {
			t.Fatalf("%q is %s, %q is %s", a, one, b, other)
		}
	})
}

// TestPathsAreInjective: records of different streams or values never share a
// path, whatever the template, and no path leaves its folder.
func TestPathsAreInjective(t *testing.T) {
	t.Parallel()
	templates := validTemplates()
	if len(templates) < 200 {
		t.Fatalf("%d templates", len(templates))
	}
	texts := rapid.SliceOfN(rapid.SampledFrom([]byte("a-=,/%.0_")), 0, 3)
	topics := rapid.StringMatching(`[a0._-]{1,3}`).Filter(func(s string) bool { return s != "." && s != ".." })
	rapid.Check(t, func(t *rapid.T) {
		template := rapid.SampledFrom(templates).Draw(t, "template")
		draw := func(name string) (PathFields, string) {
			f := PathFields{Stream: topics.Draw(t, name+" topic"), Partition: rapid.Int32Range(0, 2).Draw(t, name+" partition"), FirstOffset: rapid.Int64Range(0, 1).Draw(t, name+" offset")}
			identity := []byte(f.Stream + "/")
			for i := range template.References() {
				if i > 0 {
					f.Values += "/"
				}
				value := AppendPathValue(nil, texts.Draw(t, name+" value"))
				f.Values += string(value)
				identity = append(append(identity, value...), '/')
			}
			identity = append(identity, byte('0'+f.Partition), byte('0'+f.FirstOffset))
			return f, string(identity)
		}
		a, one := draw("a")
		b, other := draw("b")
		path := template.Render(a)
		for element := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
			if element == "" || element == "." || element == ".." {
				t.Fatalf("%s has the element %q", path, element)
			}
		}
		if strings.Count(path, "/") != strings.Count(template.Render(b), "/") {
			t.Fatalf("%s and %s are of different depth", path, template.Render(b))
		}
		if one != other && a.Partition == b.Partition && path == template.Render(b) && a.FirstOffset == b.FirstOffset {
			t.Fatalf("%q and %q share %s", one, other, path)
		}
	})
}

// validTemplates are all that are made of a few pieces, show a value and are
// taken. What joins topics with numbers alone is as it was before there were
// values.
func validTemplates() (templates []PathTemplate) {
	pieces := []string{"{topic}", "{key}", "{value:x.y}", "{year}", "/", "-", "=", "a", ""}
	for n := range len(pieces) * len(pieces) * len(pieces) * len(pieces) {
		text, rest := "", n
		for range 4 {
			text, rest = text+pieces[rest%len(pieces)], rest/len(pieces)
		}
		for _, end := range []string{"/{partition}-{first_offset}", "={partition}/{first_offset}", "{partition}-{first_offset}"} {
			template, err := ParsePathTemplate(text + end)
			template = template.For(Default().Layout())
			if err != nil || template.check(Default().Layout(), true) != "" || len(template.References()) == 0 ||
				strings.Contains(template.text, "{topic}{") || strings.Contains(template.text, "}{topic}") {
				continue
			}
			templates = append(templates, template)
		}
	}
	return templates
}

// TestReferencesInPaths: what must be apart, and how long elements may be.
func TestReferencesInPaths(t *testing.T) {
	t.Parallel()
	p, err := ParsePathTemplate("{topic}/country={value:address.country}/{key}={header:x-y}/{partition}-{first_offset}.{ext}")
	if err != nil {
		t.Fatal(err)
	}
	got := p.For(Default().Layout()).Render(PathFields{Stream: "t", Partition: 1, FirstOffset: 2, Ext: "jsonl", Values: "DE/a%2Fb/%empty"})
	if want := "/t/country=DE/a%2Fb=%empty/00001-00000000000000000002.jsonl"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for template, want := range map[string]string{
		"{key}{partition}/{first_offset}":              "nothing between {key} and {partition}",
		"{topic}-{value:a}/{partition}-{first_offset}": "nothing between {topic} and {value:a}",
		"{key}-{header:h}/{partition}":                 "nothing between {key} and {header:h}",
		"{value:}":                                     "unknown placeholder {value:}",
		"{value:a..b}":                                 "unknown placeholder {value:a..b}",
		"{header:}":                                    "unknown placeholder {header:}",
	} {
		if _, err := ParsePathTemplate(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", template, err, want)
		}
	}
	for template, want := range map[string]string{
		"{partition}/{key},{header:a},{header:b}/{first_offset}": "can have elements of 302 bytes",
		"_dead_letters/{partition}-{first_offset}":               "can begin with the folder of the dead letters, _dead_letters; begin it with another one, for example data/_dead_letters/",
	} {
		_, err := Parse(least("SPOUT_FILE_PATH="+template, "SPOUT_RECORD_ON_REFUSED=dead_letter"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", template, err, want)
		}
	}
}

// What a path shows is found in it again.
func TestCoordinates(t *testing.T) {
	t.Parallel()
	kafka := LayoutOf("kafka", "")
	for _, test := range []struct {
		template  string
		stream    string
		partition int32
		first     int64
	}{
		{"{topic}/{partition}/{first_offset}-{last_offset}.{ext}", "a.b", 3, 7},
		{"/data/{value:x}/{year}-{month}/{topic}={partition}/{first_offset}", "t", 123456, 1 << 60},
		{"{partition}/{first_offset}.{ext}", "", 0, 0},
	} {
		parsed, err := ParsePathTemplate(test.template)
		if err != nil {
			t.Fatal(err)
		}
		of := parsed.For(kafka)
		path := of.Render(PathFields{Stream: test.stream, Partition: test.partition, FirstOffset: test.first, LastOffset: test.first + 5, Ext: "txt.zst", Time: time.Unix(0, 0), Values: "a%2Fb"})
		stream, partition, first, ok := of.Coordinates(path)
		if stream != test.stream || partition != test.partition || first != test.first || !ok {
			t.Errorf("%s: %q %d %d %v", path, stream, partition, first, ok)
		}
		if _, _, _, ok := of.Coordinates("/other" + path); ok && test.stream != "" {
			t.Errorf("/other%s is taken for one", path)
		}
	}
}
