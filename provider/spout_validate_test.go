// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"maps"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// What could only fail later is refused while planning, with a message that
// names the attribute, the value and the way out.
func TestSpoutValidation(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	for _, c := range []struct {
		name   string
		config object
		want   []string
	}{
		{"upper case", kafkaSpout(object{"name": "Orders"}), []string{"name", `"Orders"`, "lower-case"}},
		{"underscore", kafkaSpout(object{"name": "my_orders"}), []string{`"my_orders"`, "lower-case"}},
		{"long name", kafkaSpout(object{"name": strings.Repeat("a", 52)}), []string{"1 to 51"}},
		{"project", kafkaSpout(object{"project": "1st"}), []string{"project", `"1st"`, "begin with a letter"}},
		{"long together", kafkaSpout(object{"name": strings.Repeat("a", 51), "project": strings.Repeat("p", 20)}), []string{"71 characters together", "leaves 58", "by 13"}},
		{"branch", kafkaSpout(object{"output_branch": "a b"}), []string{"output_branch", `"a b"`}},
		{"neither", object{"name": "orders"}, []string{"Exactly one of kafka, ", "None of them is set"}},
		{"both", merged(kafkaSpout(nil), object{"transform": transformSpout(nil)["transform"]}), []string{"kafka and transform are set"}},
		{"image of transform", transformSpout(object{"image": "x"}), []string{"transform.image"}},
		{"runner of transform", transformSpout(object{"runner": object{"log_level": "debug"}}), []string{"runner goes with the bundled runner"}},
		{"empty command", transformSpout(object{"transform.cmd": []any{""}}), []string{"transform.cmd"}},
		{"exit code", transformSpout(object{"transform.accept_return_code": []any{256}}), []string{"256", "1 to 255"}},
		{"broker", kafkaSpout(object{"kafka.brokers": []any{"kafka"}}), []string{"kafka.brokers", `"kafka"`, "host:port"}},
		{"broker list in one", kafkaSpout(object{"kafka.brokers": []any{"a:1,b:1"}}), []string{"comma"}},
		{"topic", kafkaSpout(object{"kafka.topics": []any{"a b"}}), []string{"kafka.topics", `"a b"`}},
		{"topic twice", kafkaSpout(object{"kafka.topics": []any{"a", "a"}}), []string{"twice"}},
		{"no topic", kafkaSpout(object{"kafka.topics": nil}), []string{"kafka.topics must name at least one topic, or kafka.topics_pattern must match some"}},
		{"topics and pattern", kafkaSpout(object{"kafka.topics_pattern": "x"}), []string{"kafka.topics_pattern", "together with kafka.topics"}},
		{"pattern", kafkaSpout(object{"kafka.topics": nil, "kafka.topics_pattern": "("}), []string{"kafka.topics_pattern", "RE2"}},
		{"shard", kafkaSpout(object{"kafka.shard": "3/2"}), []string{"kafka.shard", `"3/2"`, "1/2 to 2/2"}},
		{"start offset of another topic", kafkaSpout(object{"kafka.start_offsets": object{"refunds": object{"0": 1}}}), []string{"kafka.start_offsets", "topic refunds"}},
		{"start offset of no partition", kafkaSpout(object{"kafka.start_offsets": object{"orders": object{"x": 1}}}), []string{"kafka.start_offsets", "orders:x=1"}},
		{"start", kafkaSpout(object{"kafka.start": "yesterday"}), []string{"kafka.start", `"yesterday"`, "earliest"}},
		{"isolation", kafkaSpout(object{"kafka.isolation": "none"}), []string{"kafka.isolation", "read_committed"}},
		{"mechanism", kafkaSpout(object{"kafka.sasl": object{"mechanism": "gssapi", "credentials_secret": object{"name": "a"}}}), []string{"kafka.sasl.mechanism", "scram-sha-256"}},
		{"keys", kafkaSpout(object{"kafka.sasl": object{"mechanism": "plain", "credentials_secret": object{"name": "a", "username_key": "password"}}}), []string{`"password"`, "two keys"}},
		{"keys of one reference", kafkaSpout(object{"kafka.sasl": object{"mechanism": "plain", "credentials_secret": object{"name": "a", "username_key": "password"}}}),
			[]string{`kafka.sasl.credentials_secret takes the key "password"`, "user name, and password. Name two keys."}},
		{"token and user", kafkaSpout(object{"file": object{"format": "avro"}, "schema_registry": object{"url": "https://r", "token_secret": object{"name": "a"}, "credentials_secret": object{"name": "b"}}}),
			[]string{"schema_registry.token_secret", "takes the place of a user name"}},
		{"one folder for two", kafkaSpout(object{"file": object{"format": "avro"}, "schema_registry": object{"url": "https://r", "folder": "own"},
			"records": object{"on_refused": "dead_letter", "dead_letter_folder": "own"}}),
			[]string{"records.dead_letter_folder", "is the folder of the schemas, too", "schema_registry.folder"}},
		{"batch of transform", transformSpout(object{"batch": object{"max_age": "1m"}}), []string{"batch goes with the bundled runner"}},
		{"registry of transform", transformSpout(object{"schema_registry": object{"url": "https://r"}}), []string{"schema_registry goes with the bundled runner"}},
		{"registry without TLS", kafkaSpout(object{"file": object{"format": "avro"}, "schema_registry": object{"url": "http://r", "tls": object{"ca_file": "/a"}}}), []string{"schema_registry.url", "must begin with https://"}},
		{"format", kafkaSpout(object{"file": object{"format": "JSONL"}}), []string{"file.format", "must be one of lines, jsonl, raw, avro, parquet, in lower case: write jsonl"}},
		{"policy", kafkaSpout(object{"records": object{"on_null": "kep"}}), []string{"records.on_null", "did you mean keep?"}},
		{"certificate of a file and a secret", kafkaSpout(object{"kafka.tls": object{"certificate_file": "/a", "private_key_file": "/b", "client_certificate_secret": object{"name": "a"}}}),
			[]string{"kafka.tls.certificate_file", "together with kafka.tls.client_certificate_secret"}},
		{"authority", kafkaSpout(object{"kafka.tls": object{"ca_certificate": "nonsense"}}), []string{"kafka.tls.ca_certificate", "PEM"}},
		{"bytes", kafkaSpout(object{"batch": object{"max_bytes": "many"}}), []string{"max_bytes", `"many"`, "64MiB"}},
		{"duration", kafkaSpout(object{"batch": object{"max_age": "10"}}), []string{"max_age", `"10"`, "10s"}},
		{"short", kafkaSpout(object{"batch": object{"max_age": "1ms"}}), []string{"batch.max_age", "10ms"}},
		{"path", kafkaSpout(object{"file": object{"path": "{topic}/{offset}"}}), []string{"file.path", "{offset}", "{first_offset}"}},
		{"path of topics", kafkaSpout(object{"kafka.topics": []any{"a", "b"}, "file": object{"path": "{partition}/{first_offset}"}}), []string{"{topic}"}},
		{"memory", kafkaSpout(object{"runner": object{"memory_budget": "1MiB"}}), []string{"runner.memory_budget", "kafka.fetch_max_bytes"}},
		{"memory for fetches", kafkaSpout(object{"kafka.fetch_max_bytes": "1GiB"}), []string{"kafka.fetch_max_bytes", "runner.memory_budget"}},
		{"port", kafkaSpout(object{"runner": object{"http_port": 9090}}), []string{"runner.http_port", "9090"}},
		{"nobody to scrape", kafkaSpout(object{"runner": object{"http_address": "::1", "prometheus_scrape": true}}), []string{"runner.prometheus_scrape", `runner.http_address = "::1"`}},
		{"nothing to scrape", kafkaSpout(object{"runner": object{"http_port": 0, "prometheus_scrape": true}}), []string{"runner.prometheus_scrape", "runner.http_port = 0"}},
		{"env name", transformSpout(object{"env": object{"1a": ""}}), []string{`"1a"`, "digit"}},
		{"env name with a sign", transformSpout(object{"env": object{"a=b": ""}}), []string{`"a=b"`}},
		{"env name like a folder", transformSpout(object{"secret_env": object{"..a": object{"secret": "a", "key": "b"}}}), []string{`"..a"`}},
		{"env too long", transformSpout(object{"env": object{"A": strings.Repeat("x", 131070)}}), []string{`env["A"] takes 131073 bytes`, "131072", "from a Kubernetes secret"}},
		{"authorities too long", kafkaSpout(object{"kafka.tls": object{"ca_certificate": strings.Repeat(testPEM, 3000)}}), []string{"kafka.tls.ca_certificate takes", "131072"}},
		{"argument too long", transformSpout(object{"transform.cmd": []any{"a", strings.Repeat("x", 131072)}}), []string{"transform.cmd[1] takes 131073 bytes"}},
		{"label name", kafkaSpout(object{"metadata": object{"labels": object{"a b": "x"}}}), []string{`metadata.labels has the name "a b"`, "63"}},
		{"label domain", kafkaSpout(object{"metadata": object{"labels": object{"Example.com/a": "x"}}}), []string{`"Example.com/a"`, "lower-case"}},
		{"label value", kafkaSpout(object{"metadata": object{"labels": object{"a": "Data Engineers"}}}), []string{`metadata.labels["a"] = "Data Engineers"`, "63"}},
		{"annotation name", kafkaSpout(object{"metadata": object{"annotations": object{"a/b/c": "x"}}}), []string{`metadata.annotations has the name "a/b/c"`}},
		{"annotations too long", kafkaSpout(object{"metadata": object{"annotations": object{"a": strings.Repeat("x", 262144)}}}), []string{"metadata.annotations take 262145 bytes together", "262144"}},
		{"node selector", kafkaSpout(object{"scheduling": object{"node_selector": object{"pool": "-"}}}), []string{`scheduling.node_selector["pool"] = "-"`}},
		{"priority class", kafkaSpout(object{"scheduling": object{"priority_class_name": "High"}}), []string{`scheduling.priority_class_name = "High"`}},
		{"taint", kafkaSpout(object{"tolerations": []any{object{"operator": "Equal", "key": "a b", "value": "c d"}}}), []string{`tolerations[0].key = "a b"`, `tolerations[0].value = "c d"`}},
		{"env of Pachyderm", transformSpout(object{"env": object{"PPS_PIPELINE_NAME": "x"}}), []string{"PPS_PIPELINE_NAME", "Pachyderm sets itself"}},
		{"port of Pachyderm", transformSpout(object{"secret_env": object{"PEER_PORT": object{"secret": "a", "key": "b"}}}), []string{"PEER_PORT"}},
		{"env of the runner", kafkaSpout(object{"env": object{"SPOUT_BATCH_MAX_AGE": "1s"}}), []string{"set batch.max_age instead"}},
		{"env like the runner's", kafkaSpout(object{"env": object{"SPOUT_X": "1s"}}), []string{"SPOUT_X", "bundled runner"}},
		{"twice", transformSpout(object{"env": object{"A": "1"}, "secret_env": object{"A": object{"secret": "a", "key": "b"}}}), []string{"A is in env and in secret_env"}},
		{"mount", transformSpout(object{"secret_mounts": object{"etc": "a"}}), []string{"absolute path"}},
		{"mount on Pachyderm's", transformSpout(object{"secret_mounts": object{"/pfs": "a"}}), []string{"/pfs"}},
		{"mount twice", transformSpout(object{"secret_mounts": object{"/a": "s", "/b": "s"}}), []string{"twice"}},
		{"mount with a dot", transformSpout(object{"secret_mounts": object{"/a": "s.t"}}), []string{`"s.t"`}},
		{"node port", transformSpout(object{"service": object{"internal_port": 80, "external_port": 80}}), []string{"service.external_port = 80", "30000 to 32767", "ClusterIP"}},
		{"port too high", transformSpout(object{"service": object{"internal_port": 70000, "external_port": 80, "type": "ClusterIP"}}), []string{"70000", "65535"}},
		{"port in use", transformSpout(object{"service": object{"internal_port": 1080, "external_port": 80, "type": "ClusterIP"}}), []string{"1080"}},
		{"service type", transformSpout(object{"service": object{"internal_port": 80, "external_port": 80, "type": "None"}}), []string{"ClusterIP"}},
		{"quantity", transformSpout(object{"resource_requests": object{"memory": "1 GB"}}), []string{"memory", `"1 GB"`, "512Mi"}},
		{"more than the limit", transformSpout(object{"resource_requests": object{"memory": "1Gi"}, "resource_limits": object{"memory": "1G"}}), []string{"resource_requests.memory", "more than", "resource_limits.memory"}},
		{"cpu", transformSpout(object{"resource_requests": object{"cpu": 2}, "resource_limits": object{"cpu": 1}}), []string{`resource_requests.cpu = "2"`}},
		{"toleration", transformSpout(object{"tolerations": []any{object{"operator": "Exists", "value": "a"}}}), []string{"tolerations[0].value"}},
		{"toleration key", transformSpout(object{"tolerations": []any{object{"operator": "Equal"}}}), []string{"tolerations[0].key"}},
		{"toleration seconds", transformSpout(object{"tolerations": []any{object{"operator": "Exists", "toleration_seconds": 1}}}), []string{"NoExecute"}},
		{"patch", transformSpout(object{"pod_patch": "{}"}), []string{"pod_patch", "RFC 6902"}},
		{"SCRAM in Kafka's spelling", kafkaSpout(object{"kafka.sasl": object{"mechanism": "SCRAM-SHA-512", "credentials_secret": object{"name": "kafka"}}}), []string{"kafka.sasl.mechanism", "scram-sha-512"}},
		{"patch of the pod", transformSpout(object{"pod_patch": `[{"op":"add","path":"/spec/hostNetwork","value":true}]`}), []string{"pod_patch", `write "/hostNetwork"`}},
		{"patch of metadata", transformSpout(object{"pod_patch": `[{"op":"add","path":"/metadata/labels/a","value":"b"}]`}), []string{"pod_patch", "attribute metadata"}},
		{"patch without a slash", transformSpout(object{"pod_patch": `[{"op":"add","path":"hostNetwork","value":true}]`}), []string{"pod_patch", "begins with /"}},
		{"patch without op", transformSpout(object{"pod_patch": `[{"path":"/hostname"}]`}), []string{`no "op"`}},
		{"wait_for", kafkaSpout(object{"wait_for": "ready"}), []string{"running"}},
		{"force and keep", kafkaSpout(object{"force_destroy": true, "keep_output_repo": true}), []string{"both true"}},
	} {
		_, diagnostics := i.plan(c.config)
		if err := contains(errorsIn(diagnostics), c.want...); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if strings.Contains(errorsIn(diagnostics), "SPOUT_KAFKA") {
			t.Errorf("%s: the message names a variable, not an attribute:\n%s", c.name, errorsIn(diagnostics))
		}
	}
}

func TestSpoutWarnings(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	for _, c := range []struct {
		name   string
		config object
		want   string
	}{
		{"password", transformSpout(object{"env": object{"DB_PASSWORD": "x"}}), `env["DB_PASSWORD"]`},
		{"token", transformSpout(object{"env": object{"GITHUB_TOKEN": unknown{}}}), "GITHUB_TOKEN"},
		{"key", transformSpout(object{"env": object{"AWS_SECRET_ACCESS_KEY": "x"}}), "secret_env"},
		{"private key", transformSpout(object{"env": object{"X": "-----BEGIN RSA PRIVATE KEY-----"}}), "holds a private key"},
		{"a file", transformSpout(object{"env": object{"PASSWORD_FILE": "/x"}}), ""},
		{"nothing", transformSpout(object{"env": object{"TOPIC": "tokens", "KEYSPACE": "x", "MONKEY": ""}}), ""},
		{"exit codes", transformSpout(object{"transform.accept_return_code": []any{3}}), "never starts it again"},
	} {
		_, diagnostics := i.plan(c.config)
		i.must(diagnostics)
		got := warningsIn(diagnostics)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q is not in %q", c.name, c.want, got)
		}
	}
}

// What is not known yet is no mistake, and does not hide those that are.
func TestSpoutUnknownValues(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	for name, config := range map[string]object{
		"name":        kafkaSpout(object{"name": unknown{}}),
		"project":     kafkaSpout(object{"project": unknown{}}),
		"kafka":       kafkaSpout(object{"kafka": unknown{}}),
		"brokers":     kafkaSpout(object{"kafka.brokers": unknown{}}),
		"broker":      kafkaSpout(object{"kafka.brokers": []any{unknown{}}}),
		"topics":      kafkaSpout(object{"kafka.topics": unknown{}}),
		"pattern":     kafkaSpout(object{"kafka.topics": nil, "kafka.topics_pattern": unknown{}}),
		"offsets":     kafkaSpout(object{"kafka.start_offsets": unknown{}}),
		"offset":      kafkaSpout(object{"kafka.start_offsets": object{"orders": object{"0": unknown{}}}}),
		"tls":         kafkaSpout(object{"kafka.tls": unknown{}}),
		"server name": kafkaSpout(object{"kafka.tls": object{"server_name": unknown{}}}),
		"fetch":       kafkaSpout(object{"kafka.fetch_max_bytes": unknown{}, "runner": object{"memory_budget": "1MiB"}}),
		"secret":      kafkaSpout(object{"kafka.sasl": object{"mechanism": unknown{}, "credentials_secret": object{"name": unknown{}}}}),
		"key":         kafkaSpout(object{"kafka.tls": object{}, "kafka.sasl": object{"mechanism": "plain", "credentials_secret": object{"name": "a", "username_key": unknown{}, "password_key": "username"}}}),
		"credentials": kafkaSpout(object{"kafka.tls": object{}, "kafka.sasl": object{"mechanism": "plain", "credentials_secret": unknown{}}}),
		"encryption":  kafkaSpout(object{"kafka.tls": unknown{}, "kafka.sasl": object{"mechanism": "plain", "credentials_secret": object{"name": "a"}}}),
		"allowed":     kafkaSpout(object{"kafka.sasl": object{"mechanism": "plain", "allow_cleartext_credentials": unknown{}, "credentials_secret": object{"name": "a"}}}),
		"format":      kafkaSpout(object{"file": object{"format": unknown{}, "compression": "snappy"}, "schema_registry": object{"url": "https://r"}}),
		"file":        kafkaSpout(object{"file": unknown{}, "schema_registry": object{"url": "https://r"}}),
		"mechanism":   kafkaSpout(object{"kafka.sasl": object{"mechanism": unknown{}, "token_url": "https://t", "scope": "s", "extensions": []any{"a=b"}, "credentials_secret": object{"name": "a"}}}),
		"key file":    kafkaSpout(object{"kafka.tls": object{"certificate_file": "/a", "private_key_file": unknown{}}}),
		"env":         kafkaSpout(object{"env": unknown{}}),
		"value":       kafkaSpout(object{"env": object{"A": unknown{}}}),
		"secret env":  kafkaSpout(object{"secret_env": object{"A": object{"secret": unknown{}, "key": unknown{}}}}),
		"service":     kafkaSpout(object{"service": object{"internal_port": unknown{}, "external_port": unknown{}, "type": unknown{}}}),
		"resources":   kafkaSpout(object{"resource_requests": object{"memory": unknown{}}, "resource_limits": unknown{}}),
		"tolerations": kafkaSpout(object{"tolerations": []any{object{"key": unknown{}, "operator": unknown{}}}}),
		"transform":   transformSpout(object{"transform": unknown{}}),
		"cmd":         transformSpout(object{"transform.cmd": []any{unknown{}}}),
		"patch":       transformSpout(object{"pod_patch": unknown{}, "metadata": unknown{}, "scheduling": unknown{}}),
		"destroy":     transformSpout(object{"force_destroy": unknown{}, "keep_output_repo": true}),
	} {
		if _, diagnostics := i.plan(config); errorsIn(diagnostics) != "" {
			t.Errorf("%s: %s", name, errorsIn(diagnostics))
		}
	}
	_, diagnostics := i.plan(kafkaSpout(object{"kafka.brokers": unknown{}, "kafka.start": "never"}))
	if err := contains(errorsIn(diagnostics), "kafka.start"); err != nil {
		t.Error(err)
	}
}

// The same credentials may be good for the brokers and for the registry.
func TestSpoutSecretForTwo(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	_, diagnostics := i.plan(kafkaSpout(object{"file": object{"format": "avro"},
		"kafka.sasl": object{"mechanism": "plain", "credentials_secret": object{"name": "a"}},
		"kafka.tls":  object{"client_certificate_secret": object{"name": "c"}},
		"schema_registry": object{"url": "https://r", "credentials_secret": object{"name": "a"},
			"tls": object{"client_certificate_secret": object{"name": "c"}}}}))
	i.must(diagnostics)
}

// A command in one piece is what a shell would split, and nothing else does.
func TestPlanWarnsOfACommandInOnePiece(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	for _, c := range []struct {
		cmd  []any
		want string
	}{{[]any{"python3 /app/main.py"}, `["python3", "/app/main.py"]`}, {[]any{"python3", "/app/my main.py"}, ""}, {[]any{"/app"}, ""}} {
		_, diagnostics := i.plan(transformSpout(object{"transform.cmd": c.cmd}))
		i.must(diagnostics)
		if got := warningsIn(diagnostics); (got != "") != (c.want != "") || !strings.Contains(got, c.want) {
			t.Errorf("%v: %q", c.cmd, got)
		}
	}
}

// A limit that the runner may go beyond is told of while planning.
func TestPlanWarnsOfALowMemoryLimit(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	limit := func(memory any, more object) object {
		return kafkaSpout(merged(object{"resource_limits": object{"memory": memory}}, more))
	}
	for name, c := range map[string]struct {
		config object
		want   string
	}{
		"just enough":          {limit("448Mi", nil), ""},
		"too little":           {limit("447Mi", nil), "448MiB"},
		"for a smaller budget": {limit("256Mi", object{"runner": object{"memory_budget": "64MiB"}}), ""},
		"for a larger one":     {limit("1Gi", object{"runner": object{"memory_budget": "1GiB"}}), "1408MiB"},
		"not known":            {limit(unknown{}, nil), ""},
		"no limit of memory":   {kafkaSpout(object{"resource_limits": object{"cpu": 1.0}}), ""},
	} {
		_, diagnostics := i.plan(c.config)
		i.must(diagnostics)
		if got := warningsIn(diagnostics); (got != "") != (c.want != "") || !strings.Contains(got, c.want) || c.want != "" && !strings.Contains(got, "OOMKilled") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Another shard of the same branch is what the runner stops at.
func TestPlanWarnsOfAnotherShard(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	shard := func(shard string, more object) object {
		changes := object{"kafka.shard": shard}
		maps.Copy(changes, more)
		return kafkaSpout(changes)
	}
	i.must(i.apply(shard("1/2", nil)))
	for _, c := range []struct {
		config object
		warned bool
	}{
		{shard("1/2", object{"description": "same"}), false}, {shard("1/4", nil), true}, {kafkaSpout(nil), true},
		{shard("1/4", object{"output_branch": "four"}), false}, {shard("1/4", object{"kafka.on_shard_changed": "continue", "kafka.start_offsets": object{"orders": object{"1": 7}}}), false},
	} {
		_, diagnostics := i.plan(c.config)
		i.must(diagnostics)
		if got := len(diagnostics) > 0; got != c.warned {
			t.Errorf("%v: warned: %v", c.config, got)
		}
	}
}

// The schema knows the values that a setting may have, and what is wrong with
// another one is said once, although all settings are checked together, too.
func TestAllowedValuesAreInTheSchema(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	tried := 0
	for _, v := range contract {
		if len(v.Values) == 0 || v.Attribute == "" {
			continue
		}
		tried++
		_, diagnostics := i.plan(kafkaSpout(object{"kafka.sasl": object{"mechanism": "plain", "allow_cleartext_credentials": true, "credentials_secret": object{"name": "a"}}, v.Attribute: "nonsense"}))
		said := 0
		for _, d := range diagnostics {
			if d.Attribute != nil && strings.Contains(d.Detail, v.Attribute+` = "nonsense" must be one of `+v.Values[0].Name) {
				said++
			}
		}
		if said != 1 {
			t.Errorf("%s: said %d times: %s", v.Attribute, said, errorsIn(diagnostics))
		}
		attribute, d := spoutSchema(t.Context()).AttributeAtPath(t.Context(), attributePath(v.Attribute))
		text, ok := attribute.(schema.StringAttribute)
		if !ok || len(text.Validators) != 1 || !strings.Contains(text.Validators[0].Description(t.Context()), v.Values[0].Name) {
			t.Errorf("%s has the validators %v, %v", v.Attribute, text.Validators, d)
		}
	}
	if tried < 8 {
		t.Errorf("only %d have such values", tried)
	}
}
