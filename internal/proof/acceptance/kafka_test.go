// SPDX-License-Identifier: Apache-2.0

//go:build acceptance && brokers

package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	kafkaUser     = "ingest"
	kafkaPassword = "planted-kafka-password"
	kafkaTopic    = "records"
)

// realKafkaConfig is a spout that logs in to a broker over TLS, with a secret
// that Terraform makes.
func realKafkaConfig(project string, k *kafkacluster.Cluster) string {
	return requirements + fmt.Sprintf(`
variable "password" {
  type      = string
  ephemeral = true
}
resource "pachyderm_secret" "login" {
  name            = "%[1]s-login"
  data_wo         = { username = %[2]q, password = var.password }
  data_wo_version = 1
}
resource "pachyderm_spout" "this" {
  project       = %[1]q
  name          = "spout"
  image         = %[3]q
  force_destroy = true
  kafka = {
    brokers = [%[4]q]
    topics  = [%[5]q]
    tls     = { ca_certificate = file("authority.pem") }
    sasl = {
      mechanism          = "scram-sha-512"
      credentials_secret = { name = pachyderm_secret.login.name }
    }
  }
  batch = { max_age = "300ms", max_bytes = "256KiB" }
  file  = { format = "jsonl" }
}
`, project, kafkaUser, image, k.Broker(1).Address(kafkacluster.SASLTLS), kafkaTopic)
}

// TestRealKafka reads a real Kafka into a real Pachyderm, with transactions
// that commit and abort, while the broker and the runner are killed.
func TestRealKafka(t *testing.T) {
	k, err := kafkacluster.Start(t.Context(), kafkacluster.Options{Users: map[string]string{kafkaUser: kafkaPassword}, Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Stop()
	const partitions = 3
	grant(t, k, partitions)
	c := cluster.Start(t)
	s := &spout{t: t, cluster: c, workspace: newWorkspace(t, c), produced: audit.NewProduced(audit.OffsetsOf("kafka")),
		project: newProject(t, c), name: "spout", partitions: partitions, random: rand.New(rand.NewPCG(1, 1))}
	s.branch = newClient(t, c).Branch(s.project, s.name, "master")
	variables, err := json.Marshal(map[string]string{"password": kafkaPassword})
	if err == nil {
		err = s.workspace.Write("terraform.tfvars.json", string(variables))
	}
	if err == nil {
		err = s.workspace.Write("authority.pem", k.Authority.PEM)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.apply(realKafkaConfig(s.project, k))
	t.Cleanup(s.destroy)
	planIsEmpty(t, s.workspace)

	x := newProducer(t, s, k)
	for range 3 {
		x.transactions(20)
		k.Broker(1).Kill()
		if err := k.Broker(1).Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.transactions(20)
		s.kill(func() error { return c.KillContainer(s.project, s.name, cluster.UserContainer, syscall.SIGKILL) })
	}
	x.finish()
	readCommitted(t, s, k)
	s.awaitAll()
	s.audit()
	for _, name := range []string{filepath.Join(s.workspace.Dir, "terraform.tfstate"), userLog(s)} {
		if text, err := os.ReadFile(name); err != nil || strings.Contains(string(text), kafkaPassword) {
			t.Errorf("%s holds the password, or cannot be read: %v", name, err)
		}
	}
}

func userLog(s *spout) string {
	s.t.Helper()
	path, err := s.cluster.UserLogPath(s.project, s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}

// grant makes the topic, and lets the user read it, with a certificate too.
func grant(t *testing.T, k *kafkacluster.Cluster, partitions int32) {
	t.Helper()
	made, err := k.Admin().CreateTopic(t.Context(), partitions, 1, nil, kafkaTopic)
	if err == nil {
		err = made.Err
	}
	if err != nil {
		t.Fatal(err)
	}
	acl := kadm.NewACLs().Allow("User:"+kafkaUser, "User:CN="+kafkaUser).AllowHosts("*").Topics(kafkaTopic).
		ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead)
	results, err := k.Admin().CreateACLs(t.Context(), acl)
	for _, result := range results {
		err = errors.Join(err, result.Err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// producer writes transactions to the topic.
type producer struct {
	*spout
	client *kgo.Client
}

func newProducer(t *testing.T, s *spout, k *kafkacluster.Cluster) *producer {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addresses(kafkacluster.Plaintext)...), kgo.TransactionalID("x"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &producer{s, client}
}

// transactions runs n transactions, a third of which abort, and notes what the
// others have written.
func (p *producer) transactions(n int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for i := range n {
		if err := p.client.BeginTransaction(); err != nil {
			p.t.Fatal(err)
		}
		var records []*kgo.Record
		for range 1 + p.random.IntN(100) {
			p.sent++
			records = append(records, &kgo.Record{Topic: kafkaTopic, Partition: p.random.Int32N(p.partitions), Value: fmt.Appendf(nil, `{"n":%d}`, p.sent)})
		}
		if err := p.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			p.t.Fatal(err)
		}
		if err := p.client.EndTransaction(ctx, kgo.TransactionEndTry(i%3 != 0)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// lastValue is the value of the record that finish leaves.
const lastValue = `{"n":"the last"}`

// finish commits a last record in each partition.
func (p *producer) finish() {
	p.t.Helper()
	if err := p.client.BeginTransaction(); err != nil {
		p.t.Fatal(err)
	}
	for partition := range p.partitions {
		r := &kgo.Record{Topic: kafkaTopic, Partition: partition, Value: []byte(lastValue)}
		if err := p.client.ProduceSync(p.t.Context(), r).FirstErr(); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := p.client.EndTransaction(p.t.Context(), kgo.TryCommit); err != nil {
		p.t.Fatal(err)
	}
}

// readCommitted notes what franz-go reads, up to what finish has left. What the
// producer was told is no measure here: the broker is killed, and may abort a
// transaction whose commit it had acknowledged just before.
func readCommitted(t *testing.T, s *spout, k *kafkacluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addresses(kafkacluster.Plaintext)...), kgo.ConsumeTopics(kafkaTopic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for open := s.partitions; open > 0; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("franz-go does not reach the end of %d partitions: %v", open, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			s.produced.Add(source.Stream{Name: r.Topic, Partition: r.Partition}, r.Offset, string(r.Value))
			if string(r.Value) == lastValue {
				open--
			}
		})
	}
	if s.produced.Count() < int64(s.sent)/2 {
		t.Errorf("only %d of %d records were committed", s.produced.Count(), s.sent)
	}
}
