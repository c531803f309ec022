// SPDX-License-Identifier: Apache-2.0

package record

import (
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// part is what a reference shows of a content: all of it or, of a time, its
// year, month, day, hour or minute. It is not ok if the content is no time.
func (r *Rules) part(of *settings.Reference, content []byte) (_ []byte, ok bool) {
	if of.Unit == "" {
		return content, true
	}
	length := settings.UnitLength(of.Unit)
	at := r.utc(content)
	if at == nil {
		return nil, false
	}
	if length <= len(datePattern) {
		return at[:length:length], true
	}
	r.moment = append(append(r.moment[:0], at...), "T00:00"...)[:length] // the hour of a date is 0
	for i, c := range r.moment {
		if c == 'T' || c == 't' || c == ' ' || c == ':' {
			r.moment[i] = '-'
		}
	}
	return r.moment, true
}

const (
	datePattern   = "0000-00-00"
	minutePattern = "0000-00-00T00:00"
)

// utc returns a date or time as 2006-01-02T15:04…, in UTC if it says where it
// is; nil if it is neither.
func (r *Rules) utc(content []byte) []byte {
	switch {
	case len(content) == len(datePattern) && fits(content, datePattern):
		return content
	case len(content) < len(minutePattern) || !fits(content, minutePattern):
		return nil
	}
	if last := content[len(content)-1]; last == 'Z' || last == 'z' || !hasOffset(content[len(minutePattern):]) {
		return content
	}
	at, err := time.Parse(time.RFC3339Nano, "2006-01-02T"+string(content[len("2006-01-02T"):]))
	if err != nil {
		return nil
	}
	date, err := time.Parse(time.DateOnly, string(content[:len(datePattern)]))
	if err != nil {
		return nil
	}
	_, offset := at.Zone()
	at = date.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute - time.Duration(offset)*time.Second)
	r.instant = at.AppendFormat(r.instant[:0], "2006-01-02T15:04")
	return r.instant
}

// fits says whether a text begins with digits where a pattern has them.
func fits(content []byte, pattern string) bool {
	for i := range len(pattern) {
		c := content[i]
		switch pattern[i] {
		case '0':
			if c < '0' || '9' < c {
				return false
			}
		case 'T':
			if c != 'T' && c != 't' && c != ' ' {
				return false
			}
		default:
			if c != pattern[i] {
				return false
			}
		}
	}
	return true
}

func hasOffset(rest []byte) bool {
	for _, c := range rest {
		if c == '+' || c == '-' {
			return true
		}
	}
	return false
}
