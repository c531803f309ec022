// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/proc"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

const (
	createdSpouts = 20
	// A worker waits for 5 to 15 seconds before it starts a command again: that
	// of several spouts is waited for at once.
	killedSpouts = 5
	killRounds   = 4
)

// waking is how a spout comes to work.
type waking struct {
	whole time.Duration // until the commit with its next record is FINISHED
	start time.Duration // of it, until the runner's process was there, and the sidecar to answer it
	pod   time.Duration // of that, from when there was a pod until the container of its command was started
	made  time.Duration // of it, while Pachyderm made commits: from each one's start until it was FINISHED
}

// ours is what the runner takes of it, its calls to upload files included.
func (w waking) ours() time.Duration { return w.whole - w.start - w.made }

func (w waking) String() string {
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	return fmt.Sprintf("%v, of which until the runner was started %v (the pod's start %v), Pachyderm's commits %v, the runner %v",
		ms(w.whole), ms(w.start), ms(w.pod), ms(w.made), ms(w.ours()))
}

// waker is a spout with a topic of its own, each of whose records becomes a
// commit at once.
type waker struct {
	*deployment
	broker  *kafkatest.Broker
	branch  *pachyderm.Branch
	name    string
	records int64
}

// create makes a spout that has a record to read.
func (d *deployment) newWaker(ctx context.Context, name string) (w *waker, took waking, err error) {
	w = &waker{deployment: d, name: name}
	if w.broker, err = kafkatest.Start(1, kafkatest.Topic{Name: name, Partitions: partitions}); err != nil {
		return nil, took, err
	}
	if err := w.produce(ctx); err != nil {
		return nil, took, err
	}
	s := settings.Default()
	s.Kafka.Brokers, s.Kafka.Topics = w.broker.Addresses(), []string{name}
	s.Batch.MaxRecords, s.HTTPPort = 1, 0
	began := time.Now()
	if w.branch, err = d.createSpout(ctx, name, s.OutputBranch, s.Environment()); err != nil {
		return nil, took, err
	}
	pod, answers, err := w.awaitPod(ctx)
	if err != nil {
		return nil, took, err
	}
	took, err = w.took(ctx, began, answers)
	took.pod = pod
	return w, took, err
}

// kill kills the runner, with a record to read for the next.
func (w *waker) kill(ctx context.Context) (took waking, err error) {
	if _, err := w.AwaitUserCode(ctx, pachyderm.DefaultProject, w.name); err != nil {
		return took, err
	}
	began := time.Now()
	if err := w.KillUserCode(pachyderm.DefaultProject, w.name, syscall.SIGKILL); err != nil {
		return took, err
	}
	if err := w.produce(ctx); err != nil {
		return took, err
	}
	return w.took(ctx, began, began)
}

func (w *waker) produce(ctx context.Context) error {
	w.records++
	return w.broker.Produce(ctx, nil, &kgo.Record{Topic: w.name, Value: []byte("record")})
}

func (w *waker) stop(ctx context.Context) error {
	w.broker.Stop()
	return w.deleteSpout(ctx, w.name)
}

// awaitPod returns how long it took from when there was a pod until the
// container of its command was started, and since when its sidecar takes
// connections.
func (w *waker) awaitPod(ctx context.Context) (took time.Duration, answers time.Time, err error) {
	if _, err := w.AwaitPod(ctx, pachyderm.DefaultProject, w.name, func(cluster.Pod) bool { return true }); err != nil {
		return 0, answers, err
	}
	there := time.Now()
	var user cluster.Container
	pod, err := w.AwaitPod(ctx, pachyderm.DefaultProject, w.name, func(p cluster.Pod) bool {
		i := slices.IndexFunc(p.Containers, func(c cluster.Container) bool { return c.Name == cluster.UserContainer && c.Running() })
		if i >= 0 {
			user = p.Containers[i]
		}
		return i >= 0
	})
	if err != nil {
		return 0, answers, err
	}
	started, err := startOf(user.PID)
	if err != nil {
		return 0, answers, err
	}
	host := "127.0.0.1"
	if w.Kubernetes() != nil {
		host = pod.IP
	}
	answers, err = awaitConnection(ctx, net.JoinHostPort(host, strconv.Itoa(pod.SidecarPort)))
	return max(0, started.Sub(there)), answers, err
}

// awaitConnection returns since when an address takes connections.
func awaitConnection(ctx context.Context, address string) (at time.Time, err error) {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return time.Now(), conn.Close()
		}
		select {
		case <-ctx.Done():
			return at, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// took waits for the commit with the newest record, and takes the time since
// then apart.
func (w *waker) took(ctx context.Context, began, answers time.Time) (took waking, err error) {
	finished, err := awaitRecords(ctx, w.branch, w.records, lookEvery/4)
	if err != nil {
		return took, err
	}
	started, commits, err := w.sinceStart(ctx, w.branch, w.name)
	if err != nil {
		return took, err
	}
	if answers.After(started) {
		started = answers
	}
	took = waking{whole: finished.Sub(began), start: started.Sub(began)}
	for _, c := range commits {
		took.made += c.Finished.Sub(c.Started)
	}
	return took, nil
}

// startOf returns when a process was started, to a hundredth of a second.
func startOf(pid int) (at time.Time, err error) {
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return at, err
	}
	var up float64
	if _, err := fmt.Sscan(string(uptime), &up); err != nil {
		return at, err
	}
	now := time.Now()
	p, ok := proc.Read(pid)
	if !ok {
		return at, fmt.Errorf("process %d has ended", pid)
	}
	return now.Add(-time.Duration((up - float64(p.Start)/proc.TicksPerSecond) * float64(time.Second))), nil
}

// wakingUp measures how long spouts take until their first record is in a
// FINISHED commit, and until the next one is after the runner was killed.
func wakingUp(ctx context.Context, b *bench) (measured []figures.Figure, err error) {
	d, err := b.deployment(ctx)
	if err != nil {
		return nil, err
	}
	var kept []*waker
	defer func() {
		for _, w := range kept {
			err = errors.Join(err, w.stop(ctx))
		}
	}()
	var created, killed []waking
	for i := range createdSpouts + 1 {
		w, took, err := d.newWaker(ctx, fmt.Sprintf("bench-waking-%d", i))
		if err != nil {
			return nil, err
		}
		fmt.Printf("created: %v\n", took)
		if i > 0 { // the first pays for empty caches, and does not count
			created = append(created, took)
		}
		if i > createdSpouts-killedSpouts {
			kept = append(kept, w)
		} else if err := w.stop(ctx); err != nil {
			return nil, err
		}
	}
	for range killRounds {
		round := make([]waking, len(kept))
		group, ctx := errgroup.WithContext(ctx)
		for i, w := range kept {
			group.Go(func() (err error) {
				round[i], err = w.kill(ctx)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		for _, took := range round {
			fmt.Printf("killed: %v\n", took)
		}
		killed = append(killed, round...)
	}
	lower := func(name string, list []waking, of func(waking) time.Duration, target *float64) {
		var values []time.Duration
		for _, w := range list {
			values = append(values, of(w))
		}
		measured = append(measured, figures.Figure{Name: name, Value: figures.Median(values).Seconds() * 1e3, Target: target, Better: figures.Lower, Unit: "ms"})
	}
	name := "waking"
	if d.Kubernetes() != nil {
		name = "waking_in_kubernetes"
	}
	whole, start, made := func(w waking) time.Duration { return w.whole }, func(w waking) time.Duration { return w.start }, func(w waking) time.Duration { return w.made }
	lower(name+"_created", created, whole, nil)
	lower(name+"_created_until_started", created, start, nil)
	lower(name+"_created_pod", created, func(w waking) time.Duration { return w.pod }, nil)
	lower(name+"_created_commits", created, made, nil)
	lower(name+"_created_runner", created, waking.ours, figures.Target(300))
	lower(name+"_killed", killed, whole, nil)
	lower(name+"_killed_until_started", killed, start, nil)
	lower(name+"_killed_commits", killed, made, nil)
	lower(name+"_killed_runner", killed, waking.ours, figures.Target(300))
	return measured, nil
}
