// SPDX-License-Identifier: Apache-2.0

//go:build linux

package java

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0", 64)
	p := Program{Name: "p", Version: "1", Lock: "# a comment\n\na:b:1 " + sum + "\na:c:2:tar.gz:all " + sum + "\n"}
	all, err := p.Artifacts()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].File() != "b-1.jar" || all[1].File() != "c-2-all.tar.gz" {
		t.Errorf("the artifacts are %v", all)
	}
	project, err := projectFile(p, all)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{"<dependency>": 2, "<type>tar.gz</type>": 1, "<classifier>all</classifier>": 1, "<groupId>*</groupId>": 2} {
		if have := strings.Count(string(project), text); have != want {
			t.Errorf("the project has %s %d times, should have it %d times:\n%s", text, have, want, project)
		}
	}
	for _, bad := range []string{"a:b:1", "a:b 0123", "a:b:1 0123", "a:b:1:zip " + sum} {
		if _, err := (Program{Lock: bad}).Artifacts(); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a-1.jar")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, appendix B.1
	if err := verify(path, sum); err != nil {
		t.Error(err)
	}
	if err := verify(path, strings.Repeat("0", len(sum))); err == nil || !strings.Contains(err.Error(), sum) {
		t.Errorf("another checksum: %v", err)
	}
}

func TestJavaVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment": 17,
		`openjdk version "21" 2023-09-19`:                                     21,
		`java version "1.8.0_411"`:                                            1,
		"nonsense":                                                            0,
	} {
		if have := javaVersion(text); have != want {
			t.Errorf("%q is version %d, should be %d", text, have, want)
		}
	}
}
