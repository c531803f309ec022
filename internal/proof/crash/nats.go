// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/natscluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	natsStream  = "RECORDS"
	natsSubject = "records"
	// natsPublishers wait for the server, each for one message.
	natsPublishers = 8
)

// natsRetentions are those of the streams of a campaign's spouts, in turns.
var natsRetentions = []struct {
	name   string
	policy jetstream.RetentionPolicy
}{
	{settings.NATSLimits, jetstream.LimitsPolicy},
	{settings.NATSWorkQueue, jetstream.WorkQueuePolicy},
	{settings.NATSInterest, jetstream.InterestPolicy},
}

// natsSide is a server with a stream. What the stream holds in truth is what the
// server has confirmed, with the sequence.
type natsSide struct {
	cluster    *natscluster.Cluster
	conn       *client.Conn
	js         jetstream.JetStream
	retention  string
	produced   *audit.Produced
	queue      chan string // values to publish
	publishers sync.WaitGroup
	stop       context.CancelFunc

	mu        sync.Mutex
	sent      int
	waiting   int
	retried   map[string]bool  // values that may be in the stream twice
	confirmed map[int64]string // values, by sequence
}

func startNATS(ctx context.Context, s *spout, dir string) (_ side, err error) {
	program, err := artifacts.NATSServer(ctx, dir)
	if err != nil {
		return nil, err
	}
	cluster, err := natscluster.Start(ctx, natscluster.Options{Servers: 1, Program: program, SyncAlways: true})
	if err != nil {
		return nil, err
	}
	turn := natsRetentions[(s.Seed+uint64(s.result.Rounds/roundsPerSpout))%uint64(len(natsRetentions))]
	n := &natsSide{cluster: cluster, retention: turn.name, produced: audit.NewProduced(audit.OffsetsOf("nats")), queue: make(chan string, 1<<20),
		stop: func() {}, retried: map[string]bool{}, confirmed: map[int64]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.conn, err = cluster.Connect(client.MaxReconnects(-1)); err != nil {
		return nil, err
	}
	if n.js, err = jetstream.New(n.conn); err != nil {
		return nil, err
	}
	stream, err := n.js.CreateStream(ctx, jetstream.StreamConfig{Name: natsStream, Subjects: []string{natsSubject}, Retention: turn.policy, Storage: jetstream.FileStorage})
	if err != nil {
		return nil, err
	}
	if n.retention == settings.NATSInterest { // what comes before the runner's consumer would not be kept, and nobody could tell
		for _, name := range n.consumers()[:1] {
			if _, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
				return nil, err
			}
		}
	}
	s.say("the stream has the retention policy %s", n.retention)
	var publishing context.Context
	publishing, n.stop = context.WithCancel(ctx)
	for range natsPublishers {
		n.publishers.Go(func() { n.publish(publishing) })
	}
	return n, nil
}

func (n *natsSide) consumers() []string {
	v := settings.Default()
	n.configure(&v)
	names := v.NATS.Consumers()
	return names[:]
}

func (n *natsSide) configure(v *settings.Settings) {
	v.NATS.Servers, v.NATS.Stream, v.NATS.Retention = n.cluster.Addresses(), natsStream, n.retention
	v.NATS.FetchMaxBytes = 1 << 20
	if v.NATS.Acknowledges() {
		v.NATS.Consumer, v.NATS.MaxAckPending, v.NATS.AckWait = "crash", 500, settings.Duration(2*time.Second)
	}
}

func (n *natsSide) produce(_ context.Context, random *rand.Rand, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range count {
		n.sent++
		n.waiting++
		n.queue <- fmt.Sprintf(`{"n":%d,"fill":%q}`, n.sent, strings.Repeat("x", random.IntN(200)))
	}
}

// publish publishes values, each until the server has confirmed it.
func (n *natsSide) publish(ctx context.Context) {
	for {
		var value string
		select {
		case <-ctx.Done():
			return
		case value = <-n.queue:
		}
		m := &client.Msg{Subject: natsSubject, Data: []byte(value), Header: client.Header{jetstream.MsgIDHeader: {value[:strings.IndexByte(value, ',')]}}}
		for ctx.Err() == nil {
			within, cancel := context.WithTimeout(ctx, 2*time.Second)
			ack, err := n.js.PublishMsg(within, m)
			cancel()
			n.mu.Lock()
			if err != nil {
				n.retried[value] = true
				n.mu.Unlock()
				time.Sleep(50 * time.Millisecond)
				continue
			}
			n.waiting--
			n.note(int64(ack.Sequence), value)
			n.mu.Unlock()
			break
		}
	}
}

// note notes a message of the stream. It is called with the lock.
func (n *natsSide) note(sequence int64, value string) {
	if _, known := n.confirmed[sequence]; !known { // what is published again is at the place of before
		n.confirmed[sequence] = value
		n.produced.Add(source.Stream{Name: natsStream}, sequence, value)
	}
}

func (n *natsSide) settle(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.waiting == 0, nil
	})
}

func (n *natsSide) known() int64 { return n.produced.Count() }

func (n *natsSide) reached(d spoutcommit.Description) (bool, error) {
	return n.produced.Reached(d.Position)
}

// audit compares the commits with what the server has confirmed. A message whose
// confirmation was lost may be in the stream although its publisher was never
// told where: one that was published again and is in the files counts, too.
func (n *natsSide) audit(ctx context.Context, branch *pachyderm.Branch) (*audit.Report, error) {
	layout := settings.LayoutOf("nats", "")
	head, err := branch.Head(ctx)
	if err != nil {
		return nil, err
	}
	files, err := branch.Files(ctx, head.ID)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		content, err := branch.ReadFile(ctx, head.ID, file.Path)
		if err != nil {
			return nil, err
		}
		entries, err := audit.Records(layout, file.Path, content)
		if err != nil {
			continue // the audit tells of it
		}
		n.mu.Lock()
		for _, e := range entries {
			if n.retried[e.Value] {
				n.note(e.Offset, e.Value)
			}
		}
		n.mu.Unlock()
	}
	report, err := audit.Branch(ctx, branch, layout, n.produced)
	if err != nil {
		return nil, err
	}
	if report.Records != n.produced.Count() {
		report.Problems = append(report.Problems, fmt.Sprintf("the stream has had %d records, %d are in the commits", n.produced.Count(), report.Records))
	}
	return report, n.auditQueue(ctx, report)
}

// auditQueue checks that all was acknowledged in the end.
func (n *natsSide) auditQueue(ctx context.Context, report *audit.Report) error {
	stream, err := n.js.Stream(ctx, natsStream)
	if err != nil || n.retention == settings.NATSLimits {
		return err
	}
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = poll(within, func() (bool, error) {
		info, err := stream.Info(ctx)
		return err == nil && info.State.Msgs == 0, nil
	})
	if err != nil {
		report.Problems = append(report.Problems, "I3: messages that are committed were not acknowledged")
	}
	return ctx.Err()
}

func (n *natsSide) server() *natscluster.Server { return n.cluster.Servers[0] }

func (n *natsSide) signal(s syscall.Signal) error { return n.server().Signal(s) }

func (n *natsSide) restart(ctx context.Context) error {
	n.server().Shutdown()
	return n.server().Start(ctx)
}

func (n *natsSide) kill(ctx context.Context) error {
	n.server().Kill()
	return n.server().Start(ctx)
}

func (n *natsSide) close() error {
	n.stop()
	n.publishers.Wait()
	if n.conn != nil {
		n.conn.Close()
	}
	n.cluster.Stop()
	return nil
}
