// SPDX-License-Identifier: Apache-2.0

package artifacts

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	began := time.Unix(0, 0)
	for want, p := range map[string]*Progress{
		"3 packages compiled":                          {compiled: 3},
		"5 of 100 packages compiled":                   {compiled: 5, total: 100},
		"101 packages compiled":                        {compiled: 101, total: 100},
		"7 modules downloaded, 0 packages":             {downloaded: 7},
		"25 of 100 packages compiled, about 3m0s left": {compiled: 25, total: 100},
		"100 of 100 packages compiled, about 0s left":  {compiled: 100, total: 100},
	} {
		p.began, p.now = began, func() time.Time { return began.Add(time.Minute) }
		if is := p.String(); !strings.HasPrefix(is, want) {
			t.Errorf("%q, not %q", is, want)
		}
	}
}

// Only what the build cache does not have is counted.
func TestCount(t *testing.T) {
	t.Parallel()
	if p := Count(exec.Command("printf", "build ID mismatch\n\nnot installed but available in build cache\nstale dependency: a\n")); p.total != 2 {
		t.Errorf("%d packages", p.total)
	}
	if p := Count(exec.Command("false")); p.total != 0 || !strings.Contains(p.String(), "0 packages compiled") {
		t.Errorf("%d packages: %s", p.total, p)
	}
}

// A build that fails says why.
func TestWatch(t *testing.T) {
	t.Parallel()
	p := Count(exec.Command("false"))
	err := p.Watch(exec.Command("sh", "-c", "echo go: downloading a >&2; echo some/package >&2; echo a.go:1: it is wrong >&2; exit 1"), func(string) {})
	if err == nil || !strings.Contains(err.Error(), "it is wrong") || strings.Contains(err.Error(), "some/package") || p.compiled != 1 || p.downloaded != 1 {
		t.Errorf("%v, %d compiled, %d downloaded", err, p.compiled, p.downloaded)
	}
}
