// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes is a number of bytes, written as 512, 64KiB, 64MiB, 1GiB, or with the
// decimal units kB, MB, GB. Kubernetes' short forms Ki, Mi, Gi, k, M, G are
// understood too.
type Bytes int64

var byteUnits = []struct {
	suffix string
	factor float64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}, {"B", 1},
}

// ParseBytes parses a number of bytes; see [Bytes] for the units.
func ParseBytes(s string) (Bytes, error) {
	number, factor := strings.TrimSpace(s), 1.0
	for _, unit := range byteUnits {
		if cut, ok := strings.CutSuffix(number, unit.suffix); ok {
			number, factor = strings.TrimSpace(cut), unit.factor
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || math.IsInf(n, 0) || math.IsNaN(n) || n*factor > math.MaxInt64/2 {
		return 0, fmt.Errorf("must be a number of bytes, such as 64MiB or 1GB: a number and perhaps one of KiB, MiB, GiB, TiB, kB, MB, GB and TB")
	}
	return Bytes(n * factor), nil
}

// UnmarshalText parses as [ParseBytes] does.
func (b *Bytes) UnmarshalText(text []byte) error {
	parsed, err := ParseBytes(string(text))
	if err == nil {
		*b = parsed
	}
	return err
}

// MarshalText renders with the largest binary unit that leaves a whole number.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b Bytes) String() string {
	for _, unit := range byteUnits[:4] {
		if f := Bytes(unit.factor); b >= f && b%f == 0 {
			return strconv.FormatInt(int64(b/f), 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// Duration is a length of time, written as Go does: 500ms, 10s, 1h30m.
type Duration time.Duration

// UnmarshalText parses as [time.ParseDuration] does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("must be a length of time, such as 500ms, 10s, 5m or 1h30m")
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText renders as [time.Duration] does, without zero parts: 1m, not 1m0s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }
