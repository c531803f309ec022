// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

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
