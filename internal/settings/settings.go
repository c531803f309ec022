// SPDX-License-Identifier: Apache-2.0

// Package settings is the contract between the provider and the runner.
//
// Every typed attribute of the pachyderm_spout resource that the bundled
// runner understands is one SPOUT_* variable. The provider renders a Settings
// with [Settings.Environment] into the pipeline's transform.env, and the
// runner reads the same type back with [Parse]: one table, one set of
// defaults and one validation, run at plan time and again in the pod.
//
// Secrets are never rendered. They reach the runner as references to
// Kubernetes secrets whose keys Pachyderm sets as the variables marked secret.
package settings

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Settings is everything the runner can be told.
//
// The struct tags are the table that [Variables], [Parse] and
// [Settings.Environment] work from: env is the variable's name, default the
// value that an unset variable has, doc its description, secret marks
// variables that may only come from a Kubernetes secret, address those that a
// password may have got into.
type Settings struct {
	Source       string `env:"SPOUT_SOURCE" default:"kafka" doc:"What is read. This release knows kafka."`
	OutputBranch string `env:"SPOUT_OUTPUT_BRANCH" default:"master" doc:"Branch of the pipeline's output repo that the commits are made on. It must be the pipeline's output branch."`

	Kafka  Kafka
	Record Record
	Batch  Batch
	File   File

	SchemaRegistry SchemaRegistry

	MemoryBudget Bytes `env:"SPOUT_MEMORY_BUDGET" default:"256MiB" doc:"Most memory that records and files on their way may take. Reading waits when it is used up. At least 8 times SPOUT_KAFKA_FETCH_MAX_BYTES. The process takes about a quarter more."`
	HTTPPort     int   `env:"SPOUT_HTTP_PORT" default:"9464" doc:"Port of the status page at /, of /status.json, /metrics, /readyz and /healthz. 9090 and 9091 belong to Pachyderm's own containers. 0 turns it off."`
	HTTP         HTTP
	LogLevel     string `env:"SPOUT_LOG_LEVEL" default:"info" doc:"trace, debug, info, warn or error."`
}

// Kafka says which records are read, and how the brokers are reached.
type Kafka struct {
	Brokers      []string     `env:"SPOUT_KAFKA_BROKERS" set:"true" address:"true" doc:"Brokers to ask for the cluster's metadata, as host:port, separated by commas."`
	Topics       []string     `env:"SPOUT_KAFKA_TOPICS" set:"true" doc:"Topics to read, all partitions of each, separated by commas. Set either this or SPOUT_KAFKA_TOPICS_PATTERN."`
	Pattern      string       `env:"SPOUT_KAFKA_TOPICS_PATTERN" doc:"Read all topics whose whole name matches this regular expression (RE2), as orders-.* for orders-eu and orders-us. Topics that come later are found within SPOUT_KAFKA_METADATA_INTERVAL and read from their beginning. Kafka's internal topics, and others whose names begin with two underscores, are left out, and so are topics that this user may not describe."`
	Shard        Shard        `env:"SPOUT_KAFKA_SHARD" doc:"Which share of the partitions to read, where several spouts read the same topics: 2/8 is the second of eight. Partitions go round the shards in the order of their numbers, each topic beginning at a shard that its name decides. Empty for all of them. See SPOUT_KAFKA_ON_SHARD_CHANGED before it is changed."`
	Start        string       `env:"SPOUT_KAFKA_START" default:"earliest" doc:"Where to begin while the output branch holds no position yet: earliest, latest, or a time in RFC 3339, as 2026-01-31T00:00:00Z. Partitions that appear later are read from their beginning."`
	StartOffsets StartOffsets `env:"SPOUT_KAFKA_START_OFFSETS" doc:"Offsets at which single partitions begin while the output branch holds no position of them yet, as orders:0=1200,orders:1=1180. All others begin where SPOUT_KAFKA_START says."`
	ClientID     string       `env:"SPOUT_KAFKA_CLIENT_ID" default:"spout-runner" doc:"Client id in the brokers' logs and quotas."`

	Rack    string `env:"SPOUT_KAFKA_RACK" doc:"Rack or availability zone of the pod, as the brokers' broker.rack names it. Brokers with a replica selector (RackAwareReplicaSelector) let the runner read from a follower there. It goes back to the leader when that fails. Empty to read from leaders."`
	GroupID string `env:"SPOUT_KAFKA_GROUP_ID" doc:"Consumer group under which the position of what was committed is published, so that Kafka's own tools show the lag. Use a group that nobody else uses; spouts that share the partitions of the same topics may share one. Nothing is ever read from there. Empty for none."`

	Isolation        string   `env:"SPOUT_KAFKA_ISOLATION" default:"read_committed" doc:"read_committed leaves out the records of aborted and unfinished transactions; read_uncommitted takes them."`
	OnOutOfRange     string   `env:"SPOUT_KAFKA_ON_OUT_OF_RANGE" default:"stop" doc:"What to do when the broker no longer keeps the next records: stop, or go on at earliest or latest. The gap is logged and kept in the commit's description. A log that was cut off below what was read always stops."`
	OnTopicRecreated string   `env:"SPOUT_KAFKA_ON_TOPIC_RECREATED" default:"stop" doc:"What to do when a topic was deleted and made again: stop, or restart from the new topic's beginning. Its files then get names of their own."`
	OnShardChanged   string   `env:"SPOUT_KAFKA_ON_SHARD_CHANGED" default:"stop" doc:"What to do when SPOUT_KAFKA_SHARD is not what it was when the output branch was written: stop, or continue. With continue, partitions that now belong to another spout are given up and those that stay are read on. SPOUT_KAFKA_START_OFFSETS must say where the new ones begin, or the runner stops: the offsets up to which the other spouts have read them. So stop all spouts of the topics first, and give all the same offsets."`
	OnCorruptBatch   string   `env:"SPOUT_KAFKA_ON_CORRUPT_BATCH" default:"stop" doc:"What to do with a batch of records that cannot be read, because of a wrong checksum, an unknown compression or broken records, after it was fetched several times, or that is larger than SPOUT_KAFKA_MAX_BATCH_BYTES: stop, or skip it. The gap and its reason are logged and kept in the commit's description."`
	MetadataInterval Duration `env:"SPOUT_KAFKA_METADATA_INTERVAL" default:"30s" doc:"How often new topics and partitions are looked for."`
	FetchMaxBytes    Bytes    `env:"SPOUT_KAFKA_FETCH_MAX_BYTES" default:"8MiB" doc:"Most bytes to ask of one broker at once. A larger record is still read, alone."`
	MaxBatchBytes    Bytes    `env:"SPOUT_KAFKA_MAX_BATCH_BYTES" default:"0" doc:"Most bytes that one batch of records may have, after decompression. A larger one is treated as SPOUT_KAFKA_ON_CORRUPT_BATCH says. 0 allows an eighth of SPOUT_MEMORY_BUDGET. At most a quarter of SPOUT_MEMORY_BUDGET. With more than an eighth, the process can take more memory than the budget and a quarter."`
	FetchMaxWait     Duration `env:"SPOUT_KAFKA_FETCH_MAX_WAIT" default:"500ms" doc:"How long a broker may wait for records before it answers with none."`

	TLS           bool   `env:"SPOUT_KAFKA_TLS" default:"false" doc:"Use TLS."`
	TLSServerName string `env:"SPOUT_KAFKA_TLS_SERVER_NAME" doc:"Name expected in the brokers' certificates, if it is not the host's."`
	TLSCA         string `env:"SPOUT_KAFKA_TLS_CA" pem:"true" doc:"Certificates of the authorities to trust in place of the system's, in PEM."`
	TLSCAFile     string `env:"SPOUT_KAFKA_TLS_CA_FILE" doc:"File with such certificates, of a secret that is mounted into the pod. It is read at the start."`
	TLSCertFile   string `env:"SPOUT_KAFKA_TLS_CERT_FILE" doc:"File with the client certificate in PEM, for mutual TLS, of a secret that is mounted into the pod. It is read again for each connection, so a certificate can be renewed while the spout runs."`
	TLSKeyFile    string `env:"SPOUT_KAFKA_TLS_KEY_FILE" doc:"File with the key of the client certificate in PEM."`
	TLSCert       string `env:"SPOUT_KAFKA_TLS_CERT" secret:"true" doc:"Client certificate in PEM, for mutual TLS."`
	TLSKey        string `env:"SPOUT_KAFKA_TLS_KEY" secret:"true" doc:"Key of the client certificate in PEM."`

	SASLMechanism  string   `env:"SPOUT_KAFKA_SASL_MECHANISM" doc:"plain, scram-sha-256, scram-sha-512 or oauthbearer. Empty for none, whatever else says how to log in."`
	SASLUsername   string   `env:"SPOUT_KAFKA_SASL_USERNAME" line:"true" secret:"true" doc:"SASL user name; for oauthbearer the client id."`
	SASLPassword   string   `env:"SPOUT_KAFKA_SASL_PASSWORD" line:"true" secret:"true" doc:"SASL password; for oauthbearer the client secret."`
	SASLTokenURL   string   `env:"SPOUT_KAFKA_SASL_TOKEN_URL" address:"true" doc:"For oauthbearer: the endpoint that gives tokens to clients (OAuth 2.0, client credentials), as https://login.example.com/oauth2/token. Its certificate is checked as the brokers' are."`
	SASLScope      string   `env:"SPOUT_KAFKA_SASL_SCOPE" doc:"For oauthbearer: scopes to ask for, separated by blanks."`
	SASLExtensions []string `env:"SPOUT_KAFKA_SASL_EXTENSIONS" set:"true" doc:"For oauthbearer: what the brokers want to know besides the token, as logicalCluster=lkc-1,identityPoolId=pool-1, separated by commas."`

	SASLAllowCleartext bool `env:"SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS" default:"false" doc:"Whether a password, token or client secret may be sent without TLS: by plain or oauthbearer to brokers without SPOUT_KAFKA_TLS, or to a token endpoint at http://. Everybody on the way can read it. Without this, it is sent to this machine only. SCRAM sends no password, so without TLS there is only a warning."`
}

// Batch says when a commit is made. Whichever limit is reached first ends the batch.
type Batch struct {
	MaxBytes   Bytes    `env:"SPOUT_BATCH_MAX_BYTES" default:"64MiB" doc:"Bytes of files after which a batch is committed. With a compression, what is not compressed yet (the last MiB of each file, all of avro and parquet) counts whole, so commits come out smaller."`
	MaxRecords int      `env:"SPOUT_BATCH_MAX_RECORDS" default:"0" doc:"Records after which a batch is committed; 0 for no such limit."`
	MaxFiles   int      `env:"SPOUT_BATCH_MAX_FILES" default:"10000" doc:"Files after which a batch is committed. It bounds what a path by key, header or field of the value, or one file per record, can make of a batch; memory is bounded by SPOUT_MEMORY_BUDGET."`
	MaxAge     Duration `env:"SPOUT_BATCH_MAX_AGE" default:"10s" doc:"Time since a batch's first record after which it is committed."`
}

// File says how records become files.
type File struct {
	Format      string       `env:"SPOUT_FILE_FORMAT" default:"lines" doc:"lines: each value and a newline. jsonl: a JSON object per line with topic, partition, offset, timestamp in milliseconds, key, headers and value. Values that are JSON stay JSON, keys and header values that are UTF-8 become strings, and all other bytes are in base64 under value_base64 or key_base64. raw: one file per record that holds its value; it costs Pachyderm more than all others, so use it for values that are files by themselves. avro, parquet: Avro object container files and Parquet files with a row per record; without a schema registry its columns are topic, partition, offset, timestamp, key, headers and, as bytes, value."`
	Compression string       `env:"SPOUT_FILE_COMPRESSION" default:"none" doc:"none, gzip, zstd, or, within avro and parquet, snappy. avro and parquet are compressed inside, the other formats as whole files."`
	Path        PathTemplate `env:"SPOUT_FILE_PATH" default:"{topic}/{partition}/{first_offset}-{last_offset}.{ext}" doc:"Path of a file in the output repo. Placeholders: {topic} {partition} {first_offset} {last_offset} {ext}, {year} {month} {day} {hour} {minute} of SPOUT_FILE_PATH_TIME in UTC, and {key} {header:NAME} {value:FIELD} of the record, the last for values that are JSON, as {value:customer.country}. Records whose paths differ go into different files. {partition} and {first_offset} must be in it, and {topic} where several topics are read. Of a record's own values only letters, digits, '-', '_' and '.' appear as they are, other bytes as %XX; what is missing is \x60__HIVE_DEFAULT_PARTITION__\x60, and values of more than 100 bytes end in a hash."`
	PathTime    string       `env:"SPOUT_FILE_PATH_TIME" default:"event" doc:"The time that paths show: event is the record's timestamp, ingestion the time when the batch's first record was read."`
}

// Values that settings of a closed set may have. The provider's schema offers
// the same lists.
var (
	Sources        = []string{"kafka"}
	Formats        = []string{"lines", "jsonl", "raw", "avro", "parquet"}
	Compressions   = []string{"none", "gzip", "zstd", "snappy"}
	PathTimes      = []string{"event", "ingestion"}
	Isolations     = []string{"read_committed", "read_uncommitted"}
	OutOfRange     = []string{"stop", "earliest", "latest"}
	TopicRecreated = []string{"stop", "restart"}
	ShardChanged   = []string{"stop", "continue"}
	CorruptBatch   = []string{"stop", "skip"}
	SASLMechanisms = []string{"plain", "scram-sha-256", "scram-sha-512", "oauthbearer"}
	LogLevels      = []string{"trace", "debug", "info", "warn", "error"}
	reservedPorts  = []int{1080, 1600, 1650, 1653, 9090, 9091}
	startKeywords  = []string{"earliest", "latest"}
	minFetchBytes  = Bytes(64 << 10)
	maxFetchBytes  = Bytes(1 << 30)
	// A quarter of the memory is for what was fetched, and two fetches must fit in it.
	memoryPerFetch = Bytes(8)
	minMaxBatch    = Bytes(1 << 20) // what brokers take by default
	memoryPerBatch = Bytes(4)
)

// LargestRecord is the most memory that a record may take in the form in which
// it is written: base64 of all that a batch may hold fits, but not a record
// that becomes many times as much.
func (s Settings) LargestRecord() int {
	const around = 128 << 10
	return int(max(s.Kafka.MaxBatchBytes, s.MemoryBudget/(2*memoryPerBatch)))/2*3 + around
}

// Selector returns what says whether a topic is to be read: Topics names it,
// or the whole of its name matches Pattern. Names that begin with two
// underscores are for the cluster's own use, and no pattern matches them. Nor
// does one match what is no name of a topic, whatever a broker says: names are
// parts of paths.
func (k Kafka) Selector() func(topic string) bool {
	if k.Pattern == "" {
		return func(topic string) bool { return slices.Contains(k.Topics, topic) }
	}
	pattern, err := k.pattern()
	return func(topic string) bool {
		return err == nil && IsTopicName(topic) && !strings.HasPrefix(topic, "__") && pattern.MatchString(topic)
	}
}

func (k Kafka) pattern() (*regexp.Regexp, error) { return regexp.Compile("^(?:" + k.Pattern + ")$") }

// StartTime returns the time that Start names, and whether it is a time.
func (k Kafka) StartTime() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, k.Start)
	return t, err == nil
}
