// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
)

// mistakes are spouts that run and do not ingest, with what an apply has to
// say of each. None is the same once it is mended.
type mistake struct{ name, wrong, right, said string }

func mistakes(plain, login *kafkatest.Broker) []mistake {
	kafka := func(brokers, topic, more string) string {
		return fmt.Sprintf(`kafka = {
    brokers = [%s]
    topics  = [%q]
    %s
  }
  image  = %q
  runner = { http_port = 0 } # pods share the machine's ports here`, brokers, topic, more, image)
	}
	transform := func(cmd string) string { return fmt.Sprintf(`transform = { image = %q, cmd = %s }`, "debian:12", cmd) }
	right := kafka(plain.AddressList(), "records", "")
	sasl := func(secret string) string {
		return kafka(login.AddressList(), "records", `sasl = { mechanism = "plain", credentials_secret = { name = pachyderm_secret.`+secret+`.name } }`)
	}
	return []mistake{
		{"topic", kafka(plain.AddressList(), "recrods", ""), right, `topic recrods .*does not`},
		{"broker", kafka(`"127.0.0.1:1"`, "records", ""), right, `cannot reach Kafka at 127\.0\.0\.1:1.*refused`},
		{"tls", kafka(plain.AddressList(), "records", "tls = {}"), right, `cannot reach Kafka .*tls`},
		{"sasl", sasl("wrong"), sasl("right"), `(?i)cannot reach Kafka .*sasl`},
		{"command", transform(`["/nope"]`), transform(`["/bin/sleep", "1000"]`), `its command fails \(.*/nope: no such file`},
		{"ends", transform(`["/bin/true"]`), transform(`["/bin/sleep", "2000"]`), `exit code 0`},
	}
}

func waitingConfig(project string, spouts map[string]string) string {
	text := requirements
	for _, secret := range []struct{ name, password string }{{"right", "secret"}, {"wrong", "guess"}} {
		text += fmt.Sprintf(`
resource "pachyderm_secret" %[2]q {
  name            = "%[1]s-%[2]s"
  data_wo         = { username = "reader", password = %[3]q }
  data_wo_version = 1
}
`, project, secret.name, secret.password)
	}
	for name, body := range spouts {
		text += fmt.Sprintf(`
resource "pachyderm_spout" %[2]q {
  project       = %[1]q
  name          = %[2]q
  force_destroy = true
  %[3]s
}
data "pachyderm_spout" %[2]q {
  project    = %[1]q
  name       = %[2]q
  depends_on = [pachyderm_spout.%[2]s]
}
output %[2]q { value = jsonencode([data.pachyderm_spout.%[2]s.healthy, data.pachyderm_spout.%[2]s.runner_ready]) }
`, project, name, body)
	}
	return text
}

// TestWaiting makes the mistakes that a new user makes. An apply says what each
// spout waits for, and replaces none of them.
func TestWaiting(t *testing.T) {
	c := cluster.Start(t)
	plain, err := kafkatest.Start(1, kafkatest.Topic{Name: "records", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plain.Stop)
	login, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "records"), kfake.EnableSASL(), kfake.Superuser("PLAIN", "reader", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(login.Close)
	project, w := newProject(t, c), newWorkspace(t, c)
	t.Cleanup(func() {
		if err := w.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	all := mistakes(plain, &kafkatest.Broker{Cluster: login})
	wrong, right := map[string]string{}, map[string]string{}
	for _, m := range all {
		wrong[m.name], right[m.name] = m.wrong, m.right
	}
	said := applied(t, w, waitingConfig(project, wrong), true)
	for _, m := range all {
		if !regexp.MustCompile(`(?s)Spout ` + project + `/` + m.name + ` does not (ingest|run).*` + m.said).MatchString(said) {
			t.Errorf("%s: %q is not in:\n%s", m.name, m.said, said)
		}
		if got := output(t, w, m.name); !strings.HasPrefix(got, "[false,") {
			t.Errorf("%s: healthy and ready are %s", m.name, got)
		}
	}
	// An update that does not help is an error, and the next apply goes on.
	wrong["topic"] = strings.Replace(wrong["topic"], "recrods", "rocerds", 1)
	if said := applied(t, w, waitingConfig(project, wrong), false); !strings.Contains(said, "topic rocerds") {
		t.Error(said)
	}
	said = applied(t, w, waitingConfig(project, right), true)
	if strings.Contains(said, "does not") || strings.Contains(said, "replaced") || !strings.Contains(said, "0 added, 6 changed, 0 destroyed") {
		t.Error(said)
	}
	for _, m := range all {
		if got := output(t, w, m.name); !strings.HasPrefix(got, "[true,") {
			t.Errorf("%s: mended, healthy and ready are %s", m.name, got)
		}
	}
	planIsEmpty(t, w)
}

// applied applies a configuration and returns all that was said, on one line.
func applied(t *testing.T, w *terraformcli.Workspace, config string, ok bool) string {
	t.Helper()
	if err := w.Write("main.tf", config); err != nil {
		t.Fatal(err)
	}
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := w.Command(t.Context(), "apply", "-auto-approve", "-no-color").CombinedOutput()
	if (err == nil) != ok {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Join(strings.Fields(strings.NewReplacer("│", " ", "╷", " ", "╵", " ").Replace(string(out))), " ")
}

func output(t *testing.T, w *terraformcli.Workspace, name string) string {
	t.Helper()
	out, err := w.Command(t.Context(), "output", "-raw", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
