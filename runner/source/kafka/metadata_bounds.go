// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/httpclient"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// Bounds on what metadata are believed to tell, one answer or all together. The
// position of 100,000 partitions is a commit's description of 2 MB. With little
// memory it is less, see [boundsOf].
const (
	maxPartitions = 100_000
	maxPosition   = 4 << 20 // bytes
	maxNameBytes  = 255     // of a host, and of a cluster's id

	// What a topic, beside its name, and a partition have in a position, about.
	topicPositionBytes     = 64
	partitionPositionBytes = 24
)

// What a partition and a broker take in the table, and while they are read,
// beside records, about.
const (
	partitionMemory = 1 << 10
	brokerMemory    = 64 << 10
)

// bounds are how many brokers, topics and partitions a source takes.
type bounds struct{ brokers, partitions int }

// boundsOf returns the bounds of a source with so much memory.
func boundsOf(memory settings.Bytes) bounds {
	return bounds{int(min(max(memory/brokerMemory, 1), wire.MaxBrokers)), int(min(max(memory/partitionMemory, 1), maxPartitions))}
}

// roomInPosition returns how many more partitions, and bytes of a position, the
// table takes. What was begun to be read stays in the position, so that brokers
// that name other topics each time would make it grow for ever. The table is
// locked.
func (s *Source) roomInPosition() room {
	r := room{partitions: s.bounds.partitions, bytes: maxPosition}
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
	s.complain.about(troubleRoom, hclog.Warn, cause, "left_out", topic, "most_partitions", s.bounds.partitions, "most_bytes_of_position", maxPosition,
		"fix", "read fewer topics with one spout, share them by SPOUT_KAFKA_SHARD, or raise SPOUT_MEMORY_BUDGET; topics that are no more count until there is another output branch or spout")
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

// forgetPhantoms removes partitions of which nothing was read or is known and
// that the metadata no longer tell of: Open would wait for ever to learn where
// they begin. The table is locked.
func (s *Source) forgetPhantoms(t *topic, m *wire.TopicMetadata) {
	unsettled := false
	for _, p := range t.partitions {
		unsettled = unsettled || p.state == stateStart
	}
	if !unsettled || len(m.Partitions) == 0 {
		return
	}
	told := make(map[int32]bool, len(m.Partitions))
	for i := range m.Partitions {
		told[m.Partitions[i].Partition] = true
	}
	for number, p := range t.partitions {
		if !told[number] && p.state == stateStart && !p.begun && p.pending == 0 {
			p.state, p.leader, p.former = stateCheck, -1, true // whoever asks about it finds it changed
			delete(t.partitions, number)
			s.table.freeIndices = append(s.table.freeIndices, p.index)
		}
	}
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
	if len(metadata.Brokers) > s.bounds.brokers {
		return fmt.Errorf("the metadata name more than %d brokers, which are all that are accepted%s", s.bounds.brokers, raise(s.bounds.brokers < wire.MaxBrokers))
	}
	for _, m := range metadata.Brokers {
		if m.Host == "" || len(m.Host) > maxNameBytes || m.Port < 1 || m.Port > 65535 {
			return fmt.Errorf("the metadata say that broker %d is at %q, port %d, which is not an address", m.NodeID, httpclient.Quote(m.Host), m.Port)
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
	if partitions > s.bounds.partitions {
		return fmt.Errorf("the metadata name %d topics and partitions to read, more than the %d that are accepted: read fewer of them with one spout, or share them by SPOUT_KAFKA_SHARD%s",
			partitions, s.bounds.partitions, raise(s.bounds.partitions < maxPartitions))
	}
	return nil
}

// raise says that more memory would help, if it would.
func raise(helps bool) string {
	if helps {
		return "; SPOUT_MEMORY_BUDGET raises that limit"
	}
	return ""
}

// forgetBrokers removes brokers that the metadata do not name and that no
// partition is read from, or all that they do not name if there are too many,
// and ends the connections to them. The table is locked.
func (s *Source) forgetBrokers(metadata *wire.Metadata) {
	t := &s.table
	keep := make(map[int32]bool, len(metadata.Brokers))
	if len(t.brokers) <= s.bounds.brokers {
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
