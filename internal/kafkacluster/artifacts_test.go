// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	t.Parallel()
	all, err := artifacts(lock)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, a := range all {
		versions[a.name] = a.version
	}
	if versions["kafka_2.13"] != Version || versions["kafka-clients"] != Version {
		t.Errorf("the lock has kafka %s and its clients %s, and Version is %s", versions["kafka_2.13"], versions["kafka-clients"], Version)
	}
	project, err := projectFile(all)
	if err != nil {
		t.Fatal(err)
	}
	if have := strings.Count(string(project), "<dependency>"); have != len(all) {
		t.Errorf("the project has %d dependencies, should have %d:\n%s", have, len(all), project)
	}
	for _, bad := range []string{"a:b:1", "a:b 0123", "a:b:1 0123"} {
		if _, err := artifacts(bad); err == nil {
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
