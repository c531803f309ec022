// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"math"
	"math/bits"
)

// Dates and times are read by hand: Go's parser knows neither years before
// Christ nor those of more than four digits.

const (
	microsPerDay  = 24 * 3600 * 1_000_000
	microsPerHour = 3600 * 1_000_000
)

// parseDate reads 2026-01-31, with as many digits of the year as it has.
func parseDate(b []byte, beforeChrist bool) (days int64, rest []byte, ok bool) {
	year, b, digits := parseDigits(b)
	if digits < 4 || digits > 6 && year > math.MaxInt32 || len(b) < 6 || b[0] != '-' || b[3] != '-' {
		return 0, nil, false
	}
	month, _, m := parseDigits(b[1:3])
	day, _, d := parseDigits(b[4:6])
	if m != 2 || d != 2 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, nil, false
	}
	if beforeChrist {
		year = 1 - year // there is no year 0
	}
	return daysFromCivil(year, month, day), b[6:], true
}

// daysFromCivil counts days since 1970 in the Gregorian calendar.
func daysFromCivil(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	ofEra := year - era*400
	ofYear := (153*((month+9)%12)+2)/5 + day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}

func parseDigits(b []byte) (n int64, rest []byte, digits int) {
	for digits < len(b) && digits < 18 && '0' <= b[digits] && b[digits] <= '9' {
		n = n*10 + int64(b[digits]-'0')
		digits++
	}
	return n, b[digits:], digits
}

// parseClock reads 12:34:56.789012.
func parseClock(b []byte) (micros int64, rest []byte, ok bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0, nil, false
	}
	hour, _, h := parseDigits(b[:2])
	minute, _, m := parseDigits(b[3:5])
	second, _, s := parseDigits(b[6:8])
	if h != 2 || m != 2 || s != 2 || hour > 24 || minute > 59 || second > 60 {
		return 0, nil, false
	}
	micros = hour*microsPerHour + minute*60_000_000 + second*1_000_000
	if b = b[8:]; len(b) > 0 && b[0] == '.' {
		fraction, rest, digits := parseDigits(b[1:])
		if digits == 0 || digits > 6 {
			return 0, nil, false
		}
		for range 6 - digits {
			fraction *= 10
		}
		micros, b = micros+fraction, rest
	}
	return micros, b, true
}

var (
	beforeChrist = []byte(" BC")
	utc          = []byte("+00")
)

// dateOf reads a date; it is not ok if it is infinite.
func dateOf(text []byte) (days int64, ok bool) {
	b, bc := bytes.CutSuffix(text, beforeChrist)
	days, rest, ok := parseDate(b, bc)
	return days, ok && len(rest) == 0 && days == int64(int32(days))
}

// timeOf reads a time of day; 24:00:00 is none that readers take.
func timeOf(text []byte) (micros int64, ok bool) {
	micros, rest, ok := parseClock(text)
	return micros, ok && len(rest) == 0 && micros < microsPerDay
}

// timestampOf reads a timestamp; it is not ok if it is infinite, or so late that
// 64 bits do not hold it.
func timestampOf(text []byte, zone bool) (micros int64, ok bool) {
	b, bc := bytes.CutSuffix(text, beforeChrist)
	if zone {
		if b, ok = bytes.CutSuffix(b, utc); !ok {
			return 0, false
		}
	}
	days, b, ok := parseDate(b, bc)
	if !ok || len(b) == 0 || b[0] != ' ' {
		return 0, false
	}
	clock, rest, ok := parseClock(b[1:])
	if !ok || len(rest) > 0 {
		return 0, false
	}
	high, low := bits.Mul64(uint64(max(days, -days)), microsPerDay)
	if high != 0 || low > math.MaxInt64-microsPerDay {
		return 0, false
	}
	if micros = int64(low); days < 0 {
		micros = -micros
	}
	return micros + clock, true
}
