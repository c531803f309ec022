// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// TestPattern reads the topics that match, those that come later from their
// beginning, and does without one that is deleted.
func TestPattern(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(2))
	for _, topic := range []string{"orders-eu", "orders-us", "my-orders-eu", "orders", "__orders-eu"} {
		createTopic(t, c, topic, 1)
	}
	cl := client(t, c)
	for _, topic := range []string{"orders-eu", "orders-us", "my-orders-eu", "orders", "__orders-eu"} {
		produce(t, cl, numbered(topic, 0, 0, 5)...)
	}
	k := config(c)
	k.Pattern = "orders-.*|__orders-eu"
	s, l := open(t, k, nil)
	streams := byStream(read(t, s, 10))
	for stream, records := range streams {
		wantValues(t, records, 0, 5)
		if stream.Name != "orders-eu" && stream.Name != "orders-us" {
			t.Errorf("read topic %s", stream.Name)
		}
	}
	if len(streams) != 2 {
		t.Errorf("read %v", streams)
	}

	k.Start = "latest" // not for topics that come later
	createTopic(t, c, "orders-jp", 2)
	createTopic(t, c, "refunds-jp", 1)
	produce(t, client(t, c), numbered("orders-jp", 1, 0, 5)...)
	records := read(t, s, 5)
	wantValues(t, records, 0, 5)
	if records[0].Name != "orders-jp" || records[0].Generation != 0 {
		t.Errorf("read %+v", records[0].Stream)
	}
	if position := string(s.Position()); !strings.Contains(position, `"pattern":"orders-.*|__orders-eu"`) || !strings.Contains(position, `"orders-jp":{"id":"`+topicID(c.TopicInfo("orders-jp").TopicID)) {
		t.Errorf("the position is %s", position)
	}

	if err := c.DeleteTopic("orders-us"); err != nil {
		t.Fatal(err)
	}
	l.Await(t, "topic was deleted; waiting for it")
	produce(t, cl, numbered("orders-eu", 0, 5, 5)...)
	wantValues(t, read(t, s, 5), 5, 5)

	// A topic that came while nobody read is read from its beginning, and one
	// that is gone is not waited for.
	position := s.Position()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	createTopic(t, c, "orders-br", 1)
	produce(t, client(t, c), numbered("orders-br", 0, 0, 5)...)
	s, l = newTestSource(t, k)
	s.patience = patience * 10
	if err := s.Open(testContext(t), position); err != nil {
		t.Fatal(err)
	}
	wantValues(t, read(t, s, 5), 0, 5)
	l.Await(t, "topic is missing; continuing without it")
	if !strings.Contains(string(s.Position()), `"orders-us":{"id":"`) {
		t.Errorf("the position has forgotten a topic that was deleted: %s", s.Position())
	}
}

// TestPatternTopicRecreated: the policy is the same as for topics by name.
func TestPatternTopicRecreated(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"stop", "restart"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, kfake.NumBrokers(2))
			createTopic(t, c, "t", 1)
			produce(t, client(t, c), numbered("t", 0, 0, 5)...)
			k := config(c)
			k.Pattern, k.OnTopicRecreated = "t", policy
			s, l := open(t, k, nil)
			read(t, s, 5)
			if err := c.DeleteTopic("t"); err != nil {
				t.Fatal(err)
			}
			l.Await(t, "topic was deleted; waiting for it")
			createTopic(t, c, "t", 1)
			produce(t, client(t, c), numbered("t", 0, 100, 5)...)
			if policy == "stop" {
				wantStop(t, s, "topic t was deleted and made again", "SPOUT_KAFKA_ON_TOPIC_RECREATED=restart")
				return
			}
			records := read(t, s, 5)
			wantValues(t, records, 100, 5)
			if records[0].Generation != 1 {
				t.Errorf("the stream is %+v", records[0].Stream)
			}
		})
	}
}

// TestPatternThatMatchesNothing waits for topics without holding up the start,
// which fixes that what comes is read from its beginning.
func TestPatternThatMatchesNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	k := config(c)
	k.Pattern, k.Start = "t", "latest"
	s, l := open(t, k, nil)
	l.Await(t, "no topic matches the pattern")
	position := s.Position()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	createTopic(t, c, "t", 1)
	createTopic(t, c, "u", 1)
	cl := client(t, c)
	produce(t, cl, numbered("t", 0, 0, 5)...)
	produce(t, cl, numbered("u", 0, 0, 5)...)
	s, _ = open(t, k, position)
	wantValues(t, read(t, s, 5), 0, 5)
	position = s.Position()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// With another pattern, a topic may be new to it that is not new itself.
	k.Pattern = "t|u"
	s, _ = open(t, k, position)
	produce(t, cl, numbered("u", 0, 5, 5)...)
	wantValues(t, read(t, s, 5), 5, 5)
}

// TestCheckOfAPattern lists what matches.
func TestCheckOfAPattern(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "orders-eu", 1)
	createTopic(t, c, "other", 1)
	k := config(c)
	k.Pattern = "orders.*"
	s, _ := newTestSource(t, k)
	lines, err := s.survey(testContext(t), nil)
	if err != nil || !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "1 topics match orders.*") }) ||
		!slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "topic orders-eu partition 0") }) {
		t.Errorf("%v: %q", err, lines)
	}
}
