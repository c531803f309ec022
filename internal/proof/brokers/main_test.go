// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

// Package brokers tests the runner on a real Apache Kafka. It holds tests
// only. What the runner reads is compared with what franz-go, a client that
// shares no code with it, reads of the same topics.
//
// The tests share two clusters, one of a single broker, where they run side by
// side with topics of their own, and one of three, whose brokers are killed.
package brokers

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
)

// patience is the longest a test waits for anything, on a busy machine too.
const patience = 4 * time.Minute

// users are those that the clusters know.
var users = map[string]string{"reader": "reader's Secret", "short-lived": "short-lived Secret"}

// The clusters. The first test that asks for one starts it.
var (
	single = shared{options: kafkacluster.Options{Brokers: 1, Users: users, Progress: os.Stderr}}
	triple = shared{options: kafkacluster.Options{Brokers: 3, Users: users, Progress: os.Stderr}}
)

// shared is a cluster of all tests.
type shared struct {
	options kafkacluster.Options
	once    sync.Once
	cluster *kafkacluster.Cluster
	err     error
}

func (s *shared) get(t *testing.T) *kafkacluster.Cluster {
	t.Helper()
	s.once.Do(func() {
		s.cluster, s.err = kafkacluster.Start(context.Background(), s.options) // it outlives the test
	})
	if s.err != nil {
		t.Fatalf("start Kafka: %v", s.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, b := range s.cluster.Brokers() {
				t.Log(b.LogTail())
			}
		}
	})
	return s.cluster
}

func (s *shared) stop() {
	if s.cluster != nil {
		s.cluster.Stop()
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	single.stop()
	triple.stop()
	os.Exit(code)
}

// testContext ends with the test, or when there is no more patience.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
