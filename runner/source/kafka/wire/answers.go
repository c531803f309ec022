// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AnswerTo returns what the answer to a request is read into.
func AnswerTo(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind()
	if m, ok := response.(*kmsg.MetadataResponse); ok {
		return &Metadata{MetadataResponse: *m}
	}
	return response
}

// ReadAnswer reads an answer's body, as far as it is of use here. The library's
// own readers take memory for what an array claims to hold, and for each tag
// that they do not know: a hundred times as much as the answer has.
func ReadAnswer(response kmsg.Response, body []byte) error {
	w := &Reader{Data: body}
	version, flexible := response.GetVersion(), response.IsFlexible()
	switch r := response.(type) {
	case *kmsg.ApiVersionsResponse:
		r.ErrorCode = w.int16()
		w.each(flexible, func() {
			r.ApiKeys = append(r.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: w.int16(), MinVersion: w.int16(), MaxVersion: w.int16()})
		})
	case *kmsg.SASLHandshakeResponse:
		r.ErrorCode = w.int16()
		w.each(flexible, func() { r.SupportedMechanisms = append(r.SupportedMechanisms, string(w.bytes(flexible, 2))) })
	case *kmsg.SASLAuthenticateResponse:
		r.ErrorCode, r.ErrorMessage, r.SASLAuthBytes = w.int16(), w.text(flexible), w.bytes(flexible, 4)
		if version >= 1 {
			r.SessionLifetimeMillis = w.int64()
		}
	case *Metadata:
		w.metadata(r)
	case *kmsg.ListOffsetsResponse:
		w.listOffsets(r)
	case *kmsg.OffsetForLeaderEpochResponse:
		w.int32() // throttle time
		w.each(flexible, func() {
			t := kmsg.OffsetForLeaderEpochResponseTopic{Topic: string(w.bytes(flexible, 2))}
			w.each(flexible, func() {
				t.Partitions = append(t.Partitions, kmsg.OffsetForLeaderEpochResponseTopicPartition{
					ErrorCode: w.int16(), Partition: w.int32(), LeaderEpoch: w.int32(), EndOffset: w.int64()})
			})
			if len(t.Partitions) > 0 {
				r.Topics = append(r.Topics, t)
			}
		})
	case *kmsg.FindCoordinatorResponse:
		w.int32() // throttle time
		r.ErrorCode, r.ErrorMessage = w.int16(), w.text(flexible)
		r.NodeID, r.Host, r.Port = w.int32(), string(w.bytes(flexible, 2)), w.int32()
	case *kmsg.OffsetCommitResponse:
		if version >= 3 {
			w.int32() // throttle time
		}
		w.each(flexible, func() {
			t := kmsg.OffsetCommitResponseTopic{Topic: string(w.bytes(flexible, 2))}
			w.each(flexible, func() {
				t.Partitions = append(t.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: w.int32(), ErrorCode: w.int16()})
			})
			if len(t.Partitions) > 0 {
				r.Topics = append(r.Topics, t)
			}
		})
	default:
		return fmt.Errorf("no answer of this kind is read: %T", response)
	}
	if w.Bad {
		return ErrShort
	}
	return nil
}

// MaxBrokers is how many brokers of a cluster are accepted; no more than one
// above are read.
const MaxBrokers = 1000

// Metadata are the answer to a metadata request. A partition takes no more
// memory than in the answer, where the library's take six times as much.
type Metadata struct {
	kmsg.MetadataResponse // all but the topics
	Topics                []TopicMetadata
}

// TopicMetadata is what the answer says of a topic.
type TopicMetadata struct {
	ErrorCode  int16
	Topic      *string
	TopicID    [16]byte
	IsInternal bool
	Partitions []PartitionMetadata
}

// PartitionMetadata is what the answer says of a partition.
type PartitionMetadata struct {
	ErrorCode                      int16
	Partition, Leader, LeaderEpoch int32
}

func (w *Reader) metadata(r *Metadata) {
	version, flexible := r.Version, r.IsFlexible()
	w.int32() // throttle time
	w.each(flexible, func() {
		b := kmsg.MetadataResponseBroker{NodeID: w.int32(), Host: string(w.bytes(flexible, 2)), Port: w.int32()}
		w.bytes(flexible, 2) // rack
		if len(r.Brokers) <= MaxBrokers {
			r.Brokers = append(r.Brokers, b)
		}
	})
	r.ClusterID = w.text(flexible)
	w.int32() // controller
	w.each(flexible, func() {
		t := TopicMetadata{ErrorCode: w.int16(), Topic: w.text(flexible)}
		if version >= 10 {
			copy(t.TopicID[:], w.take(16))
		}
		t.IsInternal = w.boolean()
		w.each(flexible, func() {
			p := PartitionMetadata{ErrorCode: w.int16(), Partition: w.int32(), Leader: w.int32(), LeaderEpoch: -1}
			if version >= 7 {
				p.LeaderEpoch = w.int32()
			}
			w.skipNumbers(flexible) // replicas
			w.skipNumbers(flexible) // those in sync
			if version >= 5 {
				w.skipNumbers(flexible) // those offline
			}
			t.Partitions = append(t.Partitions, p)
		})
		if version >= 8 {
			w.int32() // what this user may do
		}
		r.Topics = append(r.Topics, t)
	})
}

func (w *Reader) listOffsets(r *kmsg.ListOffsetsResponse) {
	version, flexible := r.Version, r.IsFlexible()
	if version >= 2 {
		w.int32() // throttle time
	}
	w.each(flexible, func() {
		t := kmsg.ListOffsetsResponseTopic{Topic: string(w.bytes(flexible, 2))}
		w.each(flexible, func() {
			p := kmsg.ListOffsetsResponseTopicPartition{Partition: w.int32(), ErrorCode: w.int16(), Timestamp: w.int64(), Offset: w.int64(), LeaderEpoch: -1}
			if version >= 4 {
				p.LeaderEpoch = w.int32()
			}
			t.Partitions = append(t.Partitions, p)
		})
		if len(t.Partitions) > 0 {
			r.Topics = append(r.Topics, t)
		}
	})
}

func (w *Reader) boolean() bool {
	b := w.take(1)
	return b != nil && b[0] != 0
}

// skipNumbers passes over an array of int32.
func (w *Reader) skipNumbers(flexible bool) {
	if n := w.length(flexible, 4); n > 0 {
		w.take(4 * n)
	}
}
