// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Metrics are the runner's figures for Prometheus. All names begin with spout_.
type Metrics struct {
	registry *prometheus.Registry

	records, bytes, files, gaps   prometheus.Counter
	filtered, deadLetters         prometheus.Counter
	batches                       *prometheus.CounterVec
	rollbacks, rejected, sessions prometheus.Counter
	lastCommit                    prometheus.Gauge

	done   atomic.Int64
	source atomic.Pointer[source.Source]
}

// NewMetrics makes the metrics in a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	m.records = counter("spout_records_total", "Records in commits that are FINISHED.")
	m.filtered = counter("spout_filtered_records_total", "Records that SPOUT_RECORD_FILTER has left out, up to the last commit that is FINISHED.")
	m.deadLetters = counter("spout_dead_letters_total", "Records that were refused and are in files of dead letters, in commits that are FINISHED.")
	m.bytes = counter("spout_bytes_total", "Bytes of files in commits that are FINISHED.")
	m.files = counter("spout_files_total", "Files in commits that are FINISHED.")
	m.gaps = counter("spout_gaps_total", "Ranges of records that no longer existed at the source.")
	m.rollbacks = counter("spout_rollbacks_total", "Open commits of other writers, or of an earlier life, that were rolled back.")
	m.rejected = counter("spout_rejected_commits_total", "Commits that Pachyderm's validation has rejected.")
	m.sessions = counter("spout_restarts_total", "Times the loop began again from the last commit after an error.")
	m.batches = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spout_commits_total", Help: "Commits that are FINISHED, by the reason they were made for."}, []string{"reason"})
	m.lastCommit = prometheus.NewGauge(prometheus.GaugeOpts{Name: "spout_last_commit_timestamp_seconds", Help: "When the last commit was seen FINISHED."})
	m.registry.MustRegister(m.batches, m.lastCommit, lagCollector{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) committed(d spoutcommit.Description) {
	m.records.Add(float64(d.Written))
	m.filtered.Add(float64(d.Filtered))
	m.deadLetters.Add(float64(d.DeadLettered))
	m.bytes.Add(float64(d.Bytes))
	m.files.Add(float64(d.Files))
	m.gaps.Add(float64(len(d.Gaps)))
	m.batches.WithLabelValues(string(d.Reason)).Inc()
	m.lastCommit.SetToCurrentTime()
	m.done.Add(1)
}

// commits is the number of commits so far.
func (m *Metrics) commits() int64 { return m.done.Load() }

// watch names the source whose lag is shown; nil for none.
func (m *Metrics) watch(s source.Source) {
	if s == nil {
		m.source.Store(nil)
		return
	}
	m.source.Store(&s)
}

// lagging is a source that knows how far behind it is.
type lagging interface {
	// Lag returns for each stream the number of records that are at the source
	// and have not been consumed.
	Lag() map[source.Stream]int64
}

var lagDesc = prometheus.NewDesc("spout_lag_records", "Records at the source that have not been read yet.", []string{"topic", "partition"}, nil)

// lagCollector asks the source when it is scraped, so that nothing is kept up
// to date for nobody.
type lagCollector struct{ m *Metrics }

func (lagCollector) Describe(out chan<- *prometheus.Desc) { out <- lagDesc }

func (c lagCollector) Collect(out chan<- prometheus.Metric) {
	current := c.m.source.Load()
	if current == nil {
		return
	}
	if s, ok := (*current).(lagging); ok {
		for stream, lag := range s.Lag() {
			out <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(lag), stream.Topic, strconv.Itoa(int(stream.Partition)))
		}
	}
}

// status is what the ingester does at the moment, in words, and what holds it
// up, if something does.
type status struct{ text, delayed atomic.Pointer[string] }

const statusIngesting = "ingesting"

func (s *status) set(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.text.Store(&text)
}

// delay says what is being waited for, "" once nothing is.
func (s *status) delay(what string) { s.delayed.Store(&what) }

// Ready says whether batches are being committed, and what the ingester does
// or has been waiting for. That the source has nothing to read is no reason
// not to be ready.
func (in *Ingester) Ready() (ready bool, status string) {
	status = "starting"
	if text := in.status.text.Load(); text != nil {
		status = *text
	}
	if what := in.status.delayed.Load(); what != nil && *what != "" {
		return false, status + ", waiting " + *what
	}
	return status == statusIngesting, status
}
