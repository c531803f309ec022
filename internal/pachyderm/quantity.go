// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

var quantityForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|m|k|M|G|T|P|E|[eE][-+]?[0-9]{1,2})?$`)

// ParseQuantity returns the number that a quantity of Kubernetes stands for,
// as 1073741824 for 1Gi.
func ParseQuantity(s string) (*big.Rat, error) {
	m := quantityForm.FindStringSubmatch(s)
	if m == nil {
		return nil, errors.New("must be a quantity of Kubernetes, such as 512Mi: a number and perhaps one of Ki, Mi, Gi, Ti, k, M, G and T")
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

// maxCPUs is more than any machine has.
const maxCPUs = 100000

// ParseCPUs returns the number of CPUs that a quantity of Kubernetes stands
// for, as 0.5 for 500m. Pachyderm keeps it in 32 bits.
func ParseCPUs(s string) (float32, error) {
	n, err := ParseQuantity(s)
	if err != nil || n.Cmp(big.NewRat(maxCPUs, 1)) > 0 {
		return 0, errors.New("must be a number of CPUs, such as 0.5 or 500m")
	}
	cpus, _ := n.Float32()
	return cpus, nil
}

// sameQuantities writes quantities in one way.
func sameQuantities(fields map[string]any) {
	for _, name := range []string{"resourceRequests", "resourceLimits", "sidecarResourceRequests", "sidecarResourceLimits"} {
		resources := inside(fields, name)
		for _, part := range []string{"memory", "disk"} {
			text, _ := resources[part].(string)
			if n, err := ParseQuantity(text); err == nil {
				resources[part] = n.RatString()
			}
		}
	}
}
