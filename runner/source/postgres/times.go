// SPDX-License-Identifier: Apache-2.0

package postgres

import "bytes"

// Dates and times are read by hand, for speed. Columns hold the years 1 to 9999:
// Python, and with it pyarrow, pandas, Polars and fastavro, knows no others, and
// refuses a whole file for one of them.

const (
	microsPerDay  = 24 * 3600 * 1_000_000
	microsPerHour = 3600 * 1_000_000
)

// parseDate reads 2026-01-31.
func parseDate(b []byte) (days int64, rest []byte, ok bool) {
	year, b, digits := parseDigits(b)
	if digits != 4 || year == 0 || len(b) < 6 || b[0] != '-' || b[3] != '-' {
		return 0, nil, false
	}
	month, _, m := parseDigits(b[1:3])
	day, _, d := parseDigits(b[4:6])
	if m != 2 || d != 2 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, nil, false
	}
	return daysFromCivil(year, month, day), b[6:], true
}

// daysFromCivil counts days since 1970 in the Gregorian calendar.
func daysFromCivil(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400
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

var utc = []byte("+00")

// dateOf reads a date; it is not ok if it is infinite, or of a year that columns
// do not hold, as 0044-03-15 BC.
func dateOf(text []byte) (days int64, ok bool) {
	days, rest, ok := parseDate(text)
	return days, ok && len(rest) == 0
}

// timeOf reads a time of day; 24:00:00 is none that readers take.
func timeOf(text []byte) (micros int64, ok bool) {
	micros, rest, ok := parseClock(text)
	return micros, ok && len(rest) == 0 && micros < microsPerDay
}

// timestampOf reads a timestamp; it is not ok if it is infinite, or of a year
// that columns do not hold.
func timestampOf(text []byte, zone bool) (micros int64, ok bool) {
	if zone {
		if text, ok = bytes.CutSuffix(text, utc); !ok {
			return 0, false
		}
	}
	days, text, ok := parseDate(text)
	if !ok || len(text) == 0 || text[0] != ' ' {
		return 0, false
	}
	clock, rest, ok := parseClock(text[1:])
	return days*microsPerDay + clock, ok && len(rest) == 0 && clock < microsPerDay
}
