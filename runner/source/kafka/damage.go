// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// maxDamaged is how often a batch that is damaged is fetched, from a new
// connection each time.
const maxDamaged = 4

// damage sets a partition back to an offset whose batch, with which data
// begin, cannot be decoded. The table is locked.
func (s *Source) damage(p *partition, offset int64, data []byte, err error) {
	s.counters.damaged.Add(1)
	p.damaged++
	p.next, p.nextEpoch, p.gap = offset, -1, nil
	p.state = stateFetch
	if p.replica >= 0 {
		s.leaveReplica(p, err)
		s.assign()
	}
	p.fault(err)
	if p.damaged >= maxDamaged || errors.Is(err, wire.ErrTooLarge) {
		s.giveUp(p, offset, data, err)
		return
	}
	s.complain.about("damage "+p.stream.Name, hclog.Warn, "a record batch is damaged; fetching it again from another connection",
		"topic", p.stream.Name, "partition", p.stream.Partition, "offset", offset, "error", err)
	s.kick()
}

// giveUp applies the policy for a batch that stays damaged however often it is
// fetched. The table is locked.
func (s *Source) giveUp(p *partition, offset int64, data []byte, err error) {
	to, ok := wire.AfterBatch(data)
	if s.config.OnCorruptBatch == "skip" && ok && to > offset && to <= p.highWatermark.Load() {
		s.log.Error("a record batch is damaged; continuing after it", "topic", p.stream.Name, "partition", p.stream.Partition,
			"offset", offset, "next", to, "error", err)
		p.gap = &source.Gap{From: offset, To: to, Reason: fmt.Sprintf("record batch is damaged: %v", err)}
		p.pass(to, -1)
		p.damaged, p.failures, p.state, p.retryAt = 0, 0, stateAnnounce, time.Time{}
		s.kick()
		return
	}
	found := fmt.Sprintf("is damaged, in each of %d fetches: %v. See whether a broker's disk fails.", p.damaged, err)
	if errors.Is(err, wire.ErrTooLarge) {
		found = fmt.Sprintf("cannot be read: %v. To read it, raise SPOUT_MEMORY_BUDGET or SPOUT_KAFKA_MAX_BATCH_BYTES.", err)
	}
	fix := "To continue behind it, set SPOUT_KAFKA_ON_CORRUPT_BATCH=skip and accept the gap"
	if s.config.OnCorruptBatch == "skip" {
		fix = "Where the next one begins cannot be told either. To continue behind it, delete the records up to there (kafka-delete-records) and set SPOUT_KAFKA_ON_OUT_OF_RANGE=earliest"
	}
	if s.table.failure == nil {
		s.table.failure = stopf("topic %s partition %d has a record batch at offset %d that %s %s",
			p.stream.Name, p.stream.Partition, offset, found, fix)
	}
	s.stopFetching()
}
