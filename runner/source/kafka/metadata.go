// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/httpclient"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// refreshMetadata asks for the metadata and puts the table in accord with
// them. The error is temporary unless it is a Stop.
func (s *Source) refreshMetadata(ctx context.Context) error {
	request := kmsg.NewPtrMetadataRequest()
	request.AllowAutoTopicCreation = false
	for _, name := range s.config.Topics { // none are all, for a pattern
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, topic)
	}
	response, err := s.askAny(ctx, &s.control, request)
	if err != nil {
		return err
	}
	return s.applyMetadata(response.(*wire.Metadata))
}

func (s *Source) applyMetadata(metadata *wire.Metadata) error {
	t := &s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(metadata.Brokers) == 0 {
		return errors.New("the metadata name no broker")
	}
	if err := s.applyClusterID(metadata.ClusterID); err != nil {
		return err
	}
	if err := s.plausible(metadata); err != nil {
		return err
	}
	for _, m := range metadata.Brokers {
		address := net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port)))
		if b := t.brokers[m.NodeID]; b != nil {
			b.address = address
		} else {
			t.brokers[m.NodeID] = newBroker(s, m.NodeID, address)
		}
	}
	told := map[string]bool{}
	s.table.room = s.roomInPosition()
	for i := range metadata.Topics {
		m := &metadata.Topics[i]
		if m.Topic == nil || m.IsInternal && s.config.Pattern != "" || !s.wants(*m.Topic) {
			s.complainOfName(m)
			continue
		}
		told[*m.Topic] = true
		if err := s.applyTopic(m); err != nil {
			return err
		}
	}
	for name, known := range t.topics {
		if s.config.Pattern != "" && !told[name] {
			if known.forgettable() {
				s.forgetTopic(known)
				continue
			}
			s.complainOfTopic(name, known, kerr.UnknownTopicOrPartition)
		}
	}
	if !s.table.room.full {
		s.troubles.over(troubleRoom)
	}
	s.forgetBrokers(metadata)
	s.assign()
	return nil
}

// applyClusterID compares the cluster's id with the one in the position.
func (s *Source) applyClusterID(id *string) error {
	if id == nil || *id == "" {
		return nil // some proxies do not tell
	}
	t := &s.table
	if t.clusterID == "" {
		t.clusterID = s.position.Cluster
	}
	if t.clusterID != "" && t.clusterID != *id {
		return stopf("the brokers belong to the Kafka cluster %s, but what was read so far is of cluster %s, and offsets of one mean nothing in the other: set SPOUT_KAFKA_BROKERS to brokers of %s, or start over with another spout or output branch",
			*id, t.clusterID, t.clusterID)
	}
	t.clusterID = *id
	return nil
}

// applyTopic puts one topic in accord with the metadata.
func (s *Source) applyTopic(m *wire.TopicMetadata) error {
	t := &s.table
	name := *m.Topic
	current := t.topics[name]
	if err := codeError(m.ErrorCode); err != nil {
		s.complainOfTopic(name, current, err)
		return nil
	}
	if current == nil {
		if !s.table.room.take(1, topicPositionBytes+len(name)) {
			s.full(name)
			return nil
		}
		current = s.newTopic(name)
	}
	current.missing, current.found = false, len(m.Partitions) > 0
	s.troubles.over("topic " + name)
	switch {
	case m.TopicID == [16]byte{} || m.TopicID == current.id:
	case current.id == [16]byte{}:
		if current.kept != "" && current.kept != topicID(m.TopicID) {
			if err := s.topicRecreated(current, current.kept, m.TopicID); err != nil {
				return err
			}
		}
		s.setTopicID(current, m.TopicID)
	default:
		if err := s.topicRecreated(current, topicID(current.id), m.TopicID); err != nil {
			return err
		}
		s.setTopicID(current, m.TopicID)
	}
	for i := range m.Partitions {
		if s.config.Shard.Owns(name, m.Partitions[i].Partition) {
			s.applyPartition(current, &m.Partitions[i])
		}
	}
	s.forgetPhantoms(current, m)
	if s.running == nil && current.found {
		return s.checkStarts(current, len(m.Partitions))
	}
	return nil
}

func (s *Source) complainOfTopic(name string, current *topic, err error) {
	cause := "topic " + name
	if s.config.Pattern == "" { // by a pattern, topics may come and go
		s.troubles.note(cause, "topic %s cannot be read: %v", name, err)
	}
	switch {
	case !errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, kerr.UnknownTopicID):
		level := hclog.Warn
		if isDenied(err) {
			level = hclog.Error
		}
		s.complain.about(cause, level, "brokers do not tell about a topic; waiting for it", "topic", name, "error", err, "fix", remedy(err))
	case current == nil:
		s.complain.about(cause, hclog.Warn, "topic does not exist; waiting for it", "topic", name)
	case current.missing && s.config.Pattern != "":
		// It was said once. Topics that match a pattern come and go.
	default:
		current.missing = true
		s.complain.about(cause, hclog.Warn, "topic was deleted; waiting for it to be made again", "topic", name)
	}
}

// complainOfName logs that a broker tells of a topic whose name is none.
func (s *Source) complainOfName(m *wire.TopicMetadata) {
	if m.Topic != nil && !settings.IsTopicName(*m.Topic) {
		s.complain.about("names", hclog.Warn, "what a broker tells of is not a name of a topic; leaving it out", "name", httpclient.Quote(*m.Topic))
	}
}

// newTopic makes the table's entry of a topic that is seen for the first time.
func (s *Source) newTopic(name string) *topic {
	t := &topic{name: name, partitions: map[int32]*partition{}}
	s.table.topics[name] = t
	if s.running != nil {
		s.log.Info("new topic", "topic", name)
	}
	return t
}

// seed puts what the position knows of the topics to read into the table.
// They are missing until the metadata tell of them, be it while the source is
// opened or later, when the position is the consumer's.
func (s *Source) seed() {
	for name, known := range s.position.Topics {
		if !s.wants(name) {
			continue
		}
		t := s.newTopic(name)
		t.generation, t.known, t.kept, t.missing = known.Generation, true, known.ID, true
		for _, number := range slices.Sorted(maps.Keys(known.Partitions)) { // see assign
			m := known.Partitions[number]
			p := s.newPartition(t, number)
			p.setPlace(*m)
			p.state, p.checkRange, p.given, p.begun = stateCheck, true, false, true
			if m.Read != nil && m.Read.Next == startLatest {
				p.startTime = s.configuredStart()
			}
			p.consumed.Store(m.Next)
			t.partitions[number] = p
		}
	}
}

func (s *Source) setTopicID(t *topic, id [16]byte) {
	delete(s.table.byID, t.id)
	t.id = id
	s.table.byID[id] = t
}

// topicRecreated applies the policy for a topic that was deleted and made again.
func (s *Source) topicRecreated(t *topic, from string, to [16]byte) error {
	if s.config.OnTopicRecreated != "restart" {
		return stopf("topic %s was deleted and made again (topic id %s, was %s), so the offsets read so far mean nothing in it: set SPOUT_KAFKA_ON_TOPIC_RECREATED=restart to read the new topic from its beginning into files of their own, or start over with another spout or output branch",
			t.name, topicID(to), from)
	}
	s.log.Warn("topic was deleted and made again; reading the new one from its beginning", "topic", t.name, "topic_id", topicID(to), "former_topic_id", from)
	t.generation++
	for _, p := range t.partitions {
		p.state, p.leader, p.former = stateCheck, -1, true // whatever is still being fetched is not taken
		p.passed, p.apart = false, &apart{formerID: from}
		if p.pending > 0 {
			t.former = append(t.former, p)
		}
		s.table.freeIndices = append(s.table.freeIndices, p.index)
	}
	t.known = true // and read from its beginning, wherever new topics are read from
	t.partitions = map[int32]*partition{}
	return nil
}

// maxLagging is how often in a row a partition cannot be read before an older
// leader epoch is believed: a newer one that no broker knows would else keep it
// from being read for ever.
const maxLagging = 3

// applyPartition puts one partition in accord with the metadata.
func (s *Source) applyPartition(t *topic, m *wire.PartitionMetadata) {
	p := t.partitions[m.Partition]
	if p == nil {
		if !s.table.room.take(1, partitionPositionBytes) {
			s.full(t.name)
			return
		}
		p = s.newPartition(t, m.Partition)
		t.partitions[m.Partition] = p
	}
	leader := m.Leader
	if err := codeError(m.ErrorCode); err != nil && leader < 0 {
		s.complain.about("leader "+t.name, hclog.Warn, "partition has no leader; waiting for one",
			"topic", t.name, "partition", m.Partition, "error", err)
	}
	if m.LeaderEpoch >= 0 && m.LeaderEpoch < p.leaderEpoch && p.failures < maxLagging {
		return // a broker that lags behind
	}
	if leader == p.leader && m.LeaderEpoch == p.leaderEpoch {
		return
	}
	if p.state == stateFetch {
		p.state = stateCheck
	}
	if p.leader != leader {
		if p.leader >= 0 && leader >= 0 {
			s.counters.moves.Add(1)
		}
		p.retryAt = time.Time{}
	}
	p.leader, p.leaderEpoch, p.replica = leader, m.LeaderEpoch, -1
}

// newPartition makes the table's entry of a partition that is seen for the first time.
func (s *Source) newPartition(t *topic, number int32) *partition {
	p := &partition{topic: t, leader: -1, replica: -1, leaderEpoch: -1, nextEpoch: -1, startTime: startEarliest,
		stream: source.Stream{Name: t.name, Partition: number, Generation: t.generation}, index: s.table.takeIndex()}
	offset, given := s.config.StartOffsets[t.name][number]
	switch {
	case given && s.mayBegin(t):
		p.state, p.next, p.checkRange, p.given, p.begun = stateCheck, offset, true, true, true
	case s.running != nil:
		s.log.Info("new partition", "topic", t.name, "partition", number)
	case !t.known && !s.samePattern:
		p.startTime = s.configuredStart()
	}
	return p
}

// assign gives each broker the partitions that are read from it.
func (s *Source) assign() {
	t := &s.table
	now := time.Now()
	for _, b := range t.brokers {
		b.led = b.led[:0]
	}
	t.each(func(p *partition) {
		if p.replica >= 0 && (!now.Before(p.replicaUntil) || t.brokers[p.replica] == nil) {
			p.replica = -1 // the leader is asked again
		}
		if b := t.brokers[p.reader()]; b != nil {
			b.led = append(b.led, p)
		}
	})
	for _, b := range t.brokers {
		// As they lie in memory, mostly: one after the other is had sooner.
		slices.SortFunc(b.led, func(x, y *partition) int { return x.stream.Compare(y.stream) })
		if len(b.led) == 0 {
			b.led = nil
		} else if s.running != nil {
			b.start()
			b.wakeUp()
		}
	}
}
