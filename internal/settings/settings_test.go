// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// least is an environment that is valid.
func least(more ...string) []string {
	return append([]string{"SPOUT_KAFKA_BROKERS=kafka:9092", "SPOUT_KAFKA_TOPICS=orders", "PATH=/bin", "HOME=/"}, more...)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	s, err := Parse(least())
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Kafka.Brokers, want.Kafka.Topics = []string{"kafka:9092"}, []string{"orders"}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	if env := s.Environment(); len(env) != 2 {
		t.Errorf("rendered %v, want brokers and topics only", env)
	}
}

// TestRoundTrip: what Environment renders is what Parse reads.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := Default()
		s.Kafka.Brokers = rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,9}:[1-9][0-9]{3}`), 1, 3).Draw(t, "brokers")
		s.Kafka.Topics = rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z._-]{1,9}`), 1, 3, rapid.ID).Draw(t, "topics")
		s.Kafka.Start = rapid.SampledFrom([]string{"earliest", "latest", "2026-01-31T00:00:00Z"}).Draw(t, "start")
		if count := rapid.IntRange(0, 9).Draw(t, "shards"); count > 0 {
			s.Kafka.Shard = Shard{Index: rapid.IntRange(1, count).Draw(t, "shard"), Count: count}
		}
		for range rapid.IntRange(0, 3).Draw(t, "offsets") {
			if s.Kafka.StartOffsets == nil {
				s.Kafka.StartOffsets = StartOffsets{}
			}
			s.Kafka.StartOffsets[s.Kafka.Topics[0]] = rapid.MapOfN(rapid.Int32Range(0, 100), rapid.Int64Min(0), 1, 3).Draw(t, "partitions")
		}
		s.Kafka.ClientID = rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "client")
		s.Kafka.FetchMaxWait = Duration(rapid.Int64Range(1, 60_000).Draw(t, "wait") * int64(time.Millisecond))
		s.Batch.MaxBytes = Bytes(rapid.Int64Range(1, 1<<40).Draw(t, "bytes"))
		s.Batch.MaxRecords = rapid.IntRange(0, 1<<30).Draw(t, "records")
		s.Batch.MaxAge = Duration(rapid.Int64Range(int64(10*time.Millisecond), int64(1000*time.Hour)).Draw(t, "age"))
		s.File.Format = rapid.SampledFrom(Formats).Draw(t, "format")
		s.File.Compression = rapid.SampledFrom([]string{"none", "gzip", "zstd"}).Draw(t, "compression")
		s.MemoryBudget = Bytes(rapid.Int64Range(64<<20, 1<<40).Draw(t, "memory"))
		s.Record.Mask = rapid.SampledFrom([][]string{nil, {"a=hash"}, {"a.b=redact", "c=hash"}}).Draw(t, "mask")
		s.Record.Filter = rapid.SampledFrom([]Filter{{}, {text: "key exists", Conditions: []Condition{{Of: Reference{Kind: "key"}, Operator: "exists"}}}}).Draw(t, "filter")
		s.HTTPPort = rapid.SampledFrom([]int{0, 8080, 9464}).Draw(t, "port")
		var environ []string
		for name, value := range s.Environment() {
			environ = append(environ, name+"="+value)
		}
		got, err := Parse(environ)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, s) {
			t.Fatalf("got  %+v\nwant %+v\nfrom %q", got, s, environ)
		}
	})
}

// TestSecretsAreNotRendered plants values in every secret setting.
func TestSecretsAreNotRendered(t *testing.T) {
	t.Parallel()
	environ := least("SPOUT_KAFKA_SASL_MECHANISM=plain", "SPOUT_KAFKA_TLS=true")
	for _, v := range Variables() {
		if v.Secret && (v.Source == "" || v.Source == "kafka") {
			environ = append(environ, v.Name+"=planted-secret")
		}
	}
	s, err := Parse(environ)
	if err != nil {
		t.Fatal(err)
	}
	if s.Kafka.SASL.Password != "planted-secret" {
		t.Error("the secret was not read")
	}
	for name, value := range s.Environment() {
		if IsSecret(name) || strings.Contains(value, "planted-secret") {
			t.Errorf("%s=%s is rendered", name, value)
		}
	}
}

// TestEmptySecrets: a secret that guards something is not taken for none, for which
// the port would be open, TLS off or a mask easy to guess.
func TestEmptySecrets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"SPOUT_HTTP_TOKEN", "SPOUT_HTTP_TLS_CERT", "SPOUT_HTTP_TLS_KEY", "SPOUT_RECORD_MASK_KEY", "SPOUT_KAFKA_TLS_CERT"} {
		for _, value := range []string{"", "\n", " \t"} {
			if _, err := Parse(least(name + "=" + value)); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "is empty") {
				t.Errorf("%s=%q: %v", name, value, err)
			}
		}
	}
}

// TestProblems: each message names the variable, the value and the fix.
func TestProblems(t *testing.T) {
	t.Parallel()
	for environment, want := range map[string]string{
		"SPOUT_KAFKA_BROKER=x":                                         "SPOUT_KAFKA_BROKER is not a setting of this runner; did you mean SPOUT_KAFKA_BROKERS?",
		"SPOUT_CACHE_SIZE=1":                                           "SPOUT_CACHE_SIZE is not a setting of this runner; names that begin with SPOUT_ are its own",
		"SPOUT_BACTH_MAX_AGE=1s":                                       "did you mean SPOUT_BATCH_MAX_AGE?",
		"SPOUT_KAFKA_BROKERS=kafka":                                    `SPOUT_KAFKA_BROKERS="kafka" must be host:port, such as kafka.example.com:9092`,
		"SPOUT_KAFKA_BROKERS=kafka:0":                                  "must be host:port",
		"SPOUT_KAFKA_TOPICS=a b":                                       `SPOUT_KAFKA_TOPICS="a b" is not a name of a Kafka topic`,
		"SPOUT_KAFKA_TOPICS=a,a":                                       "is there twice",
		"SPOUT_KAFKA_SHARD=9/8":                                        `SPOUT_KAFKA_SHARD="9/8" must be a shard and their number, such as 2/8`,
		"SPOUT_KAFKA_TOPICS_PATTERN=x.*":                               `SPOUT_KAFKA_TOPICS_PATTERN="x.*" cannot be set together with SPOUT_KAFKA_TOPICS`,
		"SPOUT_KAFKA_START_OFFSETS=x":                                  `SPOUT_KAFKA_START_OFFSETS="x" has "x"; it must be a list of topic:partition=offset`,
		"SPOUT_KAFKA_START_OFFSETS=orders:0=1,orders:0=2":              "has partition 0 of topic orders twice",
		"SPOUT_KAFKA_START_OFFSETS=orders:-1=1":                        "must be a list of topic:partition=offset",
		"SPOUT_KAFKA_START_OFFSETS=orders:1=-1":                        "must be a list of topic:partition=offset",
		"SPOUT_KAFKA_START_OFFSETS=refunds:0=1":                        "has the topic refunds, which is not read",
		"SPOUT_KAFKA_ON_CORRUPT_BATCH=no":                              "must be one of stop, skip",
		"SPOUT_KAFKA_ON_SHARD_CHANGED=no":                              "must be one of stop, continue",
		"SPOUT_KAFKA_START=yesterday":                                  "must be earliest, latest or a time such as 2026-01-31T00:00:00Z",
		"SPOUT_KAFKA_ISOLATION=none":                                   "must be one of read_committed, read_uncommitted",
		"SPOUT_KAFKA_TLS=perhaps":                                      `SPOUT_KAFKA_TLS="perhaps" must be true or false`,
		"SPOUT_KAFKA_TLS_CERT=x":                                       "SPOUT_KAFKA_TLS=\"false\" must be true",
		"SPOUT_KAFKA_TLS_SERVER_NAME=x":                                "SPOUT_KAFKA_TLS=\"false\" must be true",
		"SPOUT_KAFKA_TLS_KEY_FILE=x":                                   "goes together with SPOUT_KAFKA_TLS_KEY_FILE",
		"SPOUT_KAFKA_TLS_CA_FILE=x":                                    "SPOUT_KAFKA_TLS=\"false\" must be true",
		"SPOUT_KAFKA_SASL_TOKEN_URL=https://c:hidden@idp.example.com/": `SPOUT_KAFKA_SASL_TOKEN_URL="https://(hidden)@idp.example.com/" is for oauthbearer`,
		"SPOUT_KAFKA_SASL_SCOPE=x":                                     `SPOUT_KAFKA_SASL_SCOPE="x" is for oauthbearer`,
		"SPOUT_KAFKA_SASL_MECHANISM=oauthbearer":                       "SPOUT_KAFKA_SASL_TOKEN_URL must be the URL of the token endpoint",
		"SPOUT_KAFKA_SASL_MECHANISM=md5":                               "must be one of plain, scram-sha-256, scram-sha-512",
		"SPOUT_KAFKA_FETCH_MAX_BYTES=1":                                "must be from 64KiB to 1GiB",
		"SPOUT_KAFKA_FETCH_MAX_BYTES=64MiB":                            `SPOUT_KAFKA_FETCH_MAX_BYTES="64MiB" calls for more memory: SPOUT_MEMORY_BUDGET must be at least 512MiB`,
		"SPOUT_KAFKA_MAX_BATCH_BYTES=1KiB":                             "must be from 1MiB to 64MiB, a quarter of SPOUT_MEMORY_BUDGET, or 0 for an eighth",
		"SPOUT_KAFKA_MAX_BATCH_BYTES=65MiB":                            "must be from 1MiB to 64MiB",
		"SPOUT_KAFKA_FETCH_MAX_WAIT=500us":                             "must be from 1ms to 1m",
		"SPOUT_MEMORY_BUDGET=32MiB":                                    "must be at least 64MiB, 8 times SPOUT_KAFKA_FETCH_MAX_BYTES",
		"SPOUT_BATCH_MAX_BYTES=64 apples":                              "must be a number of bytes, such as 64MiB or 1GB",
		"SPOUT_BATCH_MAX_RECORDS=-1":                                   "must not be negative",
		"SPOUT_FILE_RECURSION_DEPTH=11":                                "must be from 0 to 10",
		"SPOUT_BATCH_MAX_AGE=10":                                       "must be a length of time, such as 500ms, 10s, 5m or 1h30m",
		"SPOUT_BATCH_MAX_AGE=1ms":                                      "must be at least 10ms",
		"SPOUT_FILE_FORMAT=csv":                                        "must be one of lines, jsonl",
		"SPOUT_FILE_PATH={topic}":                                      "must have {partition} and {first_offset}",
		"SPOUT_HTTP_PORT=9090":                                         "must be a port from 1 to 65535 that Pachyderm does not use",
		"SPOUT_HTTP_ADDRESS=localhost":                                 "must be an IP address, for example 127.0.0.1",
		"SPOUT_HTTP_HOSTS=orders.svc,http://orders":                    `SPOUT_HTTP_HOSTS="http://orders" must be a name without a port`,
		"SPOUT_LOG_LEVEL=loud":                                         "must be one of trace, debug, info, warn, error",
	} {
		_, err := Parse(least(environment))
		var problems Problems
		if !errors.As(err, &problems) || len(problems) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", environment, err, want)
		}
	}
	_, err := Parse([]string{"SPOUT_KAFKA_TOPICS="})
	if err == nil || !strings.Contains(err.Error(), "at least one broker") || !strings.Contains(err.Error(), "at least one topic") {
		t.Errorf("all problems should be told together: %v", err)
	}
}

func TestSecretsThatAreMissing(t *testing.T) {
	t.Parallel()
	for environment, want := range map[string]string{
		"SPOUT_KAFKA_SASL_MECHANISM=plain": "must both be set from a Kubernetes secret",
		"SPOUT_KAFKA_SASL_PASSWORD=secret": "SPOUT_KAFKA_SASL_MECHANISM must be one of",
		"SPOUT_KAFKA_TLS_KEY=secret":       "go together",
	} {
		s, err := Parse(least(environment))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ValidateSecrets(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), `"secret"`) {
			t.Errorf("%s: %v", environment, err)
		}
	}
}

// TestServiceLinks: Kubernetes sets variables for every service of the
// namespace, also for those whose name begins with spout.
func TestServiceLinks(t *testing.T) {
	t.Parallel()
	s, err := Parse(least("SPOUT_ORDERS_V1_SERVICE_HOST=10.0.0.1", "SPOUT_ORDERS_V1_SERVICE_PORT=1080",
		"SPOUT_ORDERS_V1_SERVICE_PORT_USER_GRPC_PORT=1080", "SPOUT_ORDERS_V1_PORT=tcp://10.0.0.1:1080",
		"SPOUT_ORDERS_V1_PORT_1080_TCP=tcp://10.0.0.1:1080", "SPOUT_ORDERS_V1_PORT_1080_TCP_ADDR=10.0.0.1",
		"SPOUT_ORDERS_V1_PORT_1080_TCP_PROTO=tcp", "SPOUT_HTTP_PORT=tcp://10.0.0.2:80", "SPOUT_HTTP_SERVICE_HOST=10.0.0.2"))
	if err != nil || s.HTTPPort != Default().HTTPPort {
		t.Error(s.HTTPPort, err)
	}
	if _, err := Parse(least("SPOUT_HTTPS_PORT=80")); err == nil {
		t.Error("a misspelt port is taken for a service link")
	}
}

func TestPathTemplate(t *testing.T) {
	t.Parallel()
	fields := PathFields{Stream: "orders", Partition: 7, FirstOffset: 12, LastOffset: 34, Ext: "jsonl.gz",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))}
	for template, want := range map[string]string{
		"{topic}/{partition}/{first_offset}-{last_offset}.{ext}":          "/orders/00007/00000000000000000012-00000000000000000034.jsonl.gz",
		"/{year}/{month}/{day}/{hour}{minute}/{partition}-{first_offset}": "/2026/01/02/0204/00007-00000000000000000012",
	} {
		p, err := ParsePathTemplate(template)
		p = p.For(Default().Layout())
		if err != nil || p.Render(fields) != want {
			t.Errorf("%s: %s, %v", template, p.Render(fields), err)
		}
	}
	years, err := ParsePathTemplate("{year}{month}/{first_offset}")
	if err != nil {
		t.Fatal(err)
	}
	years = years.For(Default().Layout())
	for _, odd := range []PathFields{ // as far as timestamps and offsets go
		{Time: time.UnixMilli(math.MinInt64), FirstOffset: math.MaxInt64}, {Time: time.UnixMilli(math.MaxInt64)},
		{Time: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)}, {Time: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)}, {Time: time.Date(987, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if want := fmt.Sprintf("/%04d%02d/%020d", odd.Time.UTC().Year(), odd.Time.UTC().Month(), odd.FirstOffset); years.Render(odd) != want {
			t.Errorf("rendered %s, want %s", years.Render(odd), want)
		}
	}
	for template, want := range map[string]string{
		"{topic":          "{ without a }",
		"a//b":            "empty element",
		"a/../b":          `element ".."`,
		"a/":              "file's name",
		"":                "file's name",
		"a*b":             "forbids",
		"a@b":             "forbids",
		"grün":            "printable ASCII",
		"{topic}/./{ext}": `element "."`,
	} {
		if _, err := ParsePathTemplate(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", template, err, want)
		}
	}
	for template, want := range map[string]time.Duration{"{topic}": 0, "{day}": 24 * time.Hour, "{day}/{minute}": time.Minute, "{hour}": time.Hour} {
		if p, err := ParsePathTemplate(template); err != nil || p.TimeGrain() != want {
			t.Errorf("%s: %v, %v", template, p.TimeGrain(), err)
		}
	}
}

func TestBytesAndDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"64MiB": "64MiB", "64Mi": "64MiB", "1.5 GiB": "1536MiB", "1MB": "1000000", "1024": "1KiB", "0": "0"} {
		if b, err := ParseBytes(text); err != nil || b.String() != want {
			t.Errorf("%s: %s, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "-1", "x", "1 PiB", "NaN", "1e30"} {
		if b, err := ParseBytes(text); err == nil {
			t.Errorf("%q is taken for %s", text, b)
		}
	}
	for _, text := range []string{"10s", "1m", "1h", "1h30m", "500ms", "1m30s"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != text {
			t.Errorf("%s: %s, %v", text, d, err)
		}
	}
}

// TestEveryVariableIsDescribed keeps the table complete.
func TestEveryVariableIsDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, v := range Variables() {
		if seen[v.Name] || !strings.HasPrefix(v.Name, Prefix) || !strings.HasSuffix(v.Doc, ".") {
			t.Errorf("%+v", v)
		}
		seen[v.Name] = true
	}
	if len(seen) < 25 {
		t.Error(slices.Sorted(maps.Keys(seen)))
	}
}

func ExampleParse() {
	_, err := Parse(append(os.Environ(), "SPOUT_KAFKA_BROKERS=kafka:9092", "SPOUT_KAFKA_TOPIC=orders"))
	fmt.Println(err)
	// Output:
	// SPOUT_KAFKA_TOPIC is not a setting of this runner; did you mean SPOUT_KAFKA_TOPICS?
	// SPOUT_KAFKA_TOPICS must name at least one topic, or SPOUT_KAFKA_TOPICS_PATTERN must match some
}

// TestPatternsMatchNames: what is no name of a topic is not read, whatever the
// pattern says.
func TestPatternsMatchNames(t *testing.T) {
	t.Parallel()
	wants := Kafka{Pattern: "(?s).*"}.Selector()
	for _, name := range []string{"orders", "a.b-c_d", "_own", "...", strings.Repeat("x", 249)} {
		if !wants(name) {
			t.Errorf("%q is not read", name)
		}
	}
	for _, name := range []string{"../../_schemas", "a/b", ".", "..", "", "a\x00", "orders\n", "é", "__own", strings.Repeat("x", 250), strings.Repeat("x", 30_000)} {
		if wants(name) {
			t.Errorf("%.20q is read", name)
		}
	}
}

// TestPatterns: either topics or a pattern, which is about the whole name.
func TestPatterns(t *testing.T) {
	t.Parallel()
	parse := func(environ ...string) (Settings, error) {
		return Parse(append([]string{"SPOUT_KAFKA_BROKERS=kafka:9092"}, environ...))
	}
	s, err := parse("SPOUT_KAFKA_TOPICS_PATTERN=orders-(eu|us)|x")
	if err != nil {
		t.Fatal(err)
	}
	wants := s.Kafka.Selector()
	for topic, want := range map[string]bool{"orders-eu": true, "orders-us": true, "x": true, "orders-eux": false, "my-orders-eu": false, "": false} {
		if wants(topic) != want {
			t.Errorf("%s: %v", topic, !want)
		}
	}
	for environment, want := range map[string]string{
		"":                               "must name at least one topic, or SPOUT_KAFKA_TOPICS_PATTERN must match some",
		"SPOUT_KAFKA_TOPICS_PATTERN=a(":  `SPOUT_KAFKA_TOPICS_PATTERN="a(" is not a regular expression of RE2: missing closing )`,
		"SPOUT_KAFKA_TOPICS_PATTERN=(?=": "is not a regular expression of RE2",
	} {
		if _, err := parse(environment); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", environment, err, want)
		}
	}
	if _, err := parse("SPOUT_KAFKA_TOPICS_PATTERN=x.*", "SPOUT_FILE_PATH={partition}/{first_offset}"); err == nil || !strings.Contains(err.Error(), "must have {topic}") {
		t.Errorf("a path without topics: %v", err)
	}
	if _, err := parse("SPOUT_KAFKA_TOPICS_PATTERN=x.*", "SPOUT_KAFKA_START_OFFSETS=xy:0=1"); err != nil {
		t.Error(err)
	}
}

// What means the same has one form: the order of what is a set, and white space
// around certificates.
func TestCanonical(t *testing.T) {
	t.Parallel()
	pem := "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
	got := Canonical(map[string]string{"SPOUT_KAFKA_TOPICS": "b,a", "SPOUT_RECORD_MASK": "b=hash,a=redact", "SPOUT_KAFKA_TLS_CA": pem + "\r\n", "SPOUT_FILE_PATH": "b,a", "OTHER": "b,a\n"})
	want := map[string]string{"SPOUT_KAFKA_TOPICS": "a,b", "SPOUT_RECORD_MASK": "a=redact,b=hash", "SPOUT_KAFKA_TLS_CA": pem, "SPOUT_FILE_PATH": "b,a", "OTHER": "b,a\n"}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// A file that a Kubernetes secret was made of often ends with a line break,
// which belongs to no login. A key of a hash is taken as it is.
func TestSecretsEndWithoutLineBreak(t *testing.T) {
	t.Parallel()
	s, err := Parse([]string{"SPOUT_KAFKA_BROKERS=a:1", "SPOUT_KAFKA_TOPICS=a", "SPOUT_KAFKA_SASL_USERNAME=u\n", "SPOUT_KAFKA_SASL_PASSWORD= p \r\n",
		"SPOUT_SCHEMA_REGISTRY_TOKEN=t\n", "SPOUT_RECORD_MASK_KEY=k\n"})
	if err != nil || s.Kafka.SASL.Username != "u" || s.Kafka.SASL.Password != " p " || s.SchemaRegistry.Token != "t" || s.Record.MaskKey != "k\n" {
		t.Errorf("%+v %v", s, err)
	}
}
