// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
)

// broker is Apache Kafka, or a small one.
type broker interface {
	server
	address() string
	stop() error // for good
}

// newBroker starts the broker of a spout, with its topic.
func (c *campaign) newBroker(ctx context.Context, dir string) (broker, error) {
	if c.Broker == "" {
		return startApacheKafka(ctx, c)
	}
	return startBrokerd(c.Broker, dir)
}

// apacheKafka is a broker of Apache Kafka.
type apacheKafka struct{ cluster *kafkacluster.Cluster }

func startApacheKafka(ctx context.Context, c *campaign) (broker, error) {
	cluster, err := kafkacluster.Start(ctx, kafkacluster.Options{Brokers: 1, Progress: c.Log})
	if err != nil {
		return nil, fmt.Errorf("start Apache Kafka (BROKER=small does without): %w", err)
	}
	made, err := cluster.Admin().CreateTopic(ctx, partitions, 1, nil, topic)
	if err = errors.Join(err, made.Err); err == nil {
		_, err = endOffsets(ctx, cluster.Admin())
	}
	if err != nil {
		cluster.Stop()
		return nil, fmt.Errorf("make the topic: %w", err)
	}
	return &apacheKafka{cluster}, nil
}

func (k *apacheKafka) process() *kafkacluster.Broker { return k.cluster.Broker(1) }

func (k *apacheKafka) address() string { return k.process().Address(kafkacluster.Plaintext) }

func (k *apacheKafka) signal(s syscall.Signal) error { return k.process().Signal(s) }

func (k *apacheKafka) restart(ctx context.Context) error {
	k.process().Shutdown()
	return k.process().Start(ctx)
}

func (k *apacheKafka) kill(ctx context.Context) error {
	k.process().Kill()
	return k.process().Start(ctx)
}

func (k *apacheKafka) stop() error {
	k.cluster.Stop()
	return nil
}

// brokerd is a small broker for machines without Java. It writes its records
// to disk when it ends in good order.
type brokerd struct {
	program, dir string
	port         int
	cmd          *exec.Cmd
}

func startBrokerd(program, dir string) (broker, error) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &brokerd{program: program, dir: filepath.Join(dir, "broker"), port: probe.Addr().(*net.TCPAddr).Port}
	if err := errors.Join(probe.Close(), b.start()); err != nil {
		return nil, err
	}
	return b, nil
}

// start returns once the broker listens.
func (b *brokerd) start() error {
	cmd := exec.Command(b.program, "-dir", b.dir, "-port", fmt.Sprint(b.port), "-topic", topic, "-partitions", fmt.Sprint(partitions))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(cmd); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return errors.Join(fmt.Errorf("the broker says %q: %w", line, err), cmd.Wait())
	}
	b.cmd = cmd
	return nil
}

func (b *brokerd) address() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

func (b *brokerd) signal(s syscall.Signal) error { return b.cmd.Process.Signal(s) }

func (b *brokerd) restart(context.Context) error {
	if err := b.stop(); err != nil {
		return fmt.Errorf("stop the broker: %w", err)
	}
	return b.start()
}

func (b *brokerd) stop() error {
	err := b.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, b.cmd.Wait())
}
