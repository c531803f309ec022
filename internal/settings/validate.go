// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// Problem is one thing that is wrong with one setting.
type Problem struct {
	Variable string // its name, as SPOUT_KAFKA_BROKERS
	Value    string // what it was, as far as it may be shown, "" if that does not matter
	Fix      string // what is wrong and what to write instead

	// With are the other variables whose values it comes from: with another
	// value of one of them, nothing might be wrong.
	With []string

	// Login says that the value may hold a password, so that the line of a file
	// in which it stands must not be shown either.
	Login bool
}

func (p Problem) Error() string {
	if p.Value == "" {
		return p.Variable + " " + p.Fix
	}
	return fmt.Sprintf("%s=%q %s", p.Variable, p.Value, p.Fix)
}

// Problems are all that is wrong with some settings.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) add(variable, value, fix string, with ...string) {
	problem := Problem{Variable: variable, Value: value, Fix: fix, With: with}
	if isAddress(variable) {
		problem.Value, problem.Login = address.Redacted(value), address.HasLogin(value)
	}
	*p = append(*p, problem)
}

func isAddress(variable string) bool {
	return slices.ContainsFunc(variables, func(v Variable) bool { return v.Name == variable && v.Address })
}

func (p Problems) orNil() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Validate checks everything that can be known without a connection. The
// error, if any, is a [Problems].
func (s Settings) Validate() error { return s.validate().orNil() }

func (s Settings) validate() (p Problems) {
	oneOf := func(variable, value string, allowed []string) {
		if !slices.Contains(allowed, value) {
			fix := "must be one of " + strings.Join(allowed, ", ")
			if lower := strings.ToLower(value); slices.Contains(allowed, lower) {
				fix += ", in lower case: write " + lower
			}
			p.add(variable, value, fix)
		}
	}
	oneOf("SPOUT_SOURCE", s.Source, Sources)
	oneOf("SPOUT_LOG_LEVEL", s.LogLevel, LogLevels)
	oneOf("SPOUT_FILE_FORMAT", s.File.Format, Formats)
	oneOf("SPOUT_FILE_COMPRESSION", s.File.Compression, Compressions)
	oneOf("SPOUT_FILE_PATH_TIME", s.File.PathTime, PathTimes)
	if s.File.Compression == "snappy" && !s.File.HasRows() {
		p.add("SPOUT_FILE_COMPRESSION", s.File.Compression, "is for avro and parquet only; take zstd, which is as fast, or none", "SPOUT_FILE_FORMAT")
	}
	if s.OutputBranch == "" {
		p.add("SPOUT_OUTPUT_BRANCH", "", "must name a branch")
	}
	p = append(p, s.Kafka.validate(oneOf)...)
	p = append(p, s.Record.validate(oneOf)...)
	p = append(p, s.HTTP.validate()...)
	p = append(p, s.SchemaRegistry.validate(s.File, s.ReadsJSON())...)
	p = append(p, s.validateLimits()...)
	p = append(p, s.validateFolders()...)
	return append(p, s.validatePath()...)
}

func (s Settings) validatePath() (p Problems) {
	problem := s.File.Path.check(len(s.Kafka.Topics) > 1 || s.Kafka.Pattern != "")
	longest := s.File.Path.longestElement(s.Kafka.Topics, s.Kafka.Pattern != "")
	switch {
	case problem != "":
	case len(s.File.Path.References()) > 0 && longest > maxElement:
		problem = fmt.Sprintf("can have elements of %d bytes, more than the %d that file systems allow; put a / between its placeholders", longest, maxElement)
	}
	if problem != "" {
		p.add("SPOUT_FILE_PATH", s.File.Path.String(), problem)
	}
	return p
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// IsTopicName is Kafka's own rule for names of topics.
func IsTopicName(name string) bool {
	return topicName.MatchString(name) && name != "." && name != ".."
}

func (k Kafka) validate(oneOf func(variable, value string, allowed []string)) (p Problems) {
	if len(k.Brokers) == 0 {
		p.add("SPOUT_KAFKA_BROKERS", "", "must name at least one broker, as kafka.example.com:9092")
	}
	brokers := k.Brokers
	if list := strings.Join(brokers, ","); address.HasLogin(list) {
		brokers = []string{list} // a comma may be a password's
	}
	for _, broker := range brokers {
		host, port, err := net.SplitHostPort(broker)
		if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 || address.HasLogin(broker) {
			p.add("SPOUT_KAFKA_BROKERS", broker, "must be host:port, as kafka.example.com:9092")
		}
	}
	p = append(p, k.validateTopics()...)
	if _, isTime := k.StartTime(); !isTime && !slices.Contains(startKeywords, k.Start) {
		p.add("SPOUT_KAFKA_START", k.Start, "must be earliest, latest or a time as 2026-01-31T00:00:00Z")
	}
	if k.ClientID == "" {
		p.add("SPOUT_KAFKA_CLIENT_ID", "", "must not be empty; leave it out for the default")
	}
	oneOf("SPOUT_KAFKA_ISOLATION", k.Isolation, Isolations)
	oneOf("SPOUT_KAFKA_ON_OUT_OF_RANGE", k.OnOutOfRange, OutOfRange)
	oneOf("SPOUT_KAFKA_ON_TOPIC_RECREATED", k.OnTopicRecreated, TopicRecreated)
	oneOf("SPOUT_KAFKA_ON_CORRUPT_BATCH", k.OnCorruptBatch, CorruptBatch)
	oneOf("SPOUT_KAFKA_ON_SHARD_CHANGED", k.OnShardChanged, ShardChanged)
	if k.SASLMechanism != "" {
		oneOf("SPOUT_KAFKA_SASL_MECHANISM", k.SASLMechanism, SASLMechanisms)
	}
	p = append(p, k.validateOAuth()...)
	if block, _ := pem.Decode([]byte(k.TLSCA)); k.TLSCA != "" && block == nil {
		p.add("SPOUT_KAFKA_TLS_CA", "", "must hold certificates in PEM, beginning with -----BEGIN CERTIFICATE-----")
	}
	if (k.TLSCertFile == "") != (k.TLSKeyFile == "") {
		p.add("SPOUT_KAFKA_TLS_CERT_FILE", k.TLSCertFile, "goes together with SPOUT_KAFKA_TLS_KEY_FILE: set both or none", "SPOUT_KAFKA_TLS_KEY_FILE")
	}
	if k.TLSCA != "" && k.TLSCAFile != "" {
		p.add("SPOUT_KAFKA_TLS_CA_FILE", k.TLSCAFile, "cannot be set together with SPOUT_KAFKA_TLS_CA; set one of the two")
	}
	if !k.TLS && (k.TLSCA != "" || k.TLSServerName != "" || k.TLSCert != "" || k.TLSCAFile != "" || k.TLSCertFile != "") {
		p.add("SPOUT_KAFKA_TLS", "false", "must be true, since other TLS settings are given")
	}
	return p
}

// validateTopics checks which topics are named.
func (k Kafka) validateTopics() (p Problems) {
	switch {
	case len(k.Topics) == 0 && k.Pattern == "":
		p.add("SPOUT_KAFKA_TOPICS", "", "must name at least one topic, or SPOUT_KAFKA_TOPICS_PATTERN must match some", "SPOUT_KAFKA_TOPICS_PATTERN")
	case len(k.Topics) > 0 && k.Pattern != "":
		p.add("SPOUT_KAFKA_TOPICS_PATTERN", k.Pattern, "cannot be set together with SPOUT_KAFKA_TOPICS; set one of the two, as a pattern of names with | between them")
		return p
	}
	for i, topic := range k.Topics {
		switch {
		case !IsTopicName(topic):
			p.add("SPOUT_KAFKA_TOPICS", topic, "is no name of a Kafka topic: letters, digits, '.', '_' and '-', at most 249")
		case slices.Contains(k.Topics[:i], topic):
			p.add("SPOUT_KAFKA_TOPICS", topic, "is there twice; name each topic once")
		}
	}
	if _, err := k.pattern(); err != nil {
		p.add("SPOUT_KAFKA_TOPICS_PATTERN", k.Pattern, "is no regular expression of RE2: "+strings.TrimPrefix(err.Error(), "error parsing regexp: ")+"; write it as orders-.*")
		return p
	}
	wants := k.Selector()
	for _, topic := range slices.Sorted(maps.Keys(k.StartOffsets)) {
		if (len(k.Topics) > 0 || k.Pattern != "") && !wants(topic) {
			p.add("SPOUT_KAFKA_START_OFFSETS", k.StartOffsets.String(), "has the topic "+topic+", which is not read; SPOUT_KAFKA_TOPICS or SPOUT_KAFKA_TOPICS_PATTERN must have it too",
				"SPOUT_KAFKA_TOPICS", "SPOUT_KAFKA_TOPICS_PATTERN")
		}
	}
	return p
}

// validateOAuth checks what goes with the mechanism oauthbearer, and only with it.
func (k Kafka) validateOAuth() (p Problems) {
	if k.SASLMechanism != "oauthbearer" {
		for variable, value := range map[string]string{"SPOUT_KAFKA_SASL_TOKEN_URL": k.SASLTokenURL, "SPOUT_KAFKA_SASL_SCOPE": k.SASLScope,
			"SPOUT_KAFKA_SASL_EXTENSIONS": strings.Join(k.SASLExtensions, ",")} {
			if value != "" {
				p.add(variable, value, "is for oauthbearer; set SPOUT_KAFKA_SASL_MECHANISM=oauthbearer, or take it out", "SPOUT_KAFKA_SASL_MECHANISM")
			}
		}
		return p
	}
	if u, err := url.Parse(k.SASLTokenURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		p.add("SPOUT_KAFKA_SASL_TOKEN_URL", k.SASLTokenURL, "must be the URL of the token endpoint without a user or password, as https://login.example.com/oauth2/token, since SPOUT_KAFKA_SASL_MECHANISM is oauthbearer", "SPOUT_KAFKA_SASL_MECHANISM")
	}
	for _, extension := range k.SASLExtensions {
		if !saslExtension.MatchString(extension) || strings.HasPrefix(extension, "auth=") {
			p.add("SPOUT_KAFKA_SASL_EXTENSIONS", extension, "must be a name of letters, '=' and a value, as logicalCluster=lkc-1")
		}
	}
	return p
}

// saslExtension is the form of RFC 7628, section 3.1.
var saslExtension = regexp.MustCompile(`^[A-Za-z]+=[\x21-\x7E \t\r\n]+$`)

// ValidateSecrets checks the settings that only the pod knows: that the
// secrets which the others call for have arrived.
func (s Settings) ValidateSecrets() error {
	var p Problems
	if s.Kafka.SASLMechanism != "" && (s.Kafka.SASLUsername == "" || s.Kafka.SASLPassword == "") {
		p.add("SPOUT_KAFKA_SASL_USERNAME, SPOUT_KAFKA_SASL_PASSWORD", "",
			"must both be set from a Kubernetes secret, since SPOUT_KAFKA_SASL_MECHANISM is", "SPOUT_KAFKA_SASL_USERNAME", "SPOUT_KAFKA_SASL_PASSWORD")
	}
	if s.Kafka.SASLMechanism == "" && (s.Kafka.SASLUsername != "" || s.Kafka.SASLPassword != "") {
		p.add("SPOUT_KAFKA_SASL_MECHANISM", "", "must be one of "+strings.Join(SASLMechanisms, ", ")+", since a SASL user name or password is given")
	}
	if s.Kafka.TLSCert != "" && s.Kafka.TLSCertFile != "" {
		p.add("SPOUT_KAFKA_TLS_CERT_FILE", s.Kafka.TLSCertFile, "cannot be set together with SPOUT_KAFKA_TLS_CERT; set one of the two")
	}
	if (s.Kafka.TLSCert == "") != (s.Kafka.TLSKey == "") {
		p.add("SPOUT_KAFKA_TLS_CERT, SPOUT_KAFKA_TLS_KEY", "", "go together: set both or none", "SPOUT_KAFKA_TLS_CERT", "SPOUT_KAFKA_TLS_KEY")
	}
	p = append(p, s.SchemaRegistry.validateSecrets()...)
	p = append(p, s.HTTP.validateSecrets()...)
	p = append(p, s.validateCleartext()...)
	return p.orNil()
}

// WithReferences returns settings for [Settings.ValidateSecrets] and
// [Settings.Warnings] where it is only known which of the secret variables are
// given.
func (s Settings) WithReferences(given []string) Settings {
	for _, v := range variables {
		if v.Secret && slices.Contains(given, v.Name) {
			s.field(v).SetString("given")
		}
	}
	return s
}

func (s Settings) validateLimits() (p Problems) {
	if s.Batch.MaxBytes < 1 {
		p.add("SPOUT_BATCH_MAX_BYTES", s.Batch.MaxBytes.String(), "must be at least 1 byte")
	}
	if s.Batch.MaxRecords < 0 {
		p.add("SPOUT_BATCH_MAX_RECORDS", strconv.Itoa(s.Batch.MaxRecords), "must not be negative; 0 means no limit")
	}
	if s.Batch.MaxFiles < 1 {
		p.add("SPOUT_BATCH_MAX_FILES", strconv.Itoa(s.Batch.MaxFiles), "must be at least 1")
	}
	if s.Batch.MaxAge.Std() < 10*time.Millisecond {
		p.add("SPOUT_BATCH_MAX_AGE", s.Batch.MaxAge.String(), "must be at least 10ms; a commit costs Pachyderm 20 ms and more")
	}
	if s.Kafka.FetchMaxBytes < minFetchBytes || s.Kafka.FetchMaxBytes > maxFetchBytes {
		p.add("SPOUT_KAFKA_FETCH_MAX_BYTES", s.Kafka.FetchMaxBytes.String(), "must be from "+minFetchBytes.String()+" to "+maxFetchBytes.String())
	}
	if wait := s.Kafka.FetchMaxWait.Std(); wait < time.Millisecond || wait > time.Minute {
		p.add("SPOUT_KAFKA_FETCH_MAX_WAIT", s.Kafka.FetchMaxWait.String(), "must be from 1ms to 1m")
	}
	if most := s.MemoryBudget / memoryPerBatch; s.Kafka.MaxBatchBytes != 0 && (s.Kafka.MaxBatchBytes < minMaxBatch || s.Kafka.MaxBatchBytes > most) {
		p.add("SPOUT_KAFKA_MAX_BATCH_BYTES", s.Kafka.MaxBatchBytes.String(),
			fmt.Sprintf("must be from %s to %s, a quarter of SPOUT_MEMORY_BUDGET, or 0 for an eighth", minMaxBatch, most), "SPOUT_MEMORY_BUDGET")
	}
	if s.Kafka.MetadataInterval.Std() < time.Second {
		p.add("SPOUT_KAFKA_METADATA_INTERVAL", s.Kafka.MetadataInterval.String(), "must be at least 1s")
	}
	if least := memoryPerFetch * s.Kafka.FetchMaxBytes; s.MemoryBudget < least {
		p.add("SPOUT_MEMORY_BUDGET", s.MemoryBudget.String(), fmt.Sprintf("must be at least %s, %d times SPOUT_KAFKA_FETCH_MAX_BYTES", least, memoryPerFetch), "SPOUT_KAFKA_FETCH_MAX_BYTES")
	}
	if s.HTTPPort < 0 || s.HTTPPort > 65535 || slices.Contains(reservedPorts, s.HTTPPort) {
		p.add("SPOUT_HTTP_PORT", strconv.Itoa(s.HTTPPort), fmt.Sprintf("must be a port from 1 to 65535 that Pachyderm does not use in the pod (%v), or 0", reservedPorts))
	}
	return p
}
