// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// Brokers that know the runner's rack send it to a follower in the same rack
// (KIP-392), so that records do not cross the border between zones, which
// clouds charge for. The follower is read from for a while, then the leader is
// asked again, as it is whenever anything is wrong with the follower.
const (
	replicaLease = 5 * time.Minute
	// replicaPause is how long no follower is taken after one has failed.
	replicaPause = time.Minute
)

// rackFor returns the rack to name in a request: none while a partition of it
// is to be read from its leader. The table is locked.
func (s *Source) rackFor(turn []*partition) string {
	if s.config.Rack == "" {
		return ""
	}
	now := time.Now()
	for _, p := range turn {
		if now.Before(p.leaderUntil) {
			return ""
		}
	}
	return s.config.Rack
}

// followReplica goes to the follower that a leader's answer names, and says
// whether it does. The table is locked.
func (s *Source) followReplica(b *broker, p *partition, f *wire.Fetched) bool {
	if f.Replica < 0 || f.Replica == b.id || time.Now().Before(p.leaderUntil) {
		return false
	}
	if s.table.brokers[f.Replica] == nil { // it is new: until it is known, the leader would only name it again
		p.leaderUntil, s.table.refresh = time.Now().Add(replicaPause), true
		s.kick()
		return false
	}
	p.replica, p.replicaUntil = f.Replica, time.Now().Add(jitter(replicaLease))
	s.log.Debug("reading from a follower in this rack", "topic", p.stream.Name, "partition", p.stream.Partition, "broker", f.Replica)
	return true
}

// leaveReplica goes back to the leader, once the partitions are assigned anew.
// The table is locked.
func (s *Source) leaveReplica(p *partition, err error) {
	s.complain.about("replica "+p.stream.Name, hclog.Warn, "cannot read from a follower in this rack; going back to the leader",
		"topic", p.stream.Name, "partition", p.stream.Partition, "broker", p.replica, "error", err)
	p.replica, p.leaderUntil = -1, time.Now().Add(replicaPause)
}

// leaveReplicas goes back to the leaders of all partitions that b was only a
// follower of.
func (s *Source) leaveReplicas(b *broker) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	left := false
	for _, p := range b.led {
		if p.replica == b.id {
			p.replica, p.leaderUntil, left = -1, time.Now().Add(replicaPause), true
		}
	}
	if left {
		s.assign()
	}
}
