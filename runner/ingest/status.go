// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	recentCommits = 50
	sampleEvery   = 5 * time.Second
	samples       = 360  // half an hour
	lagsShown     = 100  // partitions on the status page
	lagsServed    = 2000 // partitions that have series of their own
	lagsOthers    = "others"
	logCommitted  = "committed"
)

// Status is all that the status page shows; it is served as JSON. The doc tags
// are its documentation.
type Status struct {
	Version string    `json:"version" doc:"Version of the runner."`
	Writer  string    `json:"writer" doc:"Name of this process in commits: the pod's, and a number."`
	Project string    `json:"project" doc:"Project of the pipeline."`
	Repo    string    `json:"repo" doc:"The pipeline's output repo."`
	Branch  string    `json:"branch" doc:"Output branch that is written."`
	Source  string    `json:"source" doc:"What is read, for example kafka."`
	Now     time.Time `json:"now" doc:"Time at the runner."`
	Started time.Time `json:"started" doc:"When the runner was started."`
	Epoch   int64     `json:"epoch" doc:"Number of the writer; it rises with each that takes the branch over. 0 until the branch was seen."`

	Health

	Totals  StatusTotals   `json:"totals" doc:"Counts since the runner was started."`
	Memory  StatusMemory   `json:"memory" doc:"Memory in use, in bytes."`
	Words   StatusWords    `json:"words" doc:"What the source calls its coordinates."`
	Lag     StatusLag      `json:"lag" doc:"What is not in a FINISHED commit yet."`
	Commits []CommitStatus `json:"commits" doc:"The newest 50 FINISHED commits since the start, oldest first."`
	History []Sample       `json:"history" doc:"The last half hour, a sample every 5 s, oldest first."`
}

// StatusTotals are counts since the runner was started.
type StatusTotals struct {
	Read       int64                        `json:"read_records" doc:"Records read; those read again after an error count again."`
	Records    int64                        `json:"records" doc:"Records in FINISHED commits."`
	Bytes      int64                        `json:"bytes" doc:"Bytes of their files."`
	Filtered   int64                        `json:"filtered" doc:"Records that the filter left out."`
	DeadLetter int64                        `json:"dead_lettered" doc:"Records that were refused and are in files of dead letters."`
	Redeliver  int64                        `json:"redelivered" doc:"Records that came again although they are in a commit already."`
	Files      int64                        `json:"files" doc:"Number of their files."`
	Commits    map[spoutcommit.Reason]int64 `json:"commits" doc:"FINISHED commits by reason."`
	Unfinished int64                        `json:"unfinished_commits" doc:"Commits that are not FINISHED yet."`
	Restarts   map[string]int64             `json:"restarts" doc:"Times that reading began again after an error, by cause."`
	Rejected   int64                        `json:"rejected_commits" doc:"Commits that failed Pachyderm's validation."`
	Rollbacks  int64                        `json:"rollbacks" doc:"Open commits of others that were rolled back."`
	Gaps       int64                        `json:"gaps" doc:"Ranges of records that were gone at the source."`
	Reconnects int64                        `json:"reconnects" doc:"Connections to the source that were lost while reading."`
}

// StatusMemory is the memory in use, in bytes.
type StatusMemory struct {
	Source int64 `json:"source" doc:"Held by records that were fetched."`
	Files  int64 `json:"files" doc:"Held by files on their way."`
	Budget int64 `json:"budget" doc:"SPOUT_MEMORY_BUDGET."`
}

// StatusWords are what the source calls its coordinates.
type StatusWords struct {
	Stream    string `json:"stream" doc:"As topic or table."`
	Partition string `json:"partition" doc:"As partition; empty if streams have none."`
}

// StatusLag is what is not in a FINISHED commit yet.
type StatusLag struct {
	Records    int64          `json:"records" doc:"Offsets up to the ends of all partitions."`
	Seconds    float64        `json:"seconds" doc:"Worst of the partitions: age of its newest record in a FINISHED commit, while there are others after it."`
	Count      int            `json:"partition_count" doc:"Number of partitions that are read."`
	Unreadable int            `json:"unreadable_partitions" doc:"Partitions that cannot be read at the moment."`
	Partitions []PartitionLag `json:"partitions" doc:"The 100 partitions that lag most, worst first."`
}

// PartitionLag is the lag of one partition.
type PartitionLag struct {
	Stream    string   `json:"stream" doc:"Name of the stream, such as Kafka's topic."`
	Partition int32    `json:"partition" doc:"Number of the partition; 0 where there are none."`
	Records   *int64   `json:"records" doc:"Offsets up to its end; null if that is not known yet."`
	Seconds   *float64 `json:"seconds" doc:"As above; null if it is not known yet."`
}

// Sample is what one point of the charts shows.
type Sample struct {
	Time       time.Time `json:"time" doc:"When the sample was taken."`
	Read       int64     `json:"read_records" doc:"Records read until then."`
	Records    int64     `json:"records" doc:"Records in FINISHED commits until then."`
	Bytes      int64     `json:"bytes" doc:"Bytes in FINISHED commits until then."`
	LagRecords int64     `json:"lag_records" doc:"Lag of all partitions, in offsets."`
	LagSeconds float64   `json:"lag_seconds" doc:"Lag of the worst partition, in seconds."`
	Memory     int64     `json:"memory" doc:"Memory in use, in bytes."`
}

// CommitStatus is what is told of a FINISHED commit, on the status page and,
// with the same names, in a line of the log.
type CommitStatus struct {
	ID            string             `json:"commit" doc:"Id of the commit."`
	Finished      time.Time          `json:"finished" doc:"When it was seen FINISHED. In the log, this is the line's time."`
	Reason        spoutcommit.Reason `json:"reason" doc:"Why it was made: bytes, records, files, age, gaps, window full, deadline, start, idle position, rewound, released or repair."`
	Records       int64              `json:"records" doc:"Records in its files."`
	Filtered      int64              `json:"filtered" doc:"Records that the filter left out."`
	DeadLettered  int64              `json:"dead_lettered" doc:"Records that were refused and are in its files of dead letters."`
	Redelivered   int64              `json:"redelivered" doc:"Records that came again although they are in a commit already."`
	Bytes         int64              `json:"bytes" doc:"Size of its files."`
	Files         int                `json:"files" doc:"Number of its files."`
	Gaps          int                `json:"gaps" doc:"Ranges of records that were gone at the source and passed over."`
	BatchSeconds  float64            `json:"batch_seconds" doc:"From its first record's reading until it was FINISHED; 0 without records."`
	UploadSeconds float64            `json:"upload_seconds" doc:"From its first file until all files were at Pachyderm."`
	CommitSeconds float64            `json:"commit_seconds" doc:"From StartCommit until it was FINISHED."`
}

func commitStatus(id string, started time.Time, u *upload) CommitStatus {
	d, now := u.description, time.Now()
	s := CommitStatus{ID: id, Finished: now.UTC(), Reason: d.Reason, Records: d.Written,
		Filtered: d.Filtered, DeadLettered: d.DeadLettered, Redelivered: d.Redelivered, Bytes: d.Bytes, Files: d.Files, Gaps: len(d.Gaps),
		UploadSeconds: seconds(u.uploading), CommitSeconds: seconds(now.Sub(started))}
	if !u.began.IsZero() {
		s.BatchSeconds = seconds(now.Sub(u.began))
	}
	return s
}

// seconds leaves out what no reader wants to see.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// logFields are the keys and values of the commit's line in the log.
func (s CommitStatus) logFields() []any {
	var fields []any
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name != "Finished" {
			fields = append(fields, f.Tag.Get("json"), v.Field(i).Interface())
		}
	}
	return fields
}

// Status looks at everything.
func (in *Ingester) Status() Status {
	m := in.Metrics
	n, seen := m.snapshot(), m.observe()
	s := Status{Version: in.Version, Writer: in.Writer, Project: in.Branch.Project, Repo: in.Branch.Repo, Branch: in.Branch.Name,
		Source: in.Settings.Source, Now: time.Now().UTC(), Started: in.started.UTC(), Epoch: in.epoch.Load(), Health: in.health.judge(seen.Troubles),
		Totals: StatusTotals{Read: m.read.Load(), Records: n.records, Filtered: n.filtered, DeadLetter: n.deadLettered, Redeliver: n.redelivered, Bytes: n.bytes, Files: n.files, Commits: n.commits, Restarts: n.restarts,
			Unfinished: m.unfinished.Load(), Rejected: n.rejected, Rollbacks: n.rollbacks, Gaps: n.gaps, Reconnects: seen.Totals.Reconnects},
		Memory: StatusMemory{Source: seen.Memory, Files: m.filesMemory.Load(), Budget: int64(in.Settings.MemoryBudget)},
		Lag:    statusLag(seen),
	}
	layout := in.Settings.Layout()
	s.Words = StatusWords{Stream: layout.Stream, Partition: layout.Partition}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Commits, s.History = slices.Clone(m.recent), slices.Clone(m.history)
	if s.Commits == nil {
		s.Commits = []CommitStatus{}
	}
	if s.History == nil {
		s.History = []Sample{}
	}
	return s
}

func statusLag(seen source.Observation) StatusLag {
	lag := StatusLag{Count: len(seen.Lags), Unreadable: seen.Unreadable, Partitions: []PartitionLag{}}
	worst := slices.Clone(seen.Lags)
	slices.SortStableFunc(worst, func(a, b source.Lag) int { return cmp.Compare(b.Records, a.Records) })
	for i, l := range worst {
		lag.Records += max(l.Records, 0)
		lag.Seconds = max(lag.Seconds, l.Age.Seconds())
		if i < lagsShown {
			p := PartitionLag{Stream: l.Stream.Name, Partition: l.Stream.Partition}
			if l.Records >= 0 {
				p.Records = &l.Records
			}
			if l.Age >= 0 {
				age := l.Age.Seconds()
				p.Seconds = &age
			}
			lag.Partitions = append(lag.Partitions, p)
		}
	}
	return lag
}

// sample adds a point to the charts.
func (m *Metrics) sample() {
	n, seen := m.snapshot(), m.observe()
	lag := statusLag(seen)
	s := Sample{Time: time.Now().UTC(), Read: m.read.Load(), Records: n.records, Bytes: n.bytes,
		LagRecords: lag.Records, LagSeconds: lag.Seconds, Memory: seen.Memory + m.filesMemory.Load()}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.history) == samples {
		m.history = append(m.history[:0], m.history[1:]...)
	}
	m.history = append(m.history, s)
}

// servedLag is a lag with its labels.
type servedLag struct {
	labels  []string
	records int64
	age     time.Duration
}

// bounded gives the first partitions series of their own and puts the rest
// into one, so that the number of series has an end.
func bounded(lags []source.Lag, layout settings.Layout) []servedLag {
	labels := func(stream, partition string) []string {
		if layout.Partition == "" {
			return []string{cmp.Or(stream, partition)}
		}
		return []string{stream, partition}
	}
	var served []servedLag
	for i, l := range lags {
		if i < lagsServed {
			name := l.Stream.Name
			if !utf8.ValidString(name) { // which Prometheus would not take
				name = string(settings.AppendPathValue(nil, []byte(name)))
			}
			served = append(served, servedLag{labels(name, strconv.Itoa(int(l.Stream.Partition))), l.Records, l.Age})
			continue
		}
		if i == lagsServed {
			served = append(served, servedLag{labels: labels("", lagsOthers), age: -1})
		}
		others := &served[lagsServed]
		others.records += max(l.Records, 0)
		others.age = max(others.age, l.Age)
	}
	return served
}

// Documented is a field of [Status] or of a commit's line in the log.
type Documented struct{ Name, Doc string }

// StatusFields lists the fields of the status, with dots between levels and []
// after lists.
func StatusFields() []Documented { return documented("", reflect.TypeFor[Status]()) }

// CommitLogFields lists the fields of a commit's line in the log.
func CommitLogFields() []Documented {
	return slices.DeleteFunc(documented("", reflect.TypeFor[CommitStatus]()), func(d Documented) bool { return d.Name == "finished" })
}

func documented(prefix string, t reflect.Type) (out []Documented) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, documented(prefix, f.Type)...)
			continue
		}
		name := prefix + strings.Split(f.Tag.Get("json"), ",")[0]
		below := f.Type
		if below.Kind() == reflect.Slice && below.Elem().Kind() == reflect.Struct {
			name, below = name+"[]", below.Elem()
		}
		out = append(out, Documented{name, f.Tag.Get("doc")})
		if below.Kind() == reflect.Struct && below != reflect.TypeFor[time.Time]() {
			out = append(out, documented(name+".", below)...)
		}
	}
	return out
}
