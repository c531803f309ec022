// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

var (
	// quantityKind is a quantity as Kubernetes writes it, as 1Gi or 500M.
	quantityKind = &textKind{"Quantity", canonicalQuantity}
	// cpuKind is a number of CPUs as Kubernetes writes it, as 0.5 or 500m.
	cpuKind = &textKind{"CPUs", canonicalCPUs}
	// pemKind is text in PEM. Whether it holds certificates, settings.Validate knows.
	pemKind = &textKind{"PEM", func(s string) (string, error) { return settings.CanonicalPEM(s), nil }}
	// bytesKind is a number of bytes as the runner reads it, as 64MiB.
	bytesKind = &textKind{"Bytes", func(s string) (string, error) {
		b, err := settings.ParseBytes(s)
		return b.String(), err
	}}
	// durationKind is a length of time as Go writes it, as 1h30m.
	durationKind = &textKind{"Duration", func(s string) (string, error) {
		d, err := time.ParseDuration(s)
		if err != nil {
			return "", errors.New(`must be a length of time, such as "500ms", "10s", "5m" or "1h30m"`)
		}
		return d.String(), nil
	}}
	// timeKind is a point in time in RFC 3339, or a keyword.
	timeKind = &textKind{"Time", func(s string) (string, error) {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t.UTC().Format(time.RFC3339Nano), nil
		}
		return s, nil // a keyword; settings.Validate knows which there are
	}}
	// jsonPatchKind is a list of operations in JSON (RFC 6902).
	jsonPatchKind = &textKind{"JSONPatch", canonicalJSONPatch}
)

// jsonObjectKind is an object in JSON.
var jsonObjectKind = &textKind{"JSONObject", func(s string) (string, error) {
	var object map[string]any
	if err := json.Unmarshal([]byte(s), &object); err != nil || object == nil {
		return "", errors.New("must be a JSON object. Write it with jsonencode({...})")
	}
	return pachyderm.CanonicalPatch(s), nil
}}

func canonicalCPUs(s string) (string, error) {
	n, err := pachyderm.ParseCPUs(s)
	return strconv.FormatFloat(float64(n), 'g', -1, 32), err
}

func canonicalQuantity(s string) (string, error) {
	n, err := pachyderm.ParseQuantity(s)
	if err != nil {
		return "", err
	}
	return n.RatString(), nil
}

func canonicalJSONPatch(s string) (string, error) {
	decoder := json.NewDecoder(strings.NewReader(s))
	decoder.UseNumber()
	var operations []map[string]any
	if err := decoder.Decode(&operations); err != nil {
		return "", errors.New("must be a JSON patch (RFC 6902): a list of operations. Write it with jsonencode([...])")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("must be one JSON patch (RFC 6902) and nothing after it")
	}
	for i, operation := range operations {
		for _, key := range []string{"op", "path"} {
			if text, ok := operation[key].(string); !ok || text == "" && key == "op" {
				return "", fmt.Errorf("must be a JSON patch (RFC 6902); operation %d has no %q", i+1, key)
			}
		}
		if err := inPodSpec(operation["path"].(string)); err != nil {
			return "", err
		}
	}
	return pachyderm.CanonicalPatch(s), nil
}

// inPodSpec checks a path for the mistakes that come from writing a patch of a
// whole pod, where Pachyderm patches what is in its spec. Kubernetes would find
// them once the pod is made.
func inPodSpec(path string) error {
	field, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("has the path %q; a path begins with / and a field of the pod's spec", path)
	case field == "spec":
		return fmt.Errorf("has the path %q; paths begin inside of the pod's spec: write %q", path, "/"+rest)
	case field == "metadata":
		return fmt.Errorf("has the path %q; paths begin inside of the pod's spec. Set labels and annotations by the attribute metadata", path)
	case field == "kind" || field == "apiVersion" || field == "status":
		return fmt.Errorf("has the path %q; paths begin inside of the pod's spec, which has no %s", path, field)
	}
	return nil
}
