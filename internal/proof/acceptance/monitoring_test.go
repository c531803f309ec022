// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// url is where the runner's pod answers: all have the same port.
func (s *spout) url(path string) (string, error) {
	pods := s.cluster.Pods(s.project, s.name)
	if len(pods) != 1 {
		return "", fmt.Errorf("the spout has %d pods", len(pods))
	}
	return fmt.Sprintf("http://%s:9464%s", pods[0].IP, path), nil
}

// get asks the runner's HTTP server.
func (s *spout) get(path string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	url, err := s.url(path)
	if err != nil {
		return 0, "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close() //nolint:errcheck // it is read
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// TestSeenFromOutside asks a runner in its pod how it is, also while Kafka is
// away, and reads its log.
func TestSeenFromOutside(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 2)
	s.apply(s.config(`metadata = { annotations = { team = "data" } }`))
	await(t, "the runner is ready", func() (bool, error) {
		status, body, err := s.get("/readyz")
		return status == http.StatusOK && body == "ready: ingesting\n", err
	})
	s.produce(500)
	s.awaitAll()
	var status ingest.Status
	await(t, "the status shows all records and no lag", func() (bool, error) {
		_, body, err := s.get("/status.json")
		if err == nil {
			err = json.Unmarshal([]byte(body), &status)
		}
		return status.Totals.Records == 500 && status.Lag.Records == 0 && status.Lag.Count == 2 && len(status.Commits) > 0, err
	})
	if _, metrics, err := s.get("/metrics"); err != nil || !strings.Contains(metrics, "\nspout_committed_records_total 500\n") || !strings.Contains(metrics, "\nspout_ready 1\n") {
		t.Errorf("%v\n%s", err, metrics)
	} else if promtool, err := exec.LookPath("promtool"); err == nil {
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = strings.NewReader(metrics)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
	if code, page, err := s.get("/"); err != nil || code != http.StatusOK || !strings.Contains(page, "<title>spout-runner</title>") {
		t.Errorf("%d %v", code, err)
	}

	path, err := s.cluster.UserLogPath(s.project, s.name)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the log has a line for each commit, with 500 records in all", func() (bool, error) {
		text, err := os.ReadFile(path)
		logged := recordsLogged(string(text))
		if err == nil && logged != 500 {
			err = fmt.Errorf("it has %d", logged)
		}
		return err == nil, err
	})

	out, err := s.cluster.Pachctl(t.Context(), "inspect", "pipeline", s.name, "--project", s.project, "--raw", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	for _, annotation := range []string{`"prometheus.io/scrape"`, `"9464"`, `"/metrics"`, `"team"`} {
		if !strings.Contains(out, annotation) {
			t.Errorf("the pipeline has no annotation %s", annotation)
		}
	}

	s.broker.Stop()
	await(t, "the runner says that Kafka is away", func() (bool, error) {
		status, body, err := s.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "Kafka"), err
	})
}

// recordsLogged adds up the records of the commits in a runner's log.
func recordsLogged(text string) (records int) {
	for line := range strings.Lines(text) {
		var worker struct{ Message string } // Pachyderm puts each line into one of its own
		var entry struct {
			Message string `json:"@message"`
			Commit  string `json:"commit"`
			Records int    `json:"records"`
		}
		if json.Unmarshal([]byte(line), &worker) == nil && json.Unmarshal([]byte(worker.Message), &entry) == nil && entry.Message == "committed" && entry.Commit != "" {
			records += entry.Records
		}
	}
	return records
}
