// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// startTimeout is how long a broker may take to serve. On a machine with
// nothing else to do it takes 4 seconds.
const startTimeout = 2 * time.Minute

// Broker is one process of the cluster. Its methods are not for concurrent use.
type Broker struct {
	ID      int32
	cluster *Cluster
	ports   map[Listener]int
	server  *child.Server // nil before the first start
}

// Address is HOST:PORT of one of the broker's listeners.
func (b *Broker) Address(l Listener) string {
	return net.JoinHostPort(b.cluster.host, strconv.Itoa(b.ports[l]))
}

// Rack is the broker's rack, one of its own.
func (b *Broker) Rack() string { return fmt.Sprintf("rack-%d", b.ID) }

func (b *Broker) path(name string) string {
	return filepath.Join(b.cluster.dir, fmt.Sprintf("broker-%d", b.ID), name)
}

// FirstSegment is the file with the first records that the broker has of a
// partition. It is in the format of Kafka's protocol.
func (b *Broker) FirstSegment(topic string, partition int32) string {
	return b.path(fmt.Sprintf("data/%s-%d/%020d.log", topic, partition, 0))
}

// format makes the broker's folder as kafka-storage does, without its JVM: the
// cluster's first metadata are then the defaults of this version of Kafka.
func (b *Broker) format() error {
	if err := os.MkdirAll(b.path("data"), 0o755); err != nil {
		return err
	}
	directory, err := newUUID()
	if err != nil {
		return err
	}
	meta := fmt.Sprintf("version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", b.cluster.ID, b.ID, directory)
	return os.WriteFile(b.path("data/meta.properties"), []byte(meta), 0o644)
}

// launch starts the process and does not wait until it serves.
func (b *Broker) launch() error {
	c := b.cluster
	if err := os.WriteFile(b.path("server.properties"), []byte(c.properties(b)), 0o600); err != nil {
		return err
	}
	cmd := c.java("-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
		"-Djava.io.tmpdir="+filepath.Dir(b.path("log")),
		"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="+c.Tokens.keys,
		"kafka.Kafka", b.path("server.properties"))
	server, err := child.StartServer(cmd, b.path("log"))
	if err != nil {
		return fmt.Errorf("start broker %d: %w", b.ID, err)
	}
	b.server = server
	return nil
}

// Start starts a broker that was ended, and waits until it serves.
func (b *Broker) Start(ctx context.Context) error {
	if err := b.launch(); err != nil {
		return err
	}
	return b.awaitServing(ctx)
}

// awaitServing returns once the broker answers clients.
func (b *Broker) awaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	server := b.server
	go func() {
		select {
		case <-server.Ended():
			lost(fmt.Errorf("it ended: %w", server.Err()))
		case <-ctx.Done():
		}
	}()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Address(Plaintext)), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		err := client.Ping(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("broker %d does not serve: %w\n%s", b.ID, errors.Join(context.Cause(ctx), err), b.LogTail())
		}
	}
}

// Kill ends the broker as kill -9 or a power cut does.
func (b *Broker) Kill() { b.end(syscall.SIGKILL) }

// Shutdown ends the broker as an operator does: it hands over what it leads.
func (b *Broker) Shutdown() { b.end(syscall.SIGTERM) }

// Signal sends a signal to the broker, as SIGSTOP, and does not wait.
func (b *Broker) Signal(signal syscall.Signal) error { return syscall.Kill(b.server.PID(), signal) }

// end returns once the process is gone. A broker that lacks the others to shut
// down in good order is killed after a while.
func (b *Broker) end(signal syscall.Signal) {
	const grace = 20 * time.Second
	if b.server == nil {
		return
	}
	b.server.End(signal, grace)
}

// LogTail returns the last warnings of the broker's log.
func (b *Broker) LogTail() string {
	const lines = 30
	if b.server == nil {
		return fmt.Sprintf("broker %d was never started", b.ID)
	}
	return fmt.Sprintf("log of broker %d:\n%s", b.ID, b.server.LogTail(lines))
}
