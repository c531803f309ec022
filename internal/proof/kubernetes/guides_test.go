// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
)

// commands are those of kubectl that a page shows: blocks as a whole, as what is
// typed line by line, and what stands in a sentence.
type commands struct {
	page           string
	blocks, inline []string
}

// pages returns the pages that show commands of kubectl.
func pages(t *testing.T) (all []commands) {
	t.Helper()
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	block, inline := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$"), regexp.MustCompile("`(kubectl [^`\n]+)`")
	for _, pattern := range []string{"docs/guides/*.md", "docs/*.md", "*.md", "examples/*/README.md", "examples/*/*/README.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			page := commands{page: strings.TrimPrefix(file, root+"/")}
			for _, found := range block.FindAllSubmatch(text, -1) {
				if string(found[1]) == "sh" && bytes.Contains(found[2], []byte("kubectl ")) {
					page.blocks = append(page.blocks, string(found[2]))
				}
			}
			rest := block.ReplaceAll(text, nil)
			for _, found := range inline.FindAllSubmatch(rest, -1) {
				page.inline = append(page.inline, string(found[1]))
			}
			if len(page.blocks)+len(page.inline) > 0 {
				all = append(all, page)
			}
		}
	}
	return all
}

// notRun are commands that do not stand for themselves, with the reason.
var notRun = map[string]string{
	"examples/webhook/README.md": "TestWebhookBehindService does what it says",
	"kubectl port-forward":       "it is a name, which the guide on monitoring has as a whole",
}

// printed says what the commands of a page print, whoever types them.
var printed = map[string]string{
	"docs/guides/monitoring.md":      `Forwarding from 127.0.0.1:9464 -> 9464`,
	"docs/guides/operations.md":      `(?s)would go back to commit .*Nothing was changed.*went back to commit `,
	"docs/guides/secrets.md":         `^secret/kafka-credentials created\s*$`,
	"docs/guides/troubleshooting.md": `ok`,
	"docs/guides/webhook.md":         `(?s)200 OK.*\{"records":(1,"known":0|0,"known":1)\}`, // known, if it was sent twice since a commit took long
}

// TestKubectlOfGuides runs each command of kubectl that a guide shows, as it
// stands but for Pachyderm's namespace and a time, against the spouts of the
// guides.
func TestKubectlOfGuides(t *testing.T) {
	t.Parallel()
	c, l, _ := start(t)
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: "orders", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	kubectl(t, l, "create", "secret", "generic", "events-webhooks", "--from-literal=github=the secret of the endpoint")
	w := written(t, c, fmt.Sprintf(`
resource "pachyderm_spout" "orders" {
  name          = "orders"
  image         = %[1]q
  force_destroy = true
  kafka         = { brokers = [%[2]s], topics = ["orders"] }
  batch         = { max_age = "300ms" }
}
resource "pachyderm_spout" "events" {
  name          = "events-of-guide"
  image         = %[1]q
  force_destroy = true
  webhook       = { endpoints = { github = { auth = "github", secret_files = ["/secrets/github"] } } }
  secret_mounts = { "/secrets" = "events-webhooks" }
}
`, image, broker.AddressList()))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	commit := func() {
		t.Helper()
		before := commits(t, c.Pachctl, "orders")
		if err := broker.Produce(t.Context(), func(string, int32, int64, string) {}, &kgo.Record{Topic: "orders", Value: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "there is a commit", func(context.Context) error {
			if now := commits(t, c.Pachctl, "orders"); now == before {
				return fmt.Errorf("%d commits", now)
			}
			return nil
		})
	}
	commit()
	then := time.Now().UTC()
	commit()
	shell := newShell(t, c, l, strings.NewReplacer("-n pachyderm", "-n default", "--namespace pachyderm", "--namespace default",
		"2026-11-30T12:00:00Z", then.Format(time.RFC3339Nano), "pipelineName=events", "pipelineName=events-of-guide"))
	for _, page := range pages(t) {
		if notRun[page.page] != "" {
			continue
		}
		t.Run(strings.ReplaceAll(page.page, "/", "-"), func(t *testing.T) {
			if len(page.blocks) > 0 && printed[page.page] == "" {
				t.Errorf("what do they print? %q", page.blocks)
			}
			for _, block := range page.blocks {
				awaitChecked(t, l, "orders") // another command may have deleted its pod
				out, err := shell.run(t, block)
				t.Logf("%s\n%s", block, out)
				if err != nil || !matches(printed[page.page], out) {
					t.Errorf("it has failed, or has not printed %s: %v", printed[page.page], err)
				}
			}
			for _, command := range page.inline {
				if notRun[command] != "" {
					continue
				}
				awaitChecked(t, l, "orders")
				out, err := shell.run(t, `pod=$(kubectl get pod -n pachyderm -l pipelineProject=default,pipelineName=orders -o name)`+"\n"+command)
				t.Logf("%s\n%.300s", command, out)
				if err != nil || strings.TrimSpace(out) == "" {
					t.Errorf("it has failed, or has printed nothing: %v", err)
				}
			}
		})
	}
}

// shell runs commands as a user of the lab would type them.
type shell struct {
	dir      string
	env      []string
	replacer *strings.Replacer
}

func newShell(t *testing.T, c *cluster.Cluster, l *kubernetes.Lab, replacer *strings.Replacer) shell {
	t.Helper()
	dir := t.TempDir()
	if _, err := artifacts.Runner(t.Context(), dir, providerVersion); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "password.txt"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{filepath.Dir(l.KubectlPath()), dir, os.Getenv("PATH")}, string(filepath.ListSeparator))
	return shell{dir, append(os.Environ(), "PATH="+path, "KUBECONFIG="+l.Kubeconfig(), "PACHD_ADDRESS="+c.Address()), replacer}
}

// run returns what commands print. One that forwards a port until it is ended is
// ended once the page that its comment names is there.
func (s shell) run(t *testing.T, script string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := os.CreateTemp(s.dir, "printed-") // a pipe would be waited for until the last of them ends
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail", "-c", s.replacer.Replace(script))
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }() // and what runs on behind it
	url := regexp.MustCompile(`(?m)^kubectl port-forward .* # then open (\S+)$`).FindStringSubmatch(script)
	if url != nil {
		eventually(t, url[1], func(ctx context.Context) error { return ok(ctx, url[1]) })
		_ = cmd.Cancel()
	}
	ended := cmd.Wait()
	if url != nil {
		ended = nil
	}
	text, err := os.ReadFile(out.Name())
	return string(text), errors.Join(ended, err)
}

// awaitChecked waits until a spout's pod, its sidecar included, is up.
func awaitChecked(t *testing.T, l *kubernetes.Lab, name string) {
	t.Helper()
	eventually(t, "the check of "+name+" passes", func(ctx context.Context) error {
		pod := podOf(t, l, name)
		said, err := l.Kubectl(ctx, "exec", "-n", "default", "-c", "user", pod.Metadata.Name, "--", "/spout-runner", "check")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return err
	})
}
