// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

var errNoLeader = errors.New("it has no leader now")

// question is a partition that the supervisor asks its leader about, as the
// table had it when the asking began.
type question struct {
	p           *partition
	state       state
	leaderEpoch int32
	next        int64
	nextEpoch   int32
	checkRange  bool
	diverged    int64 // where the log went another way than what was read, -1 if it did not
	start, end  int64 // of the log
}

// settle finds out, for all partitions that are due, where they begin or
// whether they can be read on. The error is a Stop, or ctx's.
func (s *Source) settle(ctx context.Context) error {
	t := &s.table
	byAddress := map[string][]*question{}
	now := time.Now()
	t.mu.Lock()
	t.each(func(p *partition) {
		if p.settled() || p.retryAt.After(now) {
			return
		}
		b := t.brokers[p.leader]
		if b == nil || p.topic.missing {
			p.fault(errNoLeader)
			return
		}
		byAddress[b.address] = append(byAddress[b.address], &question{p: p, state: p.state, leaderEpoch: p.leaderEpoch,
			next: p.next, nextEpoch: p.nextEpoch, checkRange: p.checkRange, diverged: -1})
	})
	t.mu.Unlock()
	var wait sync.WaitGroup
	var mu sync.Mutex
	var stop error
	for address, questions := range byAddress {
		wait.Go(func() {
			if err := s.settleAt(ctx, address, questions); source.IsStop(err) {
				mu.Lock()
				stop = err
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if stop != nil {
		return stop
	}
	return ctx.Err()
}

// settleAt settles partitions of one leader.
func (s *Source) settleAt(ctx context.Context, address string, questions []*question) error {
	var starts, checks, ranges []*question
	for _, q := range questions {
		switch {
		case q.state == stateStart:
			starts = append(starts, q)
		case q.nextEpoch >= 0:
			checks = append(checks, q)
		case q.checkRange:
			ranges = append(ranges, q)
		default:
			s.settled(q)
		}
	}
	if len(starts) > 0 {
		s.resolveStarts(ctx, address, starts)
	}
	if len(checks) > 0 {
		for _, q := range s.compareEpochs(ctx, address, checks) {
			if q.checkRange || q.diverged >= 0 {
				ranges = append(ranges, q)
			} else {
				s.settled(q)
			}
		}
	}
	if len(ranges) == 0 {
		return nil
	}
	at := func(time int64) func(*question) int64 { return func(*question) int64 { return time } }
	ranges = s.listOffsets(ctx, address, ranges, at(startEarliest), false, func(q *question, offset int64) { q.start = offset })
	if len(ranges) > 0 {
		ranges = s.listOffsets(ctx, address, ranges, at(startLatest), false, func(q *question, offset int64) { q.end = offset })
	}
	for _, q := range ranges {
		if err := s.checkRange(q); err != nil {
			return err
		}
	}
	return nil
}

// changed says whether the table's partition is no longer what was asked
// about. Then the answer is of no use.
func (q *question) changed() bool {
	return q.p.state != q.state || q.p.next != q.next || q.p.leaderEpoch != q.leaderEpoch
}

// settled gives a partition to its leader's fetch loop.
func (s *Source) settled(q *question) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	if q.changed() {
		return
	}
	q.p.state, q.p.checkRange, q.p.given = stateFetch, false, false
	s.wakeReader(q.p)
}

// wakeReader tells the fetch loop of the broker that a partition is read from
// that there is something to do.
func (s *Source) wakeReader(p *partition) {
	if b := s.table.brokers[p.reader()]; b != nil && s.running != nil {
		b.wakeUp()
	}
}

// failed notes that asking about a partition failed.
func (s *Source) failed(q *question, err error, doing string) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	q.p.fault(err)
	if !errors.Is(err, context.Canceled) {
		s.report(q.p, err, doing)
	}
}

// configuredStart returns the timestamp that asks a broker for the configured
// start.
func (s *Source) configuredStart() int64 {
	if at, ok := s.config.StartTime(); ok {
		return at.UnixMilli()
	}
	if s.config.Start == "latest" {
		return startLatest
	}
	return startEarliest
}

// resolveStarts finds out where partitions begin.
func (s *Source) resolveStarts(ctx context.Context, address string, questions []*question) {
	var none []*question
	begin := func(q *question, offset int64) {
		s.table.mu.Lock()
		defer s.table.mu.Unlock()
		p := q.p
		if q.changed() {
			return
		}
		p.setPlace(mark{Next: p.begin(), Epoch: -1})
		p.pass(offset, -1)
		p.state, p.begun = stateAnnounce, true
		p.consumed.Store(offset)
		p.highWatermark.Store(offset)
	}
	committed := s.config.Isolation == "read_committed"
	found := s.listOffsets(ctx, address, questions, func(q *question) int64 { return q.p.startTime }, committed,
		func(q *question, offset int64) { q.start = offset })
	for _, q := range found {
		if q.start < 0 { // no record is as late as the start time
			none = append(none, q)
		} else {
			begin(q, q.start)
		}
	}
	if len(none) > 0 {
		end := func(*question) int64 { return startLatest }
		for _, q := range s.listOffsets(ctx, address, none, end, committed, func(q *question, offset int64) { q.start = offset }) {
			begin(q, q.start)
		}
	}
}

// listOffsets asks for one offset of each partition, calls found with it, and
// returns the partitions for which that worked.
func (s *Source) listOffsets(ctx context.Context, address string, questions []*question, at func(*question) int64,
	committed bool, found func(*question, int64)) []*question {
	const doing = "asking for offsets"
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	if committed {
		request.IsolationLevel = 1
	}
	for topic, some := range byTopic(questions) {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for _, q := range some {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.Timestamp = q.p.stream.Partition, q.leaderEpoch, at(q)
			t.Partitions = append(t.Partitions, p)
		}
		request.Topics = append(request.Topics, t)
	}
	answer, err := s.ask(ctx, &s.control, address, request)
	if err != nil {
		for _, q := range questions {
			s.failed(q, err, doing)
		}
		return nil
	}
	answers := s.match(questions, doing)
	for _, t := range answer.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			q := answers.take(t.Topic, p.Partition, p.ErrorCode)
			if q == nil {
				continue
			}
			if none := p.Offset == -1 && at(q) >= 0; p.Offset == math.MaxInt64 || p.Offset < 0 && !none {
				answers.refuse(q, fmt.Errorf("the broker says that it is at offset %d, which is none", p.Offset))
				continue
			}
			found(q, p.Offset)
		}
	}
	return answers.end()
}

// compareEpochs asks up to where the logs still hold the leader epochs that
// were read last, notes where they do not, and returns the partitions for
// which that worked.
func (s *Source) compareEpochs(ctx context.Context, address string, questions []*question) []*question {
	const doing = "comparing leader epochs"
	request := kmsg.NewPtrOffsetForLeaderEpochRequest()
	request.ReplicaID = -1
	for topic, some := range byTopic(questions) {
		t := kmsg.NewOffsetForLeaderEpochRequestTopic()
		t.Topic = topic
		for _, q := range some {
			p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = q.p.stream.Partition, q.leaderEpoch, q.nextEpoch
			t.Partitions = append(t.Partitions, p)
		}
		request.Topics = append(request.Topics, t)
	}
	answer, err := s.ask(ctx, &s.control, address, request)
	if errors.Is(err, errVersion) {
		return questions // before Kafka 2.3; the range of offsets has to do
	}
	if err != nil {
		for _, q := range questions {
			s.failed(q, err, doing)
		}
		return nil
	}
	answers := s.match(questions, doing)
	for _, t := range answer.(*kmsg.OffsetForLeaderEpochResponse).Topics {
		for _, p := range t.Partitions {
			q := answers.take(t.Topic, p.Partition, p.ErrorCode)
			if q == nil {
				continue
			}
			// No end at all means that the broker does not know the epoch;
			// then the range of offsets has to do.
			if p.EndOffset >= 0 && p.EndOffset < q.next {
				q.diverged = p.EndOffset
			}
		}
	}
	return answers.end()
}

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
		return s.cutOff(q, fmt.Sprintf("it was cut off at offset %d and written anew (an unclean leader election)", q.diverged))
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
	return stopf("the log of topic %s partition %d lost records that were read already: offsets up to %d were read, and now it has the offsets [%d,%d); %s. To go on, offsets that were read before would be used again for other records, whose files would replace those written before, so reading stops whatever SPOUT_KAFKA_ON_OUT_OF_RANGE says. Either restore the brokers' data, or begin anew with another output branch or spout",
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
		return stopf("topic %s partition %d cannot be read on at offset %d: the broker has the offsets [%d,%d); %s. Set SPOUT_KAFKA_ON_OUT_OF_RANGE=earliest or latest to go on there and accept the gap, or begin anew with another spout or output branch",
			p.stream.Name, p.stream.Partition, q.next, q.start, q.end, why)
	}
	s.log.Warn("records are gone; going on elsewhere", "topic", p.stream.Name, "partition", p.stream.Partition,
		"wanted", q.next, "log_start", q.start, "log_end", q.end, "next", to, "reason", why)
	p.gap = &source.Gap{From: q.next, To: to, Reason: why}
	p.pass(to, -1)
	p.checkRange, p.given, p.state = false, false, stateAnnounce
	s.kick()
	return nil
}

// answers matches a broker's answer with what was asked.
type answers struct {
	source *Source
	doing  string
	open   map[place]*question // not answered yet
	done   []*question
}

func (s *Source) match(questions []*question, doing string) *answers {
	return &answers{source: s, doing: doing, open: byPlace(questions)}
}

// take returns the question that is answered, or nil if it was not asked or
// the answer is an error, which then is noted.
func (a *answers) take(topic string, partition int32, code int16) *question {
	at := place{topic, partition}
	q := a.open[at]
	if q == nil {
		return nil
	}
	delete(a.open, at)
	if err := codeError(code); err != nil {
		a.source.failed(q, err, a.doing)
		return nil
	}
	a.done = append(a.done, q)
	return q
}

// refuse takes back a question whose answer is of no use.
func (a *answers) refuse(q *question, err error) {
	a.done = slices.DeleteFunc(a.done, func(d *question) bool { return d == q })
	a.source.failed(q, err, a.doing)
}

// end returns the questions that were answered, and notes those left out.
func (a *answers) end() []*question {
	for _, q := range a.open {
		a.source.failed(q, errors.New("the broker's answer leaves it out"), a.doing)
	}
	return a.done
}

// place is a partition of a topic by name.
type place struct {
	topic     string
	partition int32
}

func byTopic(questions []*question) map[string][]*question {
	out := map[string][]*question{}
	for _, q := range questions {
		out[q.p.stream.Name] = append(out[q.p.stream.Name], q)
	}
	return out
}

func byPlace(questions []*question) map[place]*question {
	out := make(map[place]*question, len(questions))
	for _, q := range questions {
		out[place{q.p.stream.Name, q.p.stream.Partition}] = q
	}
	return out
}
