// SPDX-License-Identifier: Apache-2.0

package ingest

// Metric describes one metric of the runner. The documentation is made from
// these, and so are the collectors: what is not in [MetricTable] cannot be
// served.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// ofStreams says whether the metric has a series for each stream of the source.
func (m Metric) ofStreams() bool { return m.Name == metricLagRecords || m.Name == metricLagSeconds }

// Names of metrics.
const (
	metricBuildInfo  = "spout_build_info"
	metricReady      = "spout_ready"
	metricWaiting    = "spout_waiting_seconds"
	metricRestarts   = "spout_restarts_total"
	metricReadTotal  = "spout_read_records_total"
	metricLagRecords = "spout_lag_records"
	metricLagSeconds = "spout_lag_seconds"
	metricGaps       = "spout_gaps_total"

	metricPartitions    = "spout_source_partitions"
	metricUnreadable    = "spout_source_unreadable_partitions"
	metricFetches       = "spout_source_fetches_total"
	metricFetchedBytes  = "spout_source_fetched_bytes_total"
	metricReconnects    = "spout_source_reconnects_total"
	metricLeaderChanges = "spout_source_leader_changes_total"
	metricSkipped       = "spout_source_skipped_batches_total"
	metricDamaged       = "spout_source_damaged_batches_total"
	metricRefused       = "spout_source_refused_requests_total"
	metricRetained      = "spout_source_retained_bytes"

	metricCommits         = "spout_commits_total"
	metricRecords         = "spout_committed_records_total"
	metricFiltered        = "spout_filtered_records_total"
	metricDeadLetters     = "spout_dead_letters_total"
	metricRedelivered     = "spout_redelivered_records_total"
	metricBytes           = "spout_committed_bytes_total"
	metricFiles           = "spout_committed_files_total"
	metricUnfinished      = "spout_unfinished_commits"
	metricLastCommit      = "spout_last_commit_timestamp_seconds"
	metricBatchDuration   = "spout_batch_duration_seconds"
	metricUploadDuration  = "spout_upload_duration_seconds"
	metricCommitDuration  = "spout_commit_duration_seconds"
	metricRejectedCommits = "spout_rejected_commits_total"
	metricRollbacks       = "spout_rollbacks_total"

	metricMemoryUsed   = "spout_memory_used_bytes"
	metricMemoryBudget = "spout_memory_budget_bytes"
)

const (
	typeCounter   = "counter"
	typeGauge     = "gauge"
	typeHistogram = "histogram"
)

// MetricTable lists the metrics in the order of the documentation.
var MetricTable = []Metric{
	{metricBuildInfo, typeGauge, []string{"version"}, "Always 1; the label is the version of the runner."},
	{metricReady, typeGauge, nil, "1 while /readyz says that the runner is ready, otherwise 0."},
	{metricWaiting, typeGauge, nil, "For how long the runner has been waiting for the same answer of Pachyderm; 0 if it waits for none."},
	{metricRestarts, typeCounter, []string{"cause"}, "Times that reading began again from the newest commit after an error: source, pachyderm, rejected (a commit failed Pachyderm's validation) or writer (another one has changed the branch)."},

	{metricReadTotal, typeCounter, nil, "Records that were read and taken into a batch. Those that are read again after an error count again."},
	{metricLagRecords, typeGauge, []string{"topic", "partition"}, "Offsets from the newest FINISHED commit to the end of the partition. Markers of transactions and compacted records count too. Absent until the source told the end. From the 2001st partition on, all are added up as partition \"others\". The labels have the source's own names for these things, for Kafka topic and partition."},
	{metricLagSeconds, typeGauge, []string{"topic", "partition"}, "Age of the newest record in a FINISHED commit, by its timestamp, while there are records after it; 0 if there are none. Absent until it is known. Partition \"others\" is the worst of the rest."},
	{metricGaps, typeCounter, nil, "Ranges of records that no longer existed at the source and were passed over."},

	{metricPartitions, typeGauge, nil, "Partitions that are read."},
	{metricUnreadable, typeGauge, nil, "Partitions that cannot be read at the moment, for example those without a leader."},
	{metricFetches, typeCounter, nil, "Answers of the source with records."},
	{metricFetchedBytes, typeCounter, nil, "Bytes of those answers, as they came over the network."},
	{metricReconnects, typeCounter, nil, "Connections to the source that failed or were lost while reading."},
	{metricLeaderChanges, typeCounter, nil, "Times that a partition moved to another server, for example to another broker of Kafka. There is no consumer group, and so no rebalance."},
	{metricSkipped, typeCounter, nil, "Record batches that were left out: markers and aborted transactions."},
	{metricDamaged, typeCounter, nil, "Record batches whose checksum or form was wrong; they are fetched again."},
	{metricRefused, typeCounter, []string{"reason"}, "Requests of senders that were not taken: unauthorized, malformed, too large, rate, concurrency, memory, slow, timeout (not committed in time), gone (the sender did not wait), unavailable, method or not found. Only of sources that take requests."},
	{metricRetained, typeGauge, nil, "Bytes of log that the source keeps for the spout, such as the WAL of PostgreSQL for its slot. They grow while the spout does not read, and fill the server's disk in the end. Only of such sources, and absent until it is known."},

	{metricCommits, typeCounter, []string{"reason"}, "FINISHED commits by what they were made for: bytes, records, files or age (the limit that ended the batch), gaps (many ranges of records were gone), window full (the source gives no more before it is acknowledged what it gave), deadline (it waits no longer for that), start (fixes where reading begins), idle position (the position has moved without records), repair (brings back files), rewound (goes back to an older commit) or released (gives up what was made at the source)."},
	{metricRecords, typeCounter, nil, "Records in FINISHED commits."},
	{metricFiltered, typeCounter, nil, "Records that SPOUT_RECORD_FILTER left out, up to the newest FINISHED commit."},
	{metricDeadLetters, typeCounter, nil, "Records that were refused and are in files of dead letters, in FINISHED commits."},
	{metricRedelivered, typeCounter, nil, "Records that the source delivered again although they are in a commit already, and that were left out, up to the newest FINISHED commit."},
	{metricBytes, typeCounter, nil, "Bytes of files in FINISHED commits."},
	{metricFiles, typeCounter, nil, "Files in FINISHED commits."},
	{metricUnfinished, typeGauge, nil, "Commits that were started and are not known to be FINISHED."},
	{metricLastCommit, typeGauge, nil, "Unix time at which the newest commit was seen FINISHED; 0 if there was none since the start."},
	{metricBatchDuration, typeHistogram, nil, "From the first record of a batch until its commit is FINISHED."},
	{metricUploadDuration, typeHistogram, nil, "From the first file of a batch until all of its files are at Pachyderm; with the time in which the batch was still being filled."},
	{metricCommitDuration, typeHistogram, nil, "From StartCommit until the commit is FINISHED."},
	{metricRejectedCommits, typeCounter, nil, "Commits that failed Pachyderm's validation."},
	{metricRollbacks, typeCounter, nil, "Open commits of other writers, or of an earlier life, that were rolled back."},

	{metricMemoryUsed, typeGauge, []string{"use"}, "Memory in use for records that were fetched (source) and for files on their way (files)."},
	{metricMemoryBudget, typeGauge, nil, "SPOUT_MEMORY_BUDGET."},
}

// Values of the label cause.
const (
	causeSource    = "source"
	causePachyderm = "pachyderm"
	causeRejected  = "rejected"
	causeWriter    = "writer"
)

var causes = []string{causeSource, causePachyderm, causeRejected, causeWriter}

func metric(name string) Metric {
	for _, m := range MetricTable {
		if m.Name == name {
			return m
		}
	}
	panic("ingest: no metric " + name + " in the table")
}
