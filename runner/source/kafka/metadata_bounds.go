// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/httpclient"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// Bounds on what metadata are believed to tell, one answer or all together. The
// position of 100,000 partitions is a commit's description of 2 MB.
const (
	maxPartitions = 100_000
	maxPosition   = 4 << 20 // bytes
	maxNameBytes  = 255     // of a host, and of a cluster's id

	// What a topic, beside its name, and a partition have in a position, about.
	topicPositionBytes     = 64
	partitionPositionBytes = 24
)

// roomInPosition returns how many more partitions, and bytes of a position, the
// table takes. What was begun to be read stays in the position, so that brokers
// that name other topics each time would make it grow for ever. The table is
// locked.
func (s *Source) roomInPosition() room {
	r := room{partitions: maxPartitions, bytes: maxPosition}
	for name, t := range s.table.topics {
		r.take(1+len(t.partitions), topicPositionBytes+len(name)+len(t.partitions)*partitionPositionBytes)
	}
	return r
}

// room is how much more there may be.
type room struct {
	partitions, bytes int
	full              bool // more was wanted
}

// take says whether there is room, and takes it if so.
func (r *room) take(partitions, bytes int) bool {
	if r.partitions < partitions || r.bytes < bytes {
		r.full = true
		return false
	}
	r.partitions, r.bytes = r.partitions-partitions, r.bytes-bytes
	return true
}

const troubleRoom = "room"

// full tells that there is no room for what the metadata tell.
func (s *Source) full(topic string) {
	const cause = "the brokers tell of more topics and partitions than one spout reads; reading those that came first"
	s.troubles.note(troubleRoom, "%s, which do not include all of topic %s", cause, topic)
	s.complain.about(troubleRoom, hclog.Warn, cause, "left_out", topic, "most_partitions", maxPartitions, "most_bytes_of_position", maxPosition,
		"fix", "read fewer topics with one spout, or share them by SPOUT_KAFKA_SHARD; topics that are no more count until there is another output branch or spout")
}

// forgettable says whether nothing of a topic was read or is being asked about.
func (t *topic) forgettable() bool {
	for _, p := range t.partitions {
		if p.begun {
			return false
		}
	}
	return !t.known && len(t.former) == 0
}

// forgetTopic removes a topic from the table, which is locked.
func (s *Source) forgetTopic(t *topic) {
	delete(s.table.topics, t.name)
	if s.table.byID[t.id] == t {
		delete(s.table.byID, t.id)
	}
	for _, p := range t.partitions {
		s.table.freeIndices = append(s.table.freeIndices, p.index)
	}
}

// plausible returns an error if metadata tell what no cluster has. The table
// grows with what they tell, and the cluster's id is a part of each position.
func (s *Source) plausible(metadata *wire.Metadata) error {
	if len(metadata.Brokers) > wire.MaxBrokers {
		return fmt.Errorf("the metadata name more than %d brokers, which are all that are accepted", wire.MaxBrokers)
	}
	for _, m := range metadata.Brokers {
		if m.Host == "" || len(m.Host) > maxNameBytes || m.Port < 1 || m.Port > 65535 {
			return fmt.Errorf("the metadata say that broker %d is at %q, port %d, which is no address", m.NodeID, httpclient.Quote(m.Host), m.Port)
		}
	}
	if id := metadata.ClusterID; id != nil && len(*id) > maxNameBytes {
		return fmt.Errorf("the metadata name a cluster id of %d bytes, more than the %d that are accepted", len(*id), maxNameBytes)
	}
	partitions := 0
	for i := range metadata.Topics {
		t := &metadata.Topics[i]
		if t.Topic == nil || !s.wants(*t.Topic) {
			continue
		}
		partitions++ // a topic by itself takes memory, too
		for j := range t.Partitions {
			if number := t.Partitions[j].Partition; number < 0 || int(number) >= maxPartitions {
				return fmt.Errorf("the metadata name partition %d of topic %s, which no topic has", number, *t.Topic)
			} else if s.config.Shard.Owns(*t.Topic, number) {
				partitions++
			}
		}
	}
	if partitions > maxPartitions {
		return fmt.Errorf("the metadata name %d topics and partitions to read, more than the %d that are accepted: read fewer of them with one spout, or share them by SPOUT_KAFKA_SHARD", partitions, maxPartitions)
	}
	return nil
}

// forgetBrokers removes brokers that the metadata do not name and that no
// partition is read from, or all that they do not name if there are too many,
// and ends the connections to them. The table is locked.
func (s *Source) forgetBrokers(metadata *wire.Metadata) {
	t := &s.table
	keep := make(map[int32]bool, len(metadata.Brokers))
	if len(t.brokers) <= wire.MaxBrokers {
		t.each(func(p *partition) { keep[p.reader()] = true })
	}
	for _, m := range metadata.Brokers {
		keep[m.NodeID] = true
	}
	addresses := map[string]bool{}
	for _, address := range s.config.Brokers {
		addresses[address] = true
	}
	for id, b := range t.brokers {
		if keep[id] {
			addresses[b.address] = true
			continue
		}
		delete(t.brokers, id)
		if b.led = nil; b.started {
			b.leave()
		}
	}
	s.control.keep(addresses)
}
