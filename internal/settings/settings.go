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
//
// What there is to say of a setting stands once, in the tags of its field: see
// [Variable]. The provider makes its schema, its validators and its pages of
// them.
package settings

// Settings is everything the runner can be told.
type Settings struct {
	Sources

	OutputBranch string `env:"SPOUT_OUTPUT_BRANCH" attribute:"output_branch" default:"master" doc:"Branch of the pipeline's output repo that the runner commits to. It must be the pipeline's output branch."`

	Record         Record         `attribute:"records" title:"Records" doc:"Which records are written, and what is taken out of them. Each commit says how many were read, written, left out and refused. What needs more than this needs a pipeline."`
	Batch          Batch          `attribute:"batch" title:"Batches" doc:"When a batch of records is committed: as soon as one of the limits is reached."`
	File           File           `attribute:"file" title:"Files" doc:"How records become files in the output repo."`
	SchemaRegistry SchemaRegistry `attribute:"schema_registry" title:"Schema registry" doc:"Schema registry for ´avro´, ´parquet´ and ´jsonl´ files. It knows Avro, JSON Schema and Protobuf."`

	Runner `attribute:"runner" title:"General" doc:"The bundled runner itself."`
}

// Runner says how the process runs, whatever it reads.
type Runner struct {
	MemoryBudget Bytes `env:"SPOUT_MEMORY_BUDGET" attribute:"memory_budget" default:"256MiB" doc:"Most memory that records and files on their way may take. Reading waits when it is used up. The container needs a quarter more, and 128 MiB for its programs: 448Mi with the default."`
	HTTPPort     int   `env:"SPOUT_HTTP_PORT" attribute:"http_port" default:"9464" doc:"Port of the status page at ´/´, and of ´/status.json´, ´/metrics´, ´/readyz´ and ´/healthz´. 9090 and 9091 belong to Pachyderm's own containers. 0 turns it off."`
	HTTP         HTTP
	LogLevel     string `env:"SPOUT_LOG_LEVEL" attribute:"log_level" default:"info" doc:"How much is logged." values:"trace: each step|debug: each commit in detail|info: what happens|warn: what may need attention|error: what stops the runner"`
}

// Batch says when a commit is made. Whichever limit is reached first ends the batch.
type Batch struct {
	MaxBytes   Bytes    `env:"SPOUT_BATCH_MAX_BYTES" attribute:"max_bytes" default:"64MiB" doc:"Bytes of files after which a batch is committed. With a compression, what is not compressed yet (the last MiB of each file, all of ´avro´ and ´parquet´) counts whole, so commits come out smaller."`
	MaxRecords int      `env:"SPOUT_BATCH_MAX_RECORDS" attribute:"max_records" default:"0" doc:"Records after which a batch is committed. 0 for no such limit."`
	MaxFiles   int      `env:"SPOUT_BATCH_MAX_FILES" attribute:"max_files" default:"10000" doc:"Files after which a batch is committed. It caps the number of files per commit when paths depend on what records hold, or with the format ´raw´."`
	MaxAge     Duration `env:"SPOUT_BATCH_MAX_AGE" attribute:"max_age" default:"10s" doc:"Time since a batch's first record after which it is committed."`
}

// File says how records become files.
type File struct {
	Format         string       `env:"SPOUT_FILE_FORMAT" attribute:"format" default:"lines" doc:"Format of the files." values:"lines: each value and a newline|jsonl: a JSON object per line with the record's coordinates, its timestamp in milliseconds, key, headers and value. Values that are JSON stay JSON, keys and header values that are UTF-8 become strings, and all other bytes are in base64 under ´value_base64´ or ´key_base64´|raw: one file per record that holds its value. It costs Pachyderm more than all others, so use it for values that are files by themselves|avro: an Avro object container file with a row per record. Without a schema registry its columns are the record's coordinates, timestamp, key, headers and, as bytes, value|parquet: a Parquet file with a row per record, and columns as those of ´avro´"`
	Compression    string       `env:"SPOUT_FILE_COMPRESSION" attribute:"compression" default:"none" doc:"Compression of the files. ´avro´ and ´parquet´ are compressed inside, the other formats as whole files." values:"none: none|gzip: what everything reads|zstd: fast, and smaller than gzip|snappy: only within ´avro´ and ´parquet´"`
	Path           PathTemplate `env:"SPOUT_FILE_PATH" attribute:"path" doc:"Path of a file in the output repo. Left out, ´{topic}/{partition}/{first_offset}-{last_offset}.{ext}´, in the words of the source. Records whose paths differ go into different files. ´{partition}´ and ´{first_offset}´ must be in it, and ´{topic}´ if several topics are read. Of a record's own values only letters, digits, ´-´, ´_´ and ´.´ appear as they are, other bytes as %XX. A missing value is ´__HIVE_DEFAULT_PARTITION__´. A value of more than 100 bytes ends in a hash. It can have these placeholders." forms:"{topic}: the stream, under the name that the source has for it\n{partition}: its partition, with at least 5 digits\n{first_offset}, {last_offset}: those of the file's records, with 20 digits, under the name that the source has for them\n{ext}: the extension that goes with format and compression\n{year}, {month}, {day}, {hour}, {minute}: of SPOUT_FILE_PATH_TIME, in UTC\n{key}: the record's key\n{header:NAME}: a header of the record\n{value:FIELD}: a field of a value that is JSON or decoded, for example ´{value:customer.country}´\n{value:FIELD|day}: the day of a time, for example ´2006-01-02´, in UTC. Also ´year´, ´month´, ´hour´ and ´minute´"`
	RecursionDepth int          `env:"SPOUT_FILE_RECURSION_DEPTH" attribute:"recursion_depth" default:"2" doc:"How many times a type that contains itself, such as a node of a tree, is columns within itself in ´parquet´ files, from 0 to 10. What is deeper is JSON in a column of text, and so is more where the columns would be too many. ´avro´ and ´jsonl´ files have such types as they are."`
	PathTime       string       `env:"SPOUT_FILE_PATH_TIME" attribute:"path_time" default:"event" doc:"The time that paths show." values:"event: the record's timestamp|ingestion: the time when the batch's first record was read"`
}

// HasRows says whether files have rows, whose columns a schema can give.
func (f File) HasRows() bool { return f.Format == "avro" || f.Format == "parquet" }

// Values of settings that others than [Parse] go through.
var (
	Formats       = namesOf("SPOUT_FILE_FORMAT")
	Compressions  = namesOf("SPOUT_FILE_COMPRESSION")
	reservedPorts = []int{1080, 1600, 1650, 1653, 9090, 9091}
)

func namesOf(variable string) (names []string) {
	v, _ := VariableNamed(variable)
	for _, value := range v.Values {
		names = append(names, value.Name)
	}
	return names
}

// ContainerMemory is what the spout's container needs: what the process takes of
// a budget, and what the runner and Pachyderm's worker beside it are themselves.
func (s Settings) ContainerMemory() Bytes { return s.MemoryBudget/4*5 + 128<<20 }

// LargestRecord is the most memory that a record may take in the form in which
// it is written: base64 of all that a batch may hold fits, but not a record
// that becomes many times as much. Parquet has no base64, and takes a record
// apart in several times its memory.
func (s Settings) LargestRecord() int {
	const around = 128 << 10
	largest := s.MemoryBudget / (2 * memoryPerBatch)
	if source, ok := s.chosen(); ok {
		largest = max(largest, source.largestBatch())
	}
	if s.File.Format != "parquet" {
		largest = largest / 2 * 3
	}
	return int(largest) + around
}
