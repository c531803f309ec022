// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A source is known to the list, to the struct of its settings and to its own
// file, and to nothing else of the contract.
func TestOnlyTheListNamesSources(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, name := range SourceNames() {
		if _, err := os.Stat(name + ".go"); err != nil {
			t.Errorf("the source %s has no file of its own: %v", name, err)
		}
		for _, file := range files {
			if file == "sources.go" || strings.HasPrefix(file, name) || strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(text), "\n") {
				code, _, _ := strings.Cut(line, "// ") // comments may have examples
				if strings.Contains(strings.ToLower(code), name) {
					t.Errorf("%s:%d names the source %s: %s", file, n+1, name, strings.TrimSpace(line))
				}
			}
		}
	}
}

// The list, the structs and the variables say the same of each source.
func TestSourcesAreWhole(t *testing.T) {
	t.Parallel()
	var inStruct []string
	for _, g := range Groups() {
		if g.Root && g.Source != "" {
			inStruct = append(inStruct, g.Source)
			if g.Title == "" || g.Doc == "" {
				t.Errorf("%s has no title or no documentation", g.Source)
			}
		}
	}
	if !slices.Equal(inStruct, SourceNames()) {
		t.Errorf("the struct has %v, the list %v", inStruct, SourceNames())
	}
	source, _ := VariableNamed("SPOUT_SOURCE")
	for i, name := range SourceNames() {
		s := Default()
		if s.Source = name; s.Layout().Stream == "" || s.Layout().Offset == "" {
			t.Errorf("%s has no words for its coordinates", name)
		}
		if source.Values[i].Name != name {
			t.Errorf("SPOUT_SOURCE may be %v", source.Values)
		}
	}
	for _, v := range Variables() {
		begins := ""
		for _, name := range SourceNames() {
			if strings.HasPrefix(v.Name, Prefix+strings.ToUpper(name)+"_") {
				begins = name
			}
		}
		if begins != v.Source {
			t.Errorf("%s belongs to %q", v.Name, v.Source)
		}
	}
}

// Variables of another source than the chosen one are refused, and their values
// are not looked at.
func TestVariablesOfOtherSources(t *testing.T) {
	t.Parallel()
	for _, v := range Variables() {
		for _, chosen := range append(SourceNames(), "another") {
			fix := otherSource(v, chosen)
			if wrong := v.Source != "" && v.Source != chosen; wrong != strings.Contains(fix, "is a setting of the source "+v.Source+", and SPOUT_SOURCE is "+chosen) {
				t.Errorf("%s with %s: %q", v.Name, chosen, fix)
			}
		}
	}
	_, err := Parse([]string{"SPOUT_SOURCE=nothing", "SPOUT_KAFKA_BROKERS=x"})
	if err == nil || !strings.Contains(err.Error(), `SPOUT_SOURCE="nothing" must be one of `+strings.Join(SourceNames(), ", ")) || strings.Contains(err.Error(), "BROKERS") {
		t.Errorf("a source that is not known: %v", err)
	}
}

// Each setting says what there is to say: an attribute, what it is, and a
// default that is one of the values that it may have.
func TestTheContractIsWhole(t *testing.T) {
	t.Parallel()
	attributes := map[string]string{}
	for _, v := range Variables() {
		if v.Attribute == "" && v.Name != "SPOUT_SOURCE" {
			t.Errorf("%s has no attribute", v.Name)
		}
		if other := attributes[v.Attribute+"."+v.Key]; other != "" {
			t.Errorf("%s and %s have the attribute %s", other, v.Name, v.Attribute)
		}
		attributes[v.Attribute+"."+v.Key] = v.Name
		if !strings.HasSuffix(v.Doc, ".") || strings.Contains(v.Doc, "´") || strings.Count(v.Documentation(), "`")%2 != 0 || strings.Contains(v.Doc, "PREFIX") {
			t.Errorf("%s: %s", v.Name, v.Documentation())
		}
		if v.Secret != (v.DefaultKey != "") || v.Secret != (v.Key != "") || v.Secret && v.Default != "" {
			t.Errorf("%s: secret %v, key %q, default key %q", v.Name, v.Secret, v.Key, v.DefaultKey)
		}
		if len(v.Values) > 0 && v.Default != "" && len(v.Check(v.Default)) > 0 {
			t.Errorf("%s has the default %s", v.Name, v.Default)
		}
		for _, value := range v.Values {
			if value.Meaning == "" {
				t.Errorf("%s does not say what %s is", v.Name, value.Name)
			}
		}
		for name := range strings.FieldsFuncSeq(v.Documentation(), func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') }) {
			if _, known := VariableNamed(name); strings.HasPrefix(name, Prefix) && !known {
				t.Errorf("%s speaks of %s, which there is not", v.Name, name)
			}
		}
		if said := WithAttributes(v.Documentation()); strings.Contains(said, Prefix) {
			t.Errorf("%s speaks of variables where it should of attributes: %s", v.Name, said)
		}
	}
}

// The same TLS and the same credentials are everywhere.
func TestTLSIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	fields := map[string][]string{}
	for _, v := range Variables() {
		if at, name, ok := strings.Cut(v.Attribute+"."+v.Key, ".tls."); ok {
			fields[at] = append(fields[at], name)
		}
	}
	want := []string{"server_name.", "ca_certificate.", "ca_file.", "certificate_file.", "private_key_file.", "client_certificate_secret.certificate_key", "client_certificate_secret.private_key_key"}
	for at, names := range fields {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
		if !slices.Equal(names, want) {
			t.Errorf("%s.tls has %v", at, names)
		}
	}
	if len(fields) < 2 {
		t.Errorf("TLS is in %v", fields)
	}
}
