// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/httpclient"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// control holds connections of one goroutine, or of several that speak to
// different brokers. They are apart from those that
// fetch, where a request would wait behind a fetch that waits for records.
type control struct {
	mu    sync.Mutex
	conns map[string]*conn
}

func (c *control) get(address string) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns[address]
}

func (c *control) put(opened *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		c.conns = map[string]*conn{}
	}
	c.conns[opened.address] = opened
}

func (c *control) drop(broken *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	broken.Close()
	if c.conns[broken.address] == broken {
		delete(c.conns, broken.address)
	}
}

// keep closes the connections to other addresses.
func (c *control) keep(addresses map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for address, conn := range c.conns {
		if !addresses[address] {
			conn.Close()
			delete(c.conns, address)
		}
	}
}

func (c *control) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// ask sends a request to the broker at address. A connection that the broker
// has ended meanwhile is opened again once.
func (s *Source) ask(ctx context.Context, over *control, address string, request kmsg.Request) (kmsg.Response, error) {
	for {
		c := over.get(address)
		fresh := c == nil
		if fresh {
			var err error
			if c, err = s.dialer.open(ctx, address); err != nil {
				return nil, err
			}
			over.put(c)
		}
		response, err := c.request(ctx, request)
		if err == nil || errors.Is(err, errVersion) {
			return response, err
		}
		over.drop(c)
		if fresh || ctx.Err() != nil {
			return nil, err
		}
	}
}

// askAny sends a request to any broker that answers: those with a connection
// first, then those that the metadata name, then the configured ones.
func (s *Source) askAny(ctx context.Context, over *control, request kmsg.Request) (kmsg.Response, error) {
	var addresses []string
	seen := map[string]bool{}
	add := func(some []string) {
		rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		for _, address := range some {
			if !seen[address] {
				seen[address] = true
				addresses = append(addresses, address)
			}
		}
	}
	var connected, known []string
	over.mu.Lock()
	for address := range over.conns {
		connected = append(connected, address)
	}
	over.mu.Unlock()
	s.table.mu.Lock()
	for _, b := range s.table.brokers {
		known = append(known, b.address)
	}
	s.table.mu.Unlock()
	add(connected)
	add(known)
	add(append([]string(nil), s.config.Brokers...))
	var failures []error
	for _, address := range addresses {
		response, err := s.ask(ctx, over, address, request)
		if err == nil || ctx.Err() != nil {
			return response, err
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

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
	return s.applyMetadata(response.(*metadata))
}

func (s *Source) applyMetadata(metadata *metadata) error {
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

// Bounds on what metadata are believed to tell, one answer or all together. The
// position of 100,000 partitions is a commit's description of 2 MB.
const (
	maxPartitions = 100_000
	maxPosition   = 4 << 20 // bytes
	maxBrokers    = 1000
	maxNameBytes  = 255 // of a host, and of a cluster's id

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
func (s *Source) plausible(metadata *metadata) error {
	if len(metadata.Brokers) > maxBrokers {
		return fmt.Errorf("the metadata name more than %d brokers, which are all that are accepted", maxBrokers)
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
func (s *Source) forgetBrokers(metadata *metadata) {
	t := &s.table
	keep := make(map[int32]bool, len(metadata.Brokers))
	if len(t.brokers) <= maxBrokers {
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
		return stopf("the brokers belong to the Kafka cluster %s, but what was read so far is of cluster %s, and offsets of one mean nothing in the other: set SPOUT_KAFKA_BROKERS to brokers of %s, or begin anew with another spout or output branch",
			*id, t.clusterID, t.clusterID)
	}
	t.clusterID = *id
	return nil
}

// applyTopic puts one topic in accord with the metadata.
func (s *Source) applyTopic(m *topicMetadata) error {
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
func (s *Source) complainOfName(m *topicMetadata) {
	if m.Topic != nil && !settings.IsTopicName(*m.Topic) {
		s.complain.about("names", hclog.Warn, "what a broker tells of is no name of a topic; leaving it out", "name", httpclient.Quote(*m.Topic))
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
		return stopf("topic %s was deleted and made again (topic id %s, was %s), so the offsets read so far mean nothing in it: set SPOUT_KAFKA_ON_TOPIC_RECREATED=restart to read the new topic from its beginning into files of their own, or begin anew with another spout or output branch",
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

// applyPartition puts one partition in accord with the metadata.
func (s *Source) applyPartition(t *topic, m *partitionMetadata) {
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
	if m.LeaderEpoch >= 0 && m.LeaderEpoch < p.leaderEpoch {
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
		if len(b.led) > 0 && s.running != nil {
			b.start()
			b.wakeUp()
		}
	}
}
