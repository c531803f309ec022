// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

const (
	image      = "bench.local/spout-runner:latest"
	partitions = 4
	batchBytes = 64 << 20
)

// bench is a running Pachyderm with the runner's image.
type bench struct {
	dir     string
	cluster *cluster.Cluster
	client  *pachyderm.Client
}

func start(ctx context.Context) (*bench, error) {
	dir, err := os.MkdirTemp("", "spout-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir}
	images := filepath.Join(dir, "image")
	if _, err := artifacts.Runner(ctx, images, "bench"); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if b.cluster, err = cluster.New(ctx, cluster.Options{Images: map[string]string{image: images}, Log: os.Stderr}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b.client, err = connect(b.cluster.Address())
	return b, err
}

func connect(address string) (*pachyderm.Client, error) {
	parsed, err := pachyderm.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	return pachyderm.Connect(pachyderm.Options{Address: parsed, UserAgent: "spout-bench"})
}

func (b *bench) stop() {
	if err := errors.Join(b.cluster.Stop(), os.RemoveAll(b.dir)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

// round ingests size bytes of records, and then puts as many bytes plainly.
// Both rates are in MB (1e6 bytes) of file content a second.
func (b *bench) round(ctx context.Context, name string, record, size int) (endToEnd, put float64, err error) {
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: name, Partitions: partitions})
	if err != nil {
		return 0, 0, err
	}
	defer broker.Stop()
	if err := produce(ctx, broker, name, record, size); err != nil {
		return 0, 0, err
	}
	if endToEnd, err = b.ingest(ctx, broker, name, size/record); err != nil {
		return 0, 0, err
	}
	// Through a sidecar, as the runner writes; other bytes, as Pachyderm keeps equal chunks once.
	address, stopSidecar, err := b.cluster.StartSidecar(ctx, pachyderm.DefaultProject, name)
	if err != nil {
		return 0, 0, err
	}
	defer stopSidecar()
	put, err = b.put(ctx, address, name+"-put", size+size/record)
	return endToEnd, put, errors.Join(err, b.remove(ctx, name))
}

// fill makes text that no storage can shrink much.
func fill(random *rand.Rand, text []byte) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	for i := 0; i < len(text); i += 10 {
		bits := random.Uint64()
		for j := i; j < min(i+10, len(text)); j++ {
			text[j] = letters[bits&63]
			bits >>= 6
		}
	}
}

func produce(ctx context.Context, broker *kafkatest.Broker, topic string, record, size int) error {
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	for left, n := size/record, 0; left > 0; {
		batch := make([]*kgo.Record, min(left, 50_000))
		for i := range batch {
			value := make([]byte, record)
			fill(random, value)
			// Runs of one partition, as producers with sticky partitioners send them.
			batch[i] = &kgo.Record{Topic: topic, Partition: int32(n/1000) % partitions, Value: value}
			n++
		}
		if err := broker.Produce(ctx, nil, batch...); err != nil {
			return err
		}
		left -= len(batch)
	}
	return nil
}

// ingest runs a spout in its pod until all records are in FINISHED commits. The
// time is Pachyderm's own, from the commit that fixes the start to the last.
func (b *bench) ingest(ctx context.Context, broker *kafkatest.Broker, name string, records int) (rate float64, err error) {
	s := settings.Default()
	s.Kafka.Brokers, s.Kafka.Topics = broker.Addresses(), []string{name}
	s.Batch.MaxBytes = batchBytes
	s.HTTPPort = 0
	pipeline := &pps.Pipeline{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: name}
	_, err = b.client.PPS.CreatePipeline(ctx, &pps.CreatePipelineRequest{Pipeline: pipeline, Spout: &pps.Spout{},
		Transform: &pps.Transform{Image: image, Cmd: []string{"/spout-runner"}, Env: s.Environment()}})
	if err != nil {
		return 0, err
	}
	branch := b.client.Branch(pachyderm.DefaultProject, name, "master")
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-ticker.C:
		}
		if rate, done, err := measure(ctx, branch, int64(records)); err != nil || done {
			return rate, err
		}
	}
}

// measure computes the rate once all records are in finished commits.
func measure(ctx context.Context, branch *pachyderm.Branch, records int64) (rate float64, done bool, err error) {
	head, d, err := ingest.LastCommit(ctx, branch)
	if err != nil || head == nil || !reached(d, records) {
		return 0, false, err
	}
	var bytes, count int64
	var began, ended time.Time // the last batch is left out: it waits for its age
	var problem error
	err = branch.Ancestry(ctx, head.ID, func(c *pachyderm.Commit) bool {
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		if err != nil || !ours || c.Error != "" {
			problem = err
			return err == nil
		}
		count += d.Written
		switch {
		case d.Reason == spoutcommit.ReasonStart:
			began = c.Finished
		case d.Reason == spoutcommit.ReasonBytes:
			bytes += d.Bytes
			if ended.IsZero() {
				ended = c.Finished
			}
		}
		return true
	})
	if err := errors.Join(err, problem); err != nil {
		return 0, false, err
	}
	if count != records {
		return 0, false, fmt.Errorf("%d records in the commits, produced %d", count, records)
	}
	return float64(bytes) / 1e6 / ended.Sub(began).Seconds(), true, nil
}

func reached(d spoutcommit.Description, records int64) bool {
	offsets, err := kafka.Offsets(d.Position)
	var sum int64
	for _, next := range offsets {
		sum += next
	}
	return err == nil && sum == records
}

// put writes size bytes into a repo in commits of the same size as the
// runner's, one call each, and waits until the last is FINISHED.
func (b *bench) put(ctx context.Context, address, repo string, size int) (rate float64, err error) {
	client, err := connect(address)
	if err != nil {
		return 0, err
	}
	defer client.Close() //nolint:errcheck // a measurement
	r := &pfs.Repo{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: repo, Type: pfs.UserRepoType}
	if _, err := client.PFS.CreateRepo(ctx, &pfs.CreateRepoRequest{Repo: r}); err != nil {
		return 0, err
	}
	content := make([]byte, size)
	fill(rand.New(rand.NewPCG(rand.Uint64(), 0)), content)
	began := time.Now()
	for at := 0; at < size; at += batchBytes {
		if err := putOne(ctx, client, r, fmt.Sprintf("/%012d", at), content[at:min(at+batchBytes, size)]); err != nil {
			return 0, err
		}
	}
	branch := client.Branch(pachyderm.DefaultProject, repo, "master")
	head, err := branch.Head(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := branch.WaitFinished(ctx, head.ID); err != nil {
		return 0, err
	}
	return float64(size) / 1e6 / time.Since(began).Seconds(), nil
}

func putOne(ctx context.Context, client *pachyderm.Client, repo *pfs.Repo, path string, content []byte) error {
	stream, err := client.PFS.ModifyFile(ctx)
	if err != nil {
		return err
	}
	commit := &pfs.Commit{Repo: repo, Branch: &pfs.Branch{Repo: repo, Name: "master"}}
	if err := stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: commit}}); err != nil {
		return err
	}
	const piece = 2 << 20 // as pachctl sends
	for at := 0; at < len(content); at += piece {
		err := stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{Path: path,
			Source: &pfs.AddFile_Raw{Raw: &types.BytesValue{Value: content[at:min(at+piece, len(content))]}}}}})
		if err != nil {
			_, reason := stream.CloseAndRecv()
			return errors.Join(err, reason)
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}

// remove deletes what a round has made.
func (b *bench) remove(ctx context.Context, name string) error {
	pipeline := &pps.Pipeline{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: name}
	_, err := b.client.PPS.DeletePipeline(ctx, &pps.DeletePipelineRequest{Pipeline: pipeline, Force: true})
	_, err2 := b.client.PFS.DeleteRepo(ctx, &pfs.DeleteRepoRequest{Repo: &pfs.Repo{Project: pipeline.Project, Name: name + "-put", Type: pfs.UserRepoType}})
	return errors.Join(err, err2)
}
