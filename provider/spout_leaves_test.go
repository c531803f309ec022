// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// leaf is an attribute with two values that differ.
type leaf struct {
	path      string
	transform bool
	a, b      any
	same      any  // another way to say a, if there is one
	local     bool // Pachyderm is not told
	required  bool // it cannot be left out
}

// base is the smallest spout that can have the attribute.
func (l leaf) base() func(changes object) object {
	if l.transform {
		return transformSpout
	}
	return spoutWith(l.path)
}

var leafCases = []leaf{
	{path: "description", a: "one", b: "two"},
	{path: "image", a: "mirror.example.com/spout-runner:1", b: "mirror.example.com/spout-runner:2"},
	{path: "kafka.brokers", required: true, a: []any{"a:1"}, b: []any{"a:1", "b:2"}},
	{path: "kafka.topics", required: true, a: []any{"orders", "payments"}, b: []any{"payments"}},
	{path: "kafka.shard", a: "1/2", b: "2/2"},
	{path: "kafka.on_shard_changed", a: "continue", b: "stop"},
	{path: "kafka.start_offsets", a: object{"orders": object{"0": 1200.0, "11": 5.0}}, b: object{"orders": object{"0": 7.0}}},
	{path: "kafka.start", a: "latest", b: "2026-01-31T00:00:00Z"},
	{path: "kafka.start", a: "2026-01-31T01:00:00+01:00", b: "latest", same: "2026-01-31T00:00:00Z"},
	{path: "kafka.client_id", a: "one", b: "two"},
	{path: "kafka.isolation", a: "read_uncommitted", b: "read_committed"},
	{path: "kafka.on_out_of_range", a: "latest", b: "earliest"},
	{path: "kafka.on_topic_recreated", a: "restart", b: "stop"},
	{path: "kafka.on_corrupt_batch", a: "skip", b: "stop"},
	{path: "kafka.rack", a: "eu-west-1a", b: "eu-west-1b"},
	{path: "kafka.group_id", a: "orders-spout", b: "spout"},
	{path: "kafka.metadata_interval", a: "60s", b: "2m", same: "1m"},
	{path: "kafka.fetch_max_bytes", a: "1MiB", b: "2MiB", same: "1024KiB"},
	{path: "kafka.max_batch_bytes", a: "1MiB", b: "2MiB", same: "1024KiB"},
	{path: "kafka.fetch_max_wait", a: "1s", b: "2s", same: "1000ms"},
	{path: "kafka.tls", a: object{}, b: object{"server_name": "kafka.example.com"}},
	{path: "kafka.tls.ca_certificate", a: testPEM, b: testPEM + testPEM},
	{path: "kafka.tls.client_certificate_secret", a: object{"name": "kafka-tls"}, b: object{"name": "kafka-tls", "certificate_key": "cert", "private_key_key": "key"}},
	{path: "kafka.sasl", a: object{"mechanism": "plain", "allow_cleartext_credentials": true, "credentials_secret": object{"name": "kafka-user"}},
		b: object{"mechanism": "scram-sha-512", "credentials_secret": object{"name": "kafka-user", "username_key": "user", "password_key": "pass"}}},
	{path: "kafka.sasl", a: object{"mechanism": "oauthbearer", "allow_cleartext_credentials": true, "token_url": "https://login.example.com/token", "credentials_secret": object{"name": "kafka-user"}},
		b: object{"mechanism": "oauthbearer", "allow_cleartext_credentials": true, "token_url": "http://keycloak:8080/token", "scope": "kafka orders", "extensions": []any{"logicalCluster=lkc-1", "identityPoolId=pool-1"}, "credentials_secret": object{"name": "kafka-user"}}},
	{path: "kafka.tls", a: object{"ca_file": "/etc/kafka/ca.crt"}, b: object{"certificate_file": "/etc/kafka/tls.crt", "private_key_file": "/etc/kafka/tls.key"}},
	{path: "nats.servers", required: true, a: []any{"127.0.0.1:4222"}, b: []any{"127.0.0.1:4222", "127.0.0.2:4222"}},
	{path: "nats.stream", required: true, a: "PAYMENTS", b: "EVENTS"},
	{path: "nats.subjects", a: []any{"orders.eu", "orders.us"}, b: []any{"orders.eu.>"}},
	{path: "nats.start", a: "latest", b: "2026-01-31T00:00:00Z"},
	{path: "nats.domain", a: "leaf", b: "hub"},
	{path: "nats.on_reset", a: "restart", b: "stop"},
	{path: "nats.on_gap", a: "skip", b: "stop"},
	{path: "nats.client_name", a: "one", b: "two"},
	{path: "nats.inbox_prefix", a: "_INBOX_one", b: "_INBOX_two"},
	{path: "nats.fetch_max_bytes", a: "1MiB", b: "2MiB", same: "1024KiB"},
	{path: "nats.allow_cleartext_credentials", a: true, b: false},
	{path: "nats.tls", a: object{}, b: object{"server_name": "nats.example.com"}},
	{path: "nats.tls", a: object{"ca_file": "/etc/nats/ca.crt"}, b: object{"certificate_file": "/etc/nats/tls.crt", "private_key_file": "/etc/nats/tls.key"}},
	{path: "nats.tls.ca_certificate", a: testPEM, b: testPEM + testPEM},
	{path: "nats.tls.client_certificate_secret", a: object{"name": "kafka-tls"}, b: object{"name": "kafka-tls", "certificate_key": "cert", "private_key_key": "key"}},
	{path: "nats", required: true,
		a: object{"servers": []any{"127.0.0.1:4222"}, "stream": "ORDERS", "retention": "workqueue", "consumer": "orders", "ack_wait": "60s", "max_ack_pending": 500.0},
		b: object{"servers": []any{"127.0.0.1:4222"}, "stream": "ORDERS", "retention": "interest", "consumer": "orders-2", "tls": object{}, "tls_handshake_first": true}},
	{path: "nats.credentials_secret", a: object{"name": "kafka-user"}, b: object{"name": "kafka-user", "username_key": "user", "password_key": "pass"}},
	{path: "nats.token_secret", a: object{"name": "kafka-user", "key": "password"}, b: object{"name": "kafka-user", "key": "pass"}},
	{path: "nats.nkey_secret", a: object{"name": "kafka-user", "key": "password"}, b: object{"name": "kafka-user", "key": "pass"}},
	{path: "nats.user_credentials_secret", a: object{"name": "kafka-user", "key": "password"}, b: object{"name": "kafka-user", "key": "pass"}},
	{path: "nats.user_credentials_file", a: "/etc/nats/one.creds", b: "/etc/nats/two.creds"},
	{path: "webhook.endpoints", required: true, a: object{"events": object{"auth": "none", "allow_unauthenticated": true, "tolerance": "60s"}},
		b: object{"other": object{"auth": "none", "allow_unauthenticated": true, "path": "/hooks/other", "id": "header:X-Id", "body": "ndjson", "headers": []any{"X-Topic", ":query"}, "max_rate": 10.0, "max_concurrency": 5.0, "ack": "received",
			"handshakes": []any{"cloudevents"}}}, same: object{"events": object{"auth": "none", "allow_unauthenticated": true, "tolerance": "1m"}}},
	{path: "webhook.endpoints", required: true,
		a: object{"hmac": object{"auth": "hmac", "secret_files": []any{"/secrets/a", "/secrets/b"}, "signature_header": "X-Signature", "signature_prefix": "sha512=", "signature_hash": "sha512", "signature_encoding": "base64",
			"signature_text": "{timestamp}.{body}", "timestamp_header": "X-Timestamp", "handshakes": []any{"challenge"}, "verify_token_files": []any{"/secrets/token"}}},
		b: object{"hmac": object{"auth": "hmac", "secret_files": []any{"/secrets/b"}, "signature_header": "X-Signature"}}},
	{path: "webhook", required: true,
		a: object{"endpoints": object{"hooks": object{"auth": "certificate", "client_names": []any{"a.example.com", "b.example.com"}}}, "client_ca_file": "/etc/ca", "tls_certificate_file": "/secrets/tls.crt", "tls_private_key_file": "/secrets/tls.key"},
		b: object{"endpoints": object{"hooks": object{"auth": "certificate"}}, "client_ca_certificate": testPEM, "tls_certificate_file": "/secrets/tls.crt", "tls_private_key_file": "/secrets/other.key"}},
	{path: "webhook.port", a: 8000.0, b: 8081.0},
	{path: "webhook.address", a: "127.0.0.1", b: "10.0.0.1"},
	{path: "webhook.ack_timeout", a: "20s", b: "1s", same: "20000ms"},
	{path: "webhook.max_body_bytes", a: "1MiB", b: "2MiB", same: "1024KiB"},
	{path: "webhook.body_timeout", a: "20s", b: "30s", same: "20000ms"},
	{path: "webhook.max_connections", a: 100.0, b: 200.0},
	{path: "webhook.max_ids", a: 100.0, b: 0.0},
	{path: "webhook.max_id_age", a: "24h", b: "1h", same: "1440m"},
	{path: "webhook.client_ca_certificate", a: testPEM, b: testPEM + testPEM},
	{path: "webhook.client_ca_file", a: "/etc/ca", b: "/etc/other"},
	{path: "webhook.allow_cleartext_credentials", a: true, b: false},
	{path: "webhook.tls_secret", a: object{"name": "kafka-tls"}, b: object{"name": "kafka-tls", "certificate_key": "cert", "private_key_key": "key"}},
	{path: "rabbitmq.addresses", required: true, a: []any{"127.0.0.1:5672"}, b: []any{"127.0.0.1:5672", "127.0.0.2:5672"}},
	{path: "rabbitmq.vhost", a: "shop", b: "orders"},
	{path: "rabbitmq.queues", required: true, a: []any{"orders", "payments"}, b: []any{"payments"}},
	{path: "rabbitmq.prefetch", a: 1000.0, b: 2000.0},
	{path: "rabbitmq.consumer_timeout", a: "1h", b: "2h", same: "60m"},
	{path: "rabbitmq.allow_cleartext_credentials", a: true, b: false},
	{path: "rabbitmq.tls", a: object{}, b: object{"server_name": "rabbitmq.example.com"}},
	{path: "rabbitmq.tls", a: object{"ca_file": "/etc/rabbitmq/ca.crt"}, b: object{"certificate_file": "/etc/rabbitmq/tls.crt", "private_key_file": "/etc/rabbitmq/tls.key"}},
	{path: "rabbitmq.tls.ca_certificate", a: testPEM, b: testPEM + testPEM},
	{path: "rabbitmq.credentials_secret", required: true, a: object{"name": "kafka-user"}, b: object{"name": "kafka-user", "username_key": "user", "password_key": "pass"}},
	{path: "rabbitmq", required: true,
		a: object{"addresses": []any{"127.0.0.1:5552"}, "streams": []any{"clicks"}, "super_streams": []any{"orders"}, "start": "2026-01-31T00:00:00Z", "on_reset": "restart", "on_gap": "skip",
			"credentials_secret": object{"name": "kafka-user"}},
		b: object{"addresses": []any{"rabbitmq:5551"}, "streams": []any{"clicks"}, "mechanism": "external",
			"tls": object{"client_certificate_secret": object{"name": "kafka-tls", "certificate_key": "cert", "private_key_key": "key"}}}},
	{path: "postgres.host", required: true, a: "localhost", b: "127.0.0.1"},
	{path: "postgres.port", a: 5433.0, b: 5434.0},
	{path: "postgres.database", required: true, a: "shop", b: "Kasse 2"},
	{path: "postgres.user", required: true, a: "reader", b: "replicator"},
	{path: "postgres", required: true, a: object{"host": "127.0.0.1", "database": "shop", "slot": "orders", "tables": []any{"orders"}, "credentials_secret": object{"name": "kafka-user"}},
		b: object{"host": "127.0.0.1", "database": "shop", "slot": "orders", "publication": "orders", "credentials_secret": object{"name": "kafka-user", "username_key": "user", "password_key": "pass"}}},
	{path: "postgres.tables", required: true, a: []any{"orders", "sales.lines"}, b: []any{"sales.lines"}},
	{path: "postgres.slot", required: true, a: "orders_1", b: "orders_2"},
	{path: "postgres.snapshot", a: "never", b: "initial"},
	{path: "postgres.on_reset", a: "restart", b: "stop"},
	{path: "postgres.shape", a: "debezium", b: nil},
	{path: "postgres.idle_interval", a: "60s", b: "2m", same: "1m"},
	{path: "postgres.allow_cleartext_credentials", a: true, b: false},
	{path: "postgres.tls", a: object{}, b: object{"server_name": "db.example.com"}},
	{path: "postgres.tls.ca_certificate", a: testPEM, b: testPEM + testPEM},
	{path: "postgres.tls.client_certificate_secret", a: object{"name": "kafka-tls"}, b: object{"name": "kafka-tls", "certificate_key": "cert", "private_key_key": "key"}},
	{path: "postgres.tls", a: object{"ca_file": "/etc/db/ca.crt"}, b: object{"certificate_file": "/etc/db/tls.crt", "private_key_file": "/etc/db/tls.key"}},
	{path: "batch.max_bytes", a: "32MiB", b: "16MiB", same: "32Mi"},
	{path: "batch.max_records", a: 1000.0, b: 2000.0},
	{path: "batch.max_age", a: "2s", b: "3s", same: "2000ms"},
	{path: "file.format", a: "jsonl", b: "lines"},
	{path: "file.compression", a: "zstd", b: "gzip"},
	{path: "file.recursion_depth", a: 3.0, b: 5.0},
	{path: "file.path", a: "{partition}/{first_offset}.{ext}", b: "x/{partition}/{first_offset}.{ext}"},
	{path: "file", a: object{"format": "parquet", "compression": "snappy"}, b: object{"format": "avro"}},
	{path: "file.path_time", a: "ingestion", b: "event"},
	{path: "batch.max_files", a: 100.0, b: 200.0},
	{path: "records.filter", a: `value:status == "paid" and key exists`, b: "header:env != test"},
	{path: "records.fields", a: []any{"id"}, b: []any{"id", "customer.name"}},
	{path: "records.mask", a: []any{"email=hash"}, b: []any{"email=redact", "card.number=redact"}},
	{path: "records.mask_key_secret", a: object{"name": "kafka-user", "key": "password"}, b: object{"name": "kafka-user", "key": "pass"}},
	{path: "records.max_bytes", a: "1MiB", b: "2MiB", same: "1024KiB"},
	{path: "records.on_null", a: "drop", b: "keep"},
	{path: "records.on_refused", a: "dead_letter", b: "stop"},
	{path: "records.dead_letter_folder", a: "rejects", b: "refused"},
	{path: "runner.memory_budget", a: "1GiB", b: "512MiB", same: "1024MiB"},
	{path: "runner.http_port", a: 0.0, b: 8080.0},
	{path: "runner.http_address", a: "10.1.2.3", b: "127.0.0.1"},
	{path: "runner.http_hosts", a: []any{"orders.pachyderm.svc"}, b: []any{"orders.pachyderm.svc", "*.example.com"}},
	{path: "runner.http_token_secret", a: object{"name": "kafka-user", "key": "password"}, b: object{"name": "kafka-user", "key": "pass"}},
	{path: "runner.http_tls_secret", a: object{"name": "kafka-tls"}, b: object{"name": "kafka-tls", "certificate_key": "cert", "private_key_key": "key"}},
	{path: "runner.log_level", a: "debug", b: "warn"},
	{path: "runner.prometheus_scrape", a: false, b: true},
	{path: "runner.image_pull_secrets", a: []any{"mirror"}, b: []any{"mirror", "other"}},
	{path: "transform.image", required: true, transform: true, a: "x:1", b: "x:2"},
	{path: "transform.cmd", required: true, transform: true, a: []any{"/a"}, b: []any{"/a", "b"}},
	{path: "transform.stdin", transform: true, a: []any{"line"}, b: []any{"line", "and another"}},
	{path: "transform.working_dir", transform: true, a: "/work", b: "/data"},
	{path: "transform.user", transform: true, a: "1000", b: "nobody"},
	{path: "transform.image_pull_secrets", transform: true, a: []any{"mirror"}, b: []any{"other"}},
	{path: "transform.accept_return_code", transform: true, a: []any{3.0}, b: []any{3.0, 4.0}},
	{path: "env", a: object{"A": "1"}, b: object{"A": "2", "B": ""}},
	{path: "secret_env", a: object{"A": object{"secret": "kafka-user", "key": "username"}}, b: object{"B": object{"secret": "kafka-user", "key": "password"}}},
	{path: "secret_mounts", a: object{"/etc/tls": "kafka-tls"}, b: object{"/etc/other": "kafka-tls"}},
	{path: "output_branch", a: "staging", b: "live"},
	{path: "service", a: object{"internal_port": 8000.0, "external_port": 30080.0}, b: object{"internal_port": 8000.0, "external_port": 80.0, "type": "ClusterIP"}},
	{path: "resource_requests.cpu", a: "0.1", b: "123m", same: "100m"},
	{path: "resource_requests.memory", a: "1Gi", b: "2Gi", same: "1024Mi"},
	{path: "resource_requests.disk", a: "10G", b: "11G", same: "10000M"},
	{path: "resource_requests.gpu", a: object{"type": "nvidia.com/gpu", "number": 1.0}, b: object{"type": "nvidia.com/gpu", "number": 2.0}},
	{path: "resource_limits.memory", a: "2Gi", b: "4Gi", same: "2147483648"},
	{path: "resource_limits", a: object{"cpu": "2"}, b: object{"cpu": "1.5", "disk": "2G", "gpu": object{"type": "nvidia.com/gpu", "number": 1.0}}},
	{path: "sidecar_resource_requests", a: object{"cpu": "0.1"}, b: object{"cpu": "0.2", "disk": "2G"}},
	{path: "sidecar_resource_limits", a: object{"memory": "1Gi"}, b: object{"memory": "2Gi", "disk": "2G"}},
	{path: "timeouts", local: true, a: object{"create": "1m", "update": "1m", "delete": "1m"}, b: object{"create": "2m"}},
	{path: "sidecar_resource_requests.memory", a: "512Mi", b: "1Gi", same: "0.5Gi"},
	{path: "sidecar_resource_limits.cpu", a: "2", b: "1.5", same: "2000m"},
	{path: "scheduling.node_selector", a: object{"pool": "a"}, b: object{"pool": "b"}},
	{path: "scheduling.priority_class_name", a: "high", b: "low"},
	{path: "tolerations", a: []any{object{"operator": "Exists"}},
		b: []any{object{"key": "pool", "operator": "Equal", "value": "spouts", "effect": "NoExecute", "toleration_seconds": 60.0}}},
	{path: "pod_spec", a: `{"hostNetwork":true}`, b: `{"hostNetwork":false}`, same: `{ "hostNetwork" : true }`},
	{path: "pod_patch", a: `[{"op":"add","path":"/hostname","value":1}]`, b: `[{"op":"remove","path":"/hostname"}]`, same: `[ {"path": "/hostname", "op": "add", "value": 1} ]`},
	{path: "metadata.labels", a: object{"team": "a"}, b: object{"team": "b"}},
	{path: "metadata.annotations", a: object{"note": "a"}, b: object{"note": "b", "more": "c"}},
	{path: "metadata.annotations", a: object{"prometheus.io/scrape": "false"}, b: object{"prometheus.io/path": "/federate", "more": "c"}},
}

// versionsDiffer are attributes that newer servers fill in, and a few others.
var versionsDiffer = regexp.MustCompile(`^(description|kafka.sasl|env|output_branch|service|.*resource.*)`)

const testPEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

// Each attribute can be set, changed in place, said in other words, left out
// and imported, and after none of it is there anything left to plan.
func TestEachAttribute(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		s.AddKubernetesSecret("kafka-user", map[string]string{"username": "u", "password": "p", "user": "u", "pass": "p"})
		s.AddKubernetesSecret("kafka-tls", map[string]string{"tls.crt": "c", "tls.key": "k", "cert": "c", "key": "k"})
		for n, l := range leafCases {
			if s.Version() != pachtest.Version26 && !versionsDiffer.MatchString(l.path) {
				continue
			}
			base := l.base()
			name := fmt.Sprintf("leaf-%d", n)
			with := func(v any) object { return base(object{"name": name, l.path: v}) }
			t.Run(l.path, func(t *testing.T) {
				i := newInstance(t, s)
				settled := func(what string, config object) {
					t.Helper()
					if i.changes(config) {
						t.Errorf("%s: a second plan changes something", what)
					}
					i.must(i.refresh())
					if i.changes(config) {
						t.Errorf("%s: a plan after refresh changes something: %v", what, plain(t, i.state))
					}
				}
				i.must(i.apply(with(l.a)))
				if i.get(l.path) == nil {
					t.Errorf("create: %s is null", l.path)
				}
				settled("create", with(l.a))
				imported := newInstance(t, s)
				imported.must(imported.importID("default/"+name, nil))
				for source := range base(nil) {
					if _, is := sourceSpouts[source]; is && imported.get(source) == nil {
						t.Errorf("the import is no spout of %s", source)
					}
				}
				if l.same == nil && !l.local && imported.changes(with(l.a)) {
					t.Errorf("a plan after import changes something:\n%v\n%v", plain(t, i.state), plain(t, imported.state))
				}
				if l.same != nil && i.changes(with(l.same)) {
					t.Errorf("%v is not the same as %v", l.same, l.a)
				}
				i.must(i.apply(with(l.b)))
				if v := i.get("version"); l.local != (v == 1.0) || !l.local && v != 2.0 {
					t.Errorf("update: version is %v", v)
				}
				if got := i.get(l.path); l.path != "service" && !reflect.DeepEqual(got, l.b) {
					t.Errorf("update: %s is %v, not %v", l.path, got, l.b)
				}
				settled("update", with(l.b))
				if l.required {
					i.must(i.destroy())
					return
				}
				i.must(i.apply(with(nil)))
				settled("null", with(nil))
				i.must(i.destroy())
			})
		}
	})
}

// A pattern takes the place of topics, and comes back from the server.
func TestTopicsPattern(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	i := newInstance(t, s)
	config := kafkaSpout(object{"kafka.topics": nil, "kafka.topics_pattern": "orders-(eu|us)"})
	i.must(i.apply(config))
	i.must(i.refresh())
	if i.changes(config) {
		t.Errorf("a plan after refresh changes something: %v", plain(t, i.state))
	}
	imported := newInstance(t, s)
	imported.must(imported.importID("default/orders", nil))
	if got := imported.get("kafka.topics_pattern"); got != "orders-(eu|us)" || imported.changes(config) {
		t.Errorf("imported %v", plain(t, imported.state))
	}
	i.must(i.apply(kafkaSpout(nil)))
	if i.changes(kafkaSpout(nil)) || i.get("kafka.topics_pattern") != nil {
		t.Errorf("topics do not take the place of the pattern: %v", plain(t, i.state))
	}
}

// A setting that is written out with its default is as good as left out, also
// of a spout that was imported: at most the state changes, and the pod runs on.
func TestDefaultsWrittenOut(t *testing.T) {
	t.Parallel()
	for _, source := range spoutSourceList {
		t.Run(source.name, func(t *testing.T) {
			t.Parallel()
			base := sourceSpouts[source.name]
			s := pachtest.New(t)
			s.AddKubernetesSecret("kafka-tls", map[string]string{"tls.crt": "c", "tls.key": "k"})
			s.AddKubernetesSecret("kafka-user", map[string]string{"username": "u", "password": "p"})
			spout := newInstance(t, s)
			spout.must(spout.apply(base(nil)))
			writes := s.Writes()
			written := withDefaults(t, source.name, base(object{"output_branch": "master", "paused": false, "force_destroy": false, "keep_output_repo": false, "wait_for": "ingesting"}))
			imported := newInstance(t, s)
			imported.must(imported.importID("default/orders", nil))
			for _, i := range []*instance{spout, imported} {
				for _, config := range []object{base(nil), written, base(nil)} {
					i.must(i.apply(config))
					settles(t, s, i, config)
				}
			}
			if s.Writes() != writes {
				t.Error("defaults that are written out were sent to Pachyderm")
			}
		})
	}
}

// withDefaults writes out the defaults of what every spout has, and of the
// attributes of a source.
func withDefaults(t *testing.T, source string, config object) object {
	tried := 0
	for _, v := range contract {
		block, attribute, nested := strings.Cut(v.Attribute, ".")
		_, ofSource := sourceSpouts[block]
		if v.Default == "" || v.Kind == settings.Presence || !nested || block == "schema_registry" || ofSource && (block != source || strings.Contains(attribute, ".")) {
			continue
		}
		tried++
		var value any = v.Default
		switch v.Kind {
		case settings.Int:
			n, err := strconv.ParseFloat(v.Default, 64)
			if err != nil {
				t.Fatal(err)
			}
			value = n
		case settings.Bool:
			value = v.Default == "true"
		}
		config = merged(config, object{v.Attribute: value})
	}
	if tried < 10 {
		t.Errorf("only %d defaults were tried", tried)
	}
	return config
}
