// SPDX-License-Identifier: Apache-2.0

package webhook

import "time"

// tellAgain is how often the log is told of a trouble that senders can cause as
// often as they like.
const tellAgain = 10 * time.Second

// sparing tells the log of one kind of trouble now and then.
type sparing struct {
	told    time.Time
	omitted int // since then
}

// may says whether the log is to be told now, and how often it was not before.
func (s *sparing) may(now time.Time) (omitted int, ok bool) {
	if now.Sub(s.told) < tellAgain {
		s.omitted++
		return 0, false
	}
	omitted, s.told, s.omitted = s.omitted, now, 0
	return omitted, true
}
