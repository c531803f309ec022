// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// observedSource is a source of which only Observe is called.
type observedSource struct {
	source.Source
	seen source.Observation
}

func (s *observedSource) Observe() source.Observation { return s.seen }

func newObserved(t *testing.T) (*Ingester, *observedSource) {
	t.Helper()
	client := &pachyderm.Client{}
	in, err := New(Config{Settings: settings.Default(), Branch: client.Branch("p", "orders", "master"), Writer: "w", Version: "1.2.3",
		Log: hclog.NewNullLogger(), Metrics: NewMetrics()})
	if err != nil {
		t.Fatal(err)
	}
	s := &observedSource{seen: source.Observation{Memory: 100, Unreadable: 1,
		Retained: 7,
		Totals:   source.Totals{Fetches: 10, FetchedBytes: 2000, Reconnects: 1, LeaderChanges: 2, Skipped: 3, Damaged: 4, Refused: map[string]int64{"rate": 5}},
		Lags: []source.Lag{{Stream: source.Stream{Name: "a", Partition: 0}, Records: 5, Age: 90 * time.Second},
			{Stream: source.Stream{Name: "b", Partition: 7}, Records: 9, Age: -1}}}}
	in.Metrics.watch(s)
	return in, s
}

// committed is a commit that is FINISHED.
func (in *Ingester) testCommit(id string, reason spoutcommit.Reason, written int64) CommitStatus {
	u := &upload{began: time.Now().Add(-2 * time.Second), uploading: time.Second,
		description: spoutcommit.Description{Reason: reason, Read: written, Written: written, Bytes: 10 * written, Files: 2}}
	return commitStatus(id, time.Now().Add(-time.Second), u)
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	t.Parallel()
	in, _ := newObserved(t)
	families, err := in.Metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "spout_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestMetricsAreAsDocumented: each metric of the table is served, with its
// type and labels, and no other of the same prefix.
func TestMetricsAreAsDocumented(t *testing.T) {
	t.Parallel()
	in, _ := newObserved(t)
	families, err := in.Metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "spout_") {
			continue
		}
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		served[f.GetName()] = fmt.Sprint(strings.ToLower(f.Type.String()), labels, f.GetHelp())
	}
	documented := map[string]string{}
	for _, m := range MetricTable {
		labels := slices.Sorted(slices.Values(m.Labels))
		documented[m.Name] = fmt.Sprint(m.Type, labels, m.Help)
	}
	if !maps.Equal(served, documented) {
		t.Errorf("served:     %v\ndocumented: %v", served, documented)
	}
}

func TestMetricsCount(t *testing.T) {
	t.Parallel()
	in, s := newObserved(t)
	m := in.Metrics
	m.read.Add(120)
	m.committed(in.testCommit("1", spoutcommit.ReasonStart, 0))
	m.committed(in.testCommit("2", spoutcommit.ReasonBytes, 100))
	m.committed(in.testCommit("3", spoutcommit.ReasonFiles, 0))
	m.restarted(cause(fmt.Errorf("open: %w", &sourceError{errors.New("refused")})))
	m.restarted(cause(&rejectedError{commit: "x"}))
	m.restarted(cause(fmt.Errorf("%w: parent", errLostLock)))
	m.restarted(cause(errors.New("unavailable")))
	m.watch(nil) // the session ended
	m.watch(s)   // and the next has a new source
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		"spout_read_records_total 120", "spout_committed_records_total 100", "spout_committed_bytes_total 1000", "spout_committed_files_total 6",
		`spout_commits_total{reason="start"} 1`, `spout_commits_total{reason="bytes"} 1`, `spout_commits_total{reason="files"} 1`, `spout_commits_total{reason="age"} 0`,
		`spout_restarts_total{cause="source"} 1`, `spout_restarts_total{cause="rejected"} 1`, `spout_restarts_total{cause="writer"} 1`, `spout_restarts_total{cause="pachyderm"} 1`,
		`spout_lag_records{partition="0",topic="a"} 5`, `spout_lag_seconds{partition="0",topic="a"} 90`, `spout_lag_records{partition="7",topic="b"} 9`,
		"spout_source_fetches_total 20", "spout_source_partitions 2", "spout_source_unreadable_partitions 1", "spout_source_leader_changes_total 4",
		"spout_batch_duration_seconds_count 2", "spout_commit_duration_seconds_count 3", "spout_ready 0", `spout_build_info{version="1.2.3"} 1`,
		`spout_memory_used_bytes{use="source"} 100`, "spout_memory_budget_bytes 2.68435456e+08", "spout_source_retained_bytes 7",
	} {
		if !strings.Contains(page.Body.String(), line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if strings.Contains(page.Body.String(), `spout_lag_seconds{partition="7"`) {
		t.Error("a lag is served that is not known")
	}
	if t.Failed() {
		t.Log(page.Body)
	}
}

func TestSeriesOfPartitionsHaveAnEnd(t *testing.T) {
	t.Parallel()
	var lags []source.Lag
	for p := range lagsServed + 10 {
		lags = append(lags, source.Lag{Stream: source.Stream{Name: "t", Partition: int32(p)}, Records: 2, Age: time.Duration(p) * time.Second})
	}
	layout := settings.Default().Layout()
	served := bounded(lags, layout)
	last := served[len(served)-1]
	if len(served) != lagsServed+1 || last.labels[1] != "others" || last.records != 20 || last.age != (lagsServed+9)*time.Second {
		t.Error(len(served), last)
	}
	if served := bounded(lags[:3], layout); len(served) != 3 || served[2].labels[1] != "2" {
		t.Error(served)
	}
	tables := settings.Layout{Stream: "table", Offset: "ordinal"}
	if served := bounded(lags, tables); !slices.Equal(served[0].labels, []string{"t"}) || !slices.Equal(served[lagsServed].labels, []string{"others"}) {
		t.Error(served[0], served[lagsServed])
	}
}

// TestCommitsAreLogged: one line per commit, with the documented fields.
func TestCommitsAreLogged(t *testing.T) {
	t.Parallel()
	in, _ := newObserved(t)
	var out bytes.Buffer
	in.Log = hclog.New(&hclog.LoggerOptions{JSONFormat: true, Output: &out})
	c := &committer{Ingester: in}
	c.report(in.testCommit("c1", spoutcommit.ReasonAge, 7))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err, out.String())
	}
	if line["@message"] != "committed" || line["commit"] != "c1" || line["reason"] != "age" || line["records"] != 7.0 || line["upload_seconds"] != 1.0 {
		t.Error(out.String())
	}
	maps.DeleteFunc(line, func(key string, _ any) bool { return strings.HasPrefix(key, "@") })
	var documented []string
	for _, f := range CommitLogFields() {
		documented = append(documented, f.Name)
	}
	if slices.Sort(documented); !slices.Equal(slices.Sorted(maps.Keys(line)), documented) {
		t.Errorf("logged %v, documented %v", slices.Sorted(maps.Keys(line)), documented)
	}
}

func TestStatusShowsTheNewestCommits(t *testing.T) {
	t.Parallel()
	in, _ := newObserved(t)
	for i := range recentCommits + 3 {
		in.Metrics.committed(in.testCommit(fmt.Sprint(i), spoutcommit.ReasonAge, 1))
	}
	for range samples + 3 {
		in.Metrics.sample()
	}
	s := in.Status()
	if len(s.Commits) != recentCommits || s.Commits[0].ID != "3" || s.Commits[recentCommits-1].ID != fmt.Sprint(recentCommits+2) {
		t.Error(s.Commits)
	}
	if len(s.History) != samples || s.History[0].Records != recentCommits+3 {
		t.Error(len(s.History))
	}
	if s.Lag.Records != 14 || s.Lag.Seconds != 90 || s.Lag.Partitions[0].Stream != "b" || s.Lag.Partitions[0].Seconds != nil || *s.Lag.Partitions[1].Seconds != 90 {
		t.Error(s.Lag)
	}
}

// TestStatusIsDocumented: every field of the JSON is, and no other.
func TestStatusIsDocumented(t *testing.T) {
	t.Parallel()
	in, _ := newObserved(t)
	in.Metrics.committed(in.testCommit("1", spoutcommit.ReasonAge, 1))
	in.Metrics.sample()
	text, err := json.Marshal(in.Status())
	if err != nil {
		t.Fatal(err)
	}
	var status any
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, f := range StatusFields() {
		documented[f.Name] = true
		if f.Doc == "" {
			t.Errorf("%s has no documentation", f.Name)
		}
	}
	delete(documented, "totals.commits") // their keys are values of labels
	delete(documented, "totals.restarts")
	var visit func(at string, v any)
	visit = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if at == "totals.commits" || at == "totals.restarts" {
				return
			}
			for key, below := range v {
				visit(strings.TrimPrefix(at+"."+key, "."), below)
			}
		case []any:
			if at == "problems" {
				delete(documented, at)
				return
			}
			delete(documented, at+"[]")
			for _, below := range v {
				visit(at+"[]", below)
			}
			return
		}
		delete(documented, at)
	}
	visit("", status)
	if len(documented) > 0 {
		t.Error("documented, but not served:", documented)
	}
}

// TestNamesOfAnyBytes: a server's names of streams are bytes that may be no text.
// They end neither the process nor the metrics, and are told apart.
func TestNamesOfAnyBytes(t *testing.T) {
	t.Parallel()
	in, s := newObserved(t)
	s.seen.Lags = nil
	for _, name := range []string{"a\xff", "a\xfe", "a\ufffd", "b\x00\n\"", "c"} {
		s.seen.Lags = append(s.seen.Lags, source.Lag{Stream: source.Stream{Name: name}, Records: 1, Age: 1})
	}
	families, err := in.Metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == metricLagRecords && len(f.Metric) != len(s.seen.Lags) {
			t.Errorf("%d streams are served", len(f.Metric))
		}
	}
}
