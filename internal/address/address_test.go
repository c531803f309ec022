// SPDX-License-Identifier: Apache-2.0

package address

import (
	"strings"
	"testing"
)

func TestRedacted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "",
		"kafka.example.com:9093":           "kafka.example.com:9093",
		"grpcs://pachd:443":                "grpcs://pachd:443",
		"https://registry/a/b":             "https://registry/a/b",
		"grpc://me:hunter2@pachd":          "grpc://(hidden)@pachd",
		"me:hunter2@pachd:443":             "(hidden)@pachd:443",
		"hunter2@pachd":                    "(hidden)@pachd",
		"ftp://me:hunter2@pachd/a":         "ftp://(hidden)@pachd/a",
		"https://me:h%zzunter2@p":          "https://(hidden)@p",
		"https://me:hunter2/@#?@p":         "https://(hidden)@p",
		"https://me:hunter2,x@p":           "https://(hidden)@p",
		"https://me:hunter2://x@p":         "https://(hidden)@p",
		"https://p/t?key=hunter2":          "https://p/t?(hidden)",
		"https://p/t#hunter2":              "https://p/t#(hidden)",
		"a:1,b:2":                          "a:1,b:2",
		"a:1,x://u:hunter2@b:2,c:3":        "(hidden)@b:2,c:3",
		"u:hunter2@a,x://b":                "(hidden)@a,x://b",
		"x://u:hun,ter2@a,x://u:hunter2@b": "x://(hidden)@b",
	} {
		got := Redacted(text)
		if got != want || strings.Contains(got, "hunter2") {
			t.Errorf("%s becomes %s, not %s", text, got, want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:9092": true, "localhost.:1": true, "127.0.0.1": true, "127.9.9.9:1": true, "::1": true, "[::1]:9092": true, "[::1]": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example.com": false, "127.0.0.1.example.com:1": false, "10.0.0.1:1": false, "0.0.0.0": false, "kafka:9092": false, "[fe80::1]:1": false, ":9092": false,
	} {
		if IsLoopback(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

func TestIsClearHTTP(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"http://login/token": true, "HTTP://login": true, "https://login": false, "http://127.0.0.1:8080/token": false, "http://localhost": false, "http://[::1]:1": false, "": false, "login": false,
	} {
		if IsClearHTTP(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
