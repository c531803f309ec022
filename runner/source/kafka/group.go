// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
)

const (
	// publishSpacing is the least time between two times that offsets are published.
	publishSpacing = time.Second
	// publishAgain is how often offsets are published that have not moved:
	// brokers forget those of groups without members after a week, or after
	// what offsets.retention.minutes says.
	publishAgain = time.Hour
)

// publisher commits durable positions as offsets of a consumer group, so that
// Kafka's own tools show the lag. The group has no members: this is what Kafka
// calls a simple consumer. Nothing ever reads the offsets back, and whether
// publishing them works is of no consequence to anything else.
type publisher struct {
	s           *Source
	group       string
	control     control
	coordinator string                     // address, "" if it is not known
	latest      chan json.RawMessage       // the newest durable position
	published   map[place]mark             // what the brokers have taken
	wanted      map[string]map[int32]*mark // what they should have
	failures    int
}

func newPublisher(s *Source, group string) *publisher {
	return &publisher{s: s, group: group, latest: make(chan json.RawMessage, 1), published: map[place]mark{}}
}

// offer takes the place of a position that was not published yet. It never blocks.
func (p *publisher) offer(position json.RawMessage) {
	for {
		select {
		case p.latest <- position:
			return
		default:
		}
		select {
		case <-p.latest:
		default:
		}
	}
}

// run publishes what is offered until ctx ends.
func (p *publisher) run(ctx context.Context) error {
	defer p.control.close()
	again := time.NewTimer(publishAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case raw := <-p.latest:
			p.want(raw)
		case <-again.C:
			if p.failures == 0 {
				clear(p.published)
			}
		}
		wait := publishAgain
		if err := p.publish(ctx); err != nil {
			p.failed(ctx, err)
			wait = delayAfter(p.failures, err)
		} else if p.failures > 0 {
			p.s.log.Info("the position is published as offsets of a consumer group again", "group", p.group)
			p.failures = 0
		}
		again.Reset(jitter(wait))
		if err := sleep(ctx, publishSpacing); err != nil {
			return err
		}
	}
}

// want takes the offsets of the topics that are read out of a position.
func (p *publisher) want(raw json.RawMessage) {
	position, err := positions.Parse(raw)
	if err != nil {
		return // our own positions can be read
	}
	p.wanted = map[string]map[int32]*mark{}
	for name, topic := range position.Topics {
		if p.s.wants(name) {
			p.wanted[name] = topic.Partitions
		}
	}
}

// publish commits the offsets that differ from those the brokers have.
func (p *publisher) publish(ctx context.Context) error {
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group, request.Generation = p.group, -1
	for name, partitions := range p.wanted {
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic = name
		for number, m := range partitions {
			if known, ok := p.published[place{name, number}]; ok && known.Next == m.Next && known.Epoch == m.Epoch {
				continue
			}
			partition := kmsg.NewOffsetCommitRequestTopicPartition()
			partition.Partition, partition.Offset, partition.LeaderEpoch = number, m.Next, m.Epoch
			topic.Partitions = append(topic.Partitions, partition)
		}
		if len(topic.Partitions) > 0 {
			request.Topics = append(request.Topics, topic)
		}
	}
	if len(request.Topics) == 0 {
		return nil
	}
	if err := p.findCoordinator(ctx); err != nil {
		return err
	}
	answer, err := p.s.ask(ctx, &p.control, p.coordinator, request)
	if err != nil {
		p.coordinator = ""
		return err
	}
	return p.taken(answer.(*kmsg.OffsetCommitResponse))
}

// taken notes which offsets the brokers have taken. The error is the first
// that matters.
func (p *publisher) taken(answer *kmsg.OffsetCommitResponse) (first error) {
	for _, t := range answer.Topics {
		for _, partition := range t.Partitions {
			err := codeError(partition.ErrorCode)
			switch {
			case err == nil:
				if m := p.wanted[t.Topic][partition.Partition]; m != nil {
					p.published[place{t.Topic, partition.Partition}] = *m
				}
			case errors.Is(err, kerr.UnknownTopicOrPartition): // it was deleted
			case first == nil:
				first = fmt.Errorf("topic %s: %w", t.Topic, err)
			}
		}
	}
	if first != nil {
		p.coordinator = "" // it may have moved
	}
	return first
}

// findCoordinator asks which broker keeps the group's offsets.
func (p *publisher) findCoordinator(ctx context.Context) error {
	if p.coordinator != "" {
		return nil
	}
	request := kmsg.NewPtrFindCoordinatorRequest()
	request.CoordinatorKey = p.group
	answer, err := p.s.askAny(ctx, &p.control, request)
	if err != nil {
		return err
	}
	found := answer.(*kmsg.FindCoordinatorResponse)
	if err := codeError(found.ErrorCode); err != nil {
		return err
	}
	p.coordinator = net.JoinHostPort(found.Host, strconv.Itoa(int(found.Port)))
	p.control.keep(map[string]bool{p.coordinator: true})
	return nil
}

// failed logs why publishing fails, once for each time that it begins to. The
// brokers' own hiccups get a second chance first.
func (p *publisher) failed(ctx context.Context, err error) {
	p.failures++
	if ctx.Err() != nil || p.failures != 3 && !(p.failures == 1 && isDenied(err)) {
		return
	}
	fix := "it is tried again"
	switch {
	case isDenied(err):
		fix = "give the user the operation Read on this group and on the topics, or unset SPOUT_KAFKA_GROUP_ID"
	case errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration):
		fix = "other consumers are members of this group; set SPOUT_KAFKA_GROUP_ID to a group that nobody else uses"
	}
	p.s.log.Log(hclog.Warn, "cannot publish the position as offsets of a consumer group; ingestion continues without", "group", p.group, "error", err, "fix", fix)
}
