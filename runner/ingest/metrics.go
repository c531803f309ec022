// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"errors"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Metrics are the runner's figures, for Prometheus and for the status page;
// [MetricTable] says what they mean. They belong to one Ingester.
type Metrics struct {
	registry   *prometheus.Registry
	histograms map[string]prometheus.Histogram

	read        atomic.Int64 // records taken into batches
	filesMemory atomic.Int64 // bytes of files on their way
	unfinished  atomic.Int64 // commits that were started and are not FINISHED

	mu      sync.Mutex
	counts  tally
	recent  []CommitStatus // oldest first
	history []Sample       // oldest first
	source  source.Source  // that is open; nil if none is
	past    source.Totals  // of sources that were closed
}

// tally is the figures that commits and errors move, and whose they are.
type tally struct {
	records, bytes, files, gaps int64
	filtered, deadLettered      int64
	redelivered                 int64
	rejected, rollbacks         int64
	commits                     map[spoutcommit.Reason]int64
	restarts                    map[string]int64
	lastCommit                  time.Time
	ingester                    *Ingester // whose figures they are
}

func (c *tally) total() (commits int64) {
	for _, n := range c.commits {
		commits += n
	}
	return commits
}

// Seconds that a batch or one of its steps may take: from a small commit to
// what is only seen when the storage stalls.
var durationBuckets = []float64{0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// NewMetrics makes the metrics in a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), histograms: map[string]prometheus.Histogram{},
		counts: tally{commits: map[spoutcommit.Reason]int64{}, restarts: map[string]int64{}}}
	for _, described := range MetricTable {
		if described.Type == typeHistogram {
			h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: described.Name, Help: described.Help, Buckets: durationBuckets})
			m.histograms[described.Name] = h
			m.registry.MustRegister(h)
		}
	}
	m.registry.MustRegister(collector{m}, lagCollector{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// belongTo names the ingester whose settings and health are served.
func (m *Metrics) belongTo(in *Ingester) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.ingester = in
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// update changes the counts.
func (m *Metrics) update(change func(*tally)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.counts)
}

// committed notes a commit that is FINISHED.
func (m *Metrics) committed(c CommitStatus) {
	m.histograms[metricCommitDuration].Observe(c.CommitSeconds)
	if c.Reason != spoutcommit.ReasonStart && c.Reason != spoutcommit.ReasonRepair && c.Reason != spoutcommit.ReasonRewound && c.Reason != spoutcommit.ReasonIdle {
		m.histograms[metricUploadDuration].Observe(c.UploadSeconds)
		m.histograms[metricBatchDuration].Observe(c.BatchSeconds)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.records += c.Records
	m.counts.filtered += c.Filtered
	m.counts.deadLettered += c.DeadLettered
	m.counts.redelivered += c.Redelivered
	m.counts.bytes += c.Bytes
	m.counts.files += int64(c.Files)
	m.counts.gaps += int64(c.Gaps)
	m.counts.commits[c.Reason]++
	m.counts.lastCommit = c.Finished
	if len(m.recent) == recentCommits {
		m.recent = append(m.recent[:0], m.recent[1:]...)
	}
	m.recent = append(m.recent, c)
}

// restarted notes that a session ended with an error.
func (m *Metrics) restarted(cause string) {
	m.update(func(c *tally) { c.restarts[cause]++ })
}

// commits is the number of commits so far.
func (m *Metrics) commits() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts.total()
}

// snapshot copies the counts.
func (m *Metrics) snapshot() tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.counts
	c.commits, c.restarts = maps.Clone(c.commits), maps.Clone(c.restarts)
	return c
}

// watch names the source that is looked at from now on, nil for none.
func (m *Metrics) watch(s source.Source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past = m.observeLocked().Totals
	m.source = s
}

// observe looks at the source. The totals are those of all sources so far.
func (m *Metrics) observe() source.Observation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.observeLocked()
}

func (m *Metrics) observeLocked() source.Observation {
	var seen source.Observation
	if s, ok := m.source.(source.Observed); ok {
		seen = s.Observe()
	}
	seen.Totals = m.past.Plus(seen.Totals)
	return seen
}

// collector looks at everything when it is scraped, so that nothing is kept up
// to date for nobody.
type collector struct{ m *Metrics }

var descriptions = func() map[string]*prometheus.Desc {
	all := map[string]*prometheus.Desc{}
	for _, m := range MetricTable {
		all[m.Name] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
	}
	return all
}()

// Describe implements [prometheus.Collector].
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range MetricTable {
		if m.Type != typeHistogram && !m.ofStreams() {
			out <- descriptions[m.Name]
		}
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	types := map[string]prometheus.ValueType{typeCounter: prometheus.CounterValue, typeGauge: prometheus.GaugeValue}
	emit := func(name string, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(descriptions[name], types[metric(name).Type], value, labels...)
	}
	m := c.m
	n, seen := m.snapshot(), m.observe()

	emit(metricReadTotal, float64(m.read.Load()))
	emit(metricGaps, float64(n.gaps))
	emit(metricRecords, float64(n.records))
	emit(metricFiltered, float64(n.filtered))
	emit(metricDeadLetters, float64(n.deadLettered))
	emit(metricRedelivered, float64(n.redelivered))
	emit(metricBytes, float64(n.bytes))
	emit(metricFiles, float64(n.files))
	emit(metricRejectedCommits, float64(n.rejected))
	emit(metricRollbacks, float64(n.rollbacks))
	emit(metricUnfinished, float64(m.unfinished.Load()))
	for _, reason := range spoutcommit.Reasons {
		emit(metricCommits, float64(n.commits[reason]), string(reason))
	}
	for _, cause := range causes {
		emit(metricRestarts, float64(n.restarts[cause]), cause)
	}
	emit(metricLastCommit, unixSeconds(n.lastCommit))

	emit(metricPartitions, float64(len(seen.Lags)))
	emit(metricUnreadable, float64(seen.Unreadable))
	emit(metricFetches, float64(seen.Totals.Fetches))
	emit(metricFetchedBytes, float64(seen.Totals.FetchedBytes))
	emit(metricReconnects, float64(seen.Totals.Reconnects))
	emit(metricLeaderChanges, float64(seen.Totals.LeaderChanges))
	emit(metricSkipped, float64(seen.Totals.Skipped))
	emit(metricDamaged, float64(seen.Totals.Damaged))
	for reason, n := range seen.Totals.Refused {
		emit(metricRefused, float64(n), reason)
	}
	if seen.Retained > 0 {
		emit(metricRetained, float64(seen.Retained))
	}
	emit(metricMemoryUsed, float64(seen.Memory), "source")
	emit(metricMemoryUsed, float64(m.filesMemory.Load()), "files")
	if in := n.ingester; in != nil {
		emit(metricMemoryBudget, float64(in.Settings.MemoryBudget))
		emit(metricBuildInfo, 1, in.Version)
		emit(metricWaiting, in.health.waitingFor().Seconds())
		ready := 0.0
		if in.health.judge(seen.Troubles).Ready {
			ready = 1
		}
		emit(metricReady, ready)
	}
}

// lagCollector is a collector of the metrics of streams, whose labels are called
// as the source calls them: what it serves is known only when it is asked.
type lagCollector struct{ m *Metrics }

// Describe implements [prometheus.Collector].
func (lagCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c lagCollector) Collect(out chan<- prometheus.Metric) {
	in := c.m.snapshot().ingester
	if in == nil {
		return
	}
	layout := in.Settings.Layout()
	labels := []string{layout.Stream}
	if layout.Partition != "" {
		labels = append(labels, layout.Partition)
	}
	records := prometheus.NewDesc(metricLagRecords, metric(metricLagRecords).Help, labels, nil)
	seconds := prometheus.NewDesc(metricLagSeconds, metric(metricLagSeconds).Help, labels, nil)
	for _, lag := range bounded(c.m.observe().Lags, layout) {
		if lag.records >= 0 {
			out <- prometheus.MustNewConstMetric(records, prometheus.GaugeValue, float64(lag.records), lag.labels...)
		}
		if lag.age >= 0 {
			out <- prometheus.MustNewConstMetric(seconds, prometheus.GaugeValue, lag.age.Seconds(), lag.labels...)
		}
	}
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}

// sourceError is an error of the source, whatever it is.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// cause says what an error that ended a session is about.
func cause(err error) string {
	var rejected *rejectedError
	var ofSource *sourceError
	switch {
	case errors.As(err, &rejected):
		return causeRejected
	case errors.Is(err, errLostLock):
		return causeWriter
	case errors.As(err, &ofSource):
		return causeSource
	}
	return causePachyderm
}
