// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// checkRange compares a partition's next offset with the range that its log
// has, and applies the policy if it is not in there.
func (s *Source) checkRange(q *question) error {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	p := q.p
	if q.changed() {
		return nil
	}
	switch {
	case q.start > q.end:
		p.fault(fmt.Errorf("the broker says that the log begins at offset %d and ends at %d", q.start, q.end))
		return nil
	case q.next < q.start:
		p.beyond = 0
		if p.given && s.config.OnOutOfRange == "stop" {
			return q.wrongStart()
		}
		return s.reposition(q, "these records are no longer kept (retention, or they were deleted)")
	case q.diverged >= 0 && q.next > q.start: // or all that could be compared is deleted
		return s.cutOff(q, fmt.Sprintf("it was cut off at offset %d and written again (an unclean leader election)", q.diverged))
	case q.next > q.end:
		// A new leader may not know the end of its log yet.
		if p.beyond++; p.beyond < 3 {
			p.fault(errors.New("next offset lies beyond the end"))
			return nil
		}
		if p.given {
			return q.wrongStart()
		}
		return s.cutOff(q, fmt.Sprintf("it was cut off at offset %d or below (an unclean leader election, or lost disks)", q.end))
	}
	p.state, p.checkRange, p.given, p.beyond = stateFetch, false, false, 0
	s.wakeReader(p)
	return nil
}

// wrongStart returns the error for a start offset that the log does not have.
func (q *question) wrongStart() error {
	return stopf("SPOUT_KAFKA_START_OFFSETS says to begin topic %s partition %d at offset %d, but its log has the offsets [%d,%d): set it to one of these, or to %d for what is written from now on",
		q.p.stream.Name, q.p.stream.Partition, q.next, q.start, q.end, q.end)
}

// cutOff sees to a log that was cut off below where it was to be read on. If
// records were read there, there is no policy for that: files have names made of
// offsets, and records that get offsets a second time would take the place of
// others. The table is locked.
func (s *Source) cutOff(q *question, why string) error {
	if q.p.passed {
		return s.takeBack(q, why)
	}
	return stopf("the log of topic %s partition %d lost records that were read already: offsets up to %d were read, and now it has the offsets [%d,%d); %s. If it continued, offsets that were read before would be used again for other records, whose files would replace those written before, so reading stops whatever SPOUT_KAFKA_ON_OUT_OF_RANGE says. Either restore the brokers' data, or start over with another output branch or spout",
		q.p.stream.Name, q.p.stream.Partition, q.next-1, q.start, q.end, why)
}

// takeBack applies the policy for a log that has not got as far as the offset
// to read next, where no record was read right before that offset: it was
// passed over to there, or begun there, as a broker said that there is nothing
// before it. Going back to what was read then loses nothing and uses no offset
// twice. That place is checked as any other is. The table is locked.
func (s *Source) takeBack(q *question, why string) error {
	p := q.p
	read := p.apart.read
	to := fmt.Sprintf("offset %d, up to which records were read", read.Next)
	if read.Next < 0 {
		to = "the start, as no record of it was read"
	}
	if s.config.OnOutOfRange == "stop" {
		return stopf("topic %s partition %d was to be read from offset %d on, but its log has the offsets [%d,%d); %s. Set SPOUT_KAFKA_ON_OUT_OF_RANGE=earliest or latest to go back to %s",
			p.stream.Name, p.stream.Partition, q.next, q.start, q.end, why, to)
	}
	s.log.Warn("the log ends before the offset to read next; going back to "+to, "topic", p.stream.Name, "partition", p.stream.Partition,
		"wanted", q.next, "log_start", q.start, "log_end", q.end, "reason", why)
	p.state, p.checkRange, p.beyond, p.retryAt = stateCheck, true, 0, time.Time{}
	p.setPlace(mark{Next: max(read.Next, 0), Epoch: read.Epoch})
	if read.Next < 0 {
		p.state, p.checkRange = stateStart, false
	}
	s.table.refresh = true
	s.kick()
	return nil
}

// reposition applies the policy for a partition whose next records are gone.
func (s *Source) reposition(q *question, why string) error {
	p := q.p
	var to int64
	switch s.config.OnOutOfRange {
	case "earliest":
		to = q.start
	case "latest":
		to = q.end
	default:
		return stopf("topic %s partition %d cannot be read on at offset %d: the broker has the offsets [%d,%d); %s. Set SPOUT_KAFKA_ON_OUT_OF_RANGE=earliest or latest to continue there and accept the gap, or start over with another spout or output branch",
			p.stream.Name, p.stream.Partition, q.next, q.start, q.end, why)
	}
	s.log.Warn("records are gone; continuing elsewhere", "topic", p.stream.Name, "partition", p.stream.Partition,
		"wanted", q.next, "log_start", q.start, "log_end", q.end, "next", to, "reason", why)
	p.gap = &source.Gap{From: q.next, To: to, Reason: why}
	p.pass(to, -1)
	p.checkRange, p.given, p.state = false, false, stateAnnounce
	s.kick()
	return nil
}
