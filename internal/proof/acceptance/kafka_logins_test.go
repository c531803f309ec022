// SPDX-License-Identifier: Apache-2.0

//go:build acceptance && brokers

package acceptance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// loginsConfig are spouts that log in with a certificate, as a secret and as
// files of a mounted one, and with tokens. Each makes its own secret.
func loginsConfig(project string, k *kafkacluster.Cluster) string {
	spout := func(name string, listener kafkacluster.Listener, login, more string) string {
		return fmt.Sprintf(`
resource "pachyderm_spout" %[2]q {
  project       = %[1]q
  name          = %[2]q
  image         = %[3]q
  force_destroy = true
  kafka = {
    brokers = [%[4]q]
    topics  = [%[5]q]
    %[6]s
  }
  batch = { max_age = "300ms" }
  %[7]s
}
`, project, name, image, k.Broker(1).Address(listener), kafkaTopic, login, more)
	}
	return requirements + fmt.Sprintf(`
variable "certificate" { type = string }
variable "key" {
  type      = string
  ephemeral = true
}
variable "password" {
  type      = string
  ephemeral = true
}
resource "pachyderm_secret" "certificate" {
  name            = "%[1]s-certificate"
  type            = "kubernetes.io/tls"
  data_wo         = { "tls.crt" = var.certificate, "tls.key" = var.key }
  data_wo_version = 1
}
resource "pachyderm_secret" "client" {
  name            = "%[1]s-client"
  data_wo         = { id = %[2]q, secret = var.password }
  data_wo_version = 1
}
`, project, kafkaUser) +
		spout("certificate", kafkacluster.MutualTLS, `tls = {
      ca_certificate            = file("authority.pem")
      client_certificate_secret = { name = pachyderm_secret.certificate.name }
    }`, "") +
		spout("files", kafkacluster.MutualTLS, `tls = {
      ca_certificate   = file("authority.pem")
      certificate_file = "/certificate/tls.crt"
      private_key_file = "/certificate/tls.key"
    }`, `secret_mounts = { "/certificate" = pachyderm_secret.certificate.name }`) +
		spout("tokens", kafkacluster.SASLTLS, fmt.Sprintf(`tls = { ca_certificate = file("authority.pem") }
    sasl = {
      mechanism          = "oauthbearer"
      token_url          = %q
      scope              = "kafka"
      credentials_secret = { name = pachyderm_secret.client.name, username_key = "id", password_key = "secret" }
    }`, k.Tokens.URL), "")
}

// TestRealKafkaLogins: what a real Kafka is logged in to with reaches the pods
// by references to secrets only, and is nowhere else.
func TestRealKafkaLogins(t *testing.T) {
	k, err := kafkacluster.Start(t.Context(), kafkacluster.Options{Users: map[string]string{kafkaUser: kafkaPassword}, Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Stop()
	grant(t, k, 1)
	own, err := k.Authority.Issue(kafkaUser)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.Start(t)
	project := newProject(t, c)
	w := newWorkspace(t, c)
	log := filepath.Join(t.TempDir(), "trace.log")
	if err := w.SetLogPath(log); err != nil {
		t.Fatal(err)
	}
	variables, err := json.Marshal(map[string]string{"certificate": own.Chain, "key": own.Key, "password": kafkaPassword})
	if err == nil {
		err = w.Write("terraform.tfvars.json", string(variables))
	}
	if err == nil {
		err = w.Write("authority.pem", k.Authority.PEM)
	}
	if err == nil {
		err = applyConfig(t.Context(), w, loginsConfig(project, k))
	}
	if err != nil {
		t.Fatal(err)
	}
	planIsEmpty(t, w)
	produced := produceNumbers(t, k, 500)
	_, key, _ := strings.Cut(own.Key, "\n")
	secrets := map[string]string{"the password": kafkaPassword, "the password in base64": base64.StdEncoding.EncodeToString([]byte(kafkaPassword)), "the key": key[:60]}
	for _, name := range []string{"certificate", "files", "tokens"} {
		s := &spout{t: t, cluster: c, workspace: w, produced: produced, project: project, name: name, partitions: 1}
		s.branch = newClient(t, c).Branch(project, name, "master")
		s.awaitAll()
		s.audit()
		spec, err := c.Pachctl(t.Context(), "inspect", "pipeline", name, "--project", project, "--raw", "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		holdsNone(t, "the specification of "+name, spec, secrets)
		text, err := os.ReadFile(userLog(s))
		if err != nil {
			t.Fatal(err)
		}
		holdsNone(t, "the log of "+name, string(text), secrets)
	}
	if tokens, scope := k.Tokens.Issued(kafkaUser); tokens == 0 || scope != "kafka" {
		t.Errorf("%d tokens were issued, of the scope %q", tokens, scope)
	}
	if err := w.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{log, filepath.Join(w.Dir, "terraform.tfstate.backup")} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), "pachyderm_spout") {
			t.Fatalf("%s is not what it should be: %v", file, err)
		}
		holdsNone(t, filepath.Base(file), string(text), secrets)
	}
}

// holdsNone fails if a text has one of the secrets in it.
func holdsNone(t *testing.T, what, text string, secrets map[string]string) {
	t.Helper()
	for name, secret := range secrets {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("%s is in %s, after …%s", name, what, text[max(0, at-200):at])
		}
	}
}

// produceNumbers writes n records to the topic.
func produceNumbers(t *testing.T, k *kafkacluster.Cluster, n int) *audit.Produced {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addresses(kafkacluster.Plaintext)...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	produced := audit.NewProduced(audit.OffsetsOf("kafka"))
	for i := range n {
		r := &kgo.Record{Topic: kafkaTopic, Value: fmt.Appendf(nil, `{"n":%d}`, i)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		produced.Add(source.Stream{Name: r.Topic, Partition: r.Partition}, r.Offset, string(r.Value))
	}
	return produced
}
