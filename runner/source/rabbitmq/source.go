// SPDX-License-Identifier: Apache-2.0

// Package rabbitmq reads queues or streams of RabbitMQ.
//
// Queues are read by AMQP 0.9.1, with a channel for each. What was not
// acknowledged comes again, so messages are acknowledged once they are in a
// FINISHED commit, and the position has a window of those that could come again
// although they are. When a channel is lost, all that is out comes again: the
// source ends, and the next one begins after the last commit.
//
// Streams are read by RabbitMQ's own stream protocol, with a connection to the
// leader of each: it has the timestamps of chunks, batches of messages that are
// compressed, and the partitions of super streams, none of which AMQP tells.
// The position is an offset, and what the message before it was like, so that a
// stream which was made again is recognised.
package rabbitmq

import (
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Make is a [source.New].
func Make(s settings.Settings, o source.Options) (source.Source, error) {
	if s.RabbitMQ.OfStreams() {
		return newStreams(s.RabbitMQ, o), nil
	}
	return newQueues(s, o), nil
}

func stopf(format string, args ...any) error {
	return &source.Stop{Err: fmt.Errorf(format, args...)}
}

// Pauses between tries, doubled up to the second while they fail.
const (
	minPause = 100 * time.Millisecond
	maxPause = 10 * time.Second
)
