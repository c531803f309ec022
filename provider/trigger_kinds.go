// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	// triggerSizeKind is an amount of data as Pachyderm's triggers read it.
	triggerSizeKind = &textKind{"Size", canonicalTriggerSize}
	// scheduleKind is a schedule as cron knows it, with Pachyderm's additions.
	scheduleKind = &textKind{"Schedule", canonicalSchedule}
)

var triggerSizeForm = regexp.MustCompile(`^(\d+(?:\.\d+)?) ?([kKmMgGtTpP]?)[iI]?[bB]?$`)

// canonicalTriggerSize is the number of bytes. All units are powers of 1000.
func canonicalTriggerSize(s string) (string, error) {
	m := triggerSizeForm.FindStringSubmatch(s)
	if m == nil {
		return "", errors.New("must be an amount of data, such as 100MB: a number and perhaps one of k, M, G, T and P")
	}
	n, ok := new(big.Rat).SetString(m[1])
	if !ok {
		return "", errors.New("must be an amount of data")
	}
	if m[2] != "" {
		power := strings.Index("KMGTP", strings.ToUpper(m[2])) + 1
		factor, _ := new(big.Rat).SetString(fmt.Sprintf("1e%d", 3*power))
		n.Mul(n, factor)
	}
	if n.Sign() == 0 {
		return "", errors.New("must be more than 0")
	}
	return n.RatString(), nil
}

var (
	descriptors = []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@never"}
	cronFields  = []struct {
		name      string
		low, high int
		words     []string // for low and what follows
	}{
		{"minute", 0, 59, nil},
		{"hour", 0, 23, nil},
		{"day of the month", 1, 31, nil},
		{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
		{"day of the week", 0, 6, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	}
	cronPart = regexp.MustCompile(`^(?:\*|\?|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:/([0-9]+))?$`)
)

func canonicalSchedule(s string) (string, error) {
	fields := strings.Fields(strings.ToLower(s))
	spec := strings.Join(fields, " ")
	if len(fields) > 0 && strings.HasPrefix(fields[0], "tz=") {
		fields = fields[1:]
	}
	switch {
	case len(fields) == 1 && slices.Contains(descriptors, fields[0]):
		return spec, nil
	case len(fields) == 2 && fields[0] == "@every":
		d, err := time.ParseDuration(fields[1])
		if err != nil || d <= 0 {
			return "", errors.New("must have a length of time after @every, for example @every 10m")
		}
		return strings.TrimSuffix(spec, fields[1]) + d.String(), nil
	case len(fields) != len(cronFields):
		return "", errors.New("must be a schedule: the five fields of cron (minute, hour, day of the month, month, day of the week), @hourly, @daily, @weekly, @monthly, @yearly or @every 10m")
	}
	for i, field := range cronFields {
		number := func(text string) (int, bool) {
			if at := slices.Index(field.words, text); at >= 0 {
				return field.low + at, true
			}
			n, err := strconv.Atoi(text)
			return n, err == nil && n >= field.low && n <= field.high
		}
		for part := range strings.SplitSeq(fields[i], ",") {
			m := cronPart.FindStringSubmatch(part)
			ok := m != nil && m[3] != "0"
			if ok && m[1] != "" {
				var from, to int
				from, ok = number(m[1])
				if to = from; ok && m[2] != "" {
					to, ok = number(m[2])
				}
				ok = ok && from <= to
			}
			if !ok {
				return "", fmt.Errorf("must be a schedule; %q is not a %s of cron (%d to %d)", part, field.name, field.low, field.high)
			}
		}
	}
	return spec, nil
}
