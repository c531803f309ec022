// SPDX-License-Identifier: Apache-2.0

package provider

import "testing"

func TestTextsOfOneMeaning(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind *textKind
		a, b string
		same bool
	}{
		{quantityKind, "1Gi", "1024Mi", true},
		{quantityKind, "1Gi", "1073741824", true},
		{quantityKind, "0.5Gi", "512Mi", true},
		{quantityKind, "1G", "1000M", true},
		{quantityKind, "1G", "1e9", true},
		{quantityKind, "1k", "1000", true},
		{quantityKind, "1E", "1e+18", true},
		{quantityKind, "1000m", "1", true},
		{quantityKind, "5e-1", "500m", true},
		{quantityKind, ".5", "0.5", true},
		{quantityKind, "1Gi", "1G", false},
		{quantityKind, "1e3", "1e4", false},
		{quantityKind, "1E", "1Ei", false},
		{cpuKind, "500m", "0.5", true},
		{cpuKind, "0.1", "100m", true},
		{cpuKind, "1", "1001m", false},
		{pemKind, testPEM, "\n" + testPEM + "\r\n", true},
		{pemKind, testPEM, testPEM + testPEM, false},
		{jsonObjectKind, `{}`, ` { } `, true},
		{bytesKind, "64MiB", "64Mi", true},
		{bytesKind, "1GiB", "1GB", false},
		{durationKind, "90s", "1m30s", true},
		{durationKind, "1m", "1h", false},
		{timeKind, "2026-01-31T01:00:00+01:00", "2026-01-31T00:00:00Z", true},
		{timeKind, "earliest", "latest", false},
		{jsonPatchKind, `[{"op":"add","path":"/a","value":{"x":1,"y":2}}]`, ` [ {"path":"/a","value":{"y":2,"x":1},"op":"add"} ]`, true},
		{jsonPatchKind, `[{"op":"add","path":"/a","value":1.0}]`, `[{"op":"add","path":"/a","value":1}]`, false},
		{jsonPatchKind, `[]`, `[{"op":"remove","path":"/a"}]`, false},
	} {
		for _, text := range []string{c.a, c.b} {
			if _, err := c.kind.canonical(text); err != nil {
				t.Errorf("%s %q: %v", c.kind.name, text, err)
			}
		}
		if c.kind.equal(c.a, c.b) != c.same {
			t.Errorf("%s: that %q and %q are the same is not %v", c.kind.name, c.a, c.b, c.same)
		}
	}
	for _, c := range []struct {
		kind *textKind
		text string
	}{
		{quantityKind, ""}, {quantityKind, "1 Gi"}, {quantityKind, "Gi"}, {quantityKind, "1GB"}, {quantityKind, "-1"}, {quantityKind, "1K"}, {quantityKind, "."},
		{cpuKind, "-1"}, {cpuKind, "one"}, {cpuKind, "1e9"}, {bytesKind, "x"}, {bytesKind, "-1"}, {durationKind, "1"}, {durationKind, "x"},
		{jsonPatchKind, ""}, {jsonPatchKind, "{}"}, {jsonPatchKind, "[] []"}, {jsonPatchKind, `[{"op":"add"}]`}, {jsonPatchKind, `[1]`},
	} {
		if got, err := c.kind.canonical(c.text); err == nil {
			t.Errorf("%s: %q is taken for %q", c.kind.name, c.text, got)
		}
	}
	if shortest(0.1) != "0.1" {
		t.Error("a CPU share is not read as it was written")
	}
}
