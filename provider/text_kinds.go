// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

var (
	// quantityKind is a quantity as Kubernetes writes it, as 1Gi or 500M.
	quantityKind = &textKind{"Quantity", "512Mi", canonicalQuantity}
	// bytesKind is a number of bytes as the runner reads it, as 64MiB.
	bytesKind = &textKind{"Bytes", "64MiB", func(s string) (string, error) {
		b, err := settings.ParseBytes(s)
		return b.String(), err
	}}
	// durationKind is a length of time as Go writes it, as 1h30m.
	durationKind = &textKind{"Duration", "10s", func(s string) (string, error) {
		d, err := time.ParseDuration(s)
		if err != nil {
			return "", errors.New("must be a length of time")
		}
		return d.String(), nil
	}}
	// timeKind is a point in time in RFC 3339, or a keyword.
	timeKind = &textKind{"Time", "2026-01-31T00:00:00Z", func(s string) (string, error) {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t.UTC().Format(time.RFC3339Nano), nil
		}
		return s, nil // a keyword; settings.Validate knows which there are
	}}
	// jsonPatchKind is a list of operations in JSON (RFC 6902).
	jsonPatchKind = &textKind{"JSONPatch", `[{"op":"add","path":"/metadata","value":{}}]`, canonicalJSONPatch}
)

// jsonObjectKind is an object in JSON.
var jsonObjectKind = &textKind{"JSONObject", `{"hostNetwork":true}`, func(s string) (string, error) {
	var object map[string]any
	if err := json.Unmarshal([]byte(s), &object); err != nil || object == nil {
		return "", errors.New("must be a JSON object. Write it with jsonencode({...})")
	}
	b, err := json.Marshal(object)
	return string(b), err
}}

var quantityForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|m|k|M|G|T|P|E|[eE][-+]?[0-9]{1,2})?$`)

// quantityOf returns the number that a Kubernetes quantity stands for.
func quantityOf(s string) (*big.Rat, error) {
	m := quantityForm.FindStringSubmatch(s)
	if m == nil {
		return nil, errors.New("must be a quantity of Kubernetes: a number and perhaps one of Ki, Mi, Gi, Ti, k, M, G, T")
	}
	n, ok := new(big.Rat).SetString(strings.TrimSuffix(m[1], "."))
	if !ok {
		return nil, errors.New("must be a quantity of Kubernetes")
	}
	factor := new(big.Rat).SetInt64(1)
	suffix := m[2]
	switch {
	case suffix == "":
	case suffix == "m":
		factor.SetFrac64(1, 1000)
	case strings.HasSuffix(suffix, "i"):
		exponent := uint(strings.Index("KMGTPE", suffix[:1])+1) * 10
		factor.SetInt(new(big.Int).Lsh(big.NewInt(1), exponent))
	default:
		exponent := strings.Index("kMGTPE", suffix) * 3
		if exponent >= 0 && len(suffix) == 1 {
			exponent += 3
		} else if exponent, _ = strconv.Atoi(strings.TrimLeft(suffix, "eE")); exponent == 0 {
			exponent, _ = strconv.Atoi(strings.TrimPrefix(strings.TrimLeft(suffix, "eE"), "+"))
		}
		factor.SetString(fmt.Sprintf("1e%d", exponent))
	}
	return n.Mul(n, factor), nil
}

func canonicalQuantity(s string) (string, error) {
	n, err := quantityOf(s)
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
	}
	b, err := json.Marshal(operations)
	return string(b), err
}
