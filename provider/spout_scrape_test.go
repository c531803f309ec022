// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"maps"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// Prometheus finds a spout of Kafka without a word in the configuration; what
// the configuration says goes before.
func TestScrapeAnnotations(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	s.AddKubernetesSecret("kafka-tls", map[string]string{"tls.crt": "c", "tls.key": "k"})
	own := map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9464", "prometheus.io/path": "/metrics"}
	for name, c := range map[string]struct {
		config object
		want   map[string]string
	}{
		"default":  {kafkaSpout(object{"name": "default"}), own},
		"off":      {kafkaSpout(object{"name": "off", "runner.prometheus_scrape": false}), nil},
		"no-port":  {kafkaSpout(object{"name": "no-port", "runner.http_port": 0.0}), nil},
		"loopback": {kafkaSpout(object{"name": "loopback", "runner.http_address": "127.0.0.1"}), nil},
		"tls": {kafkaSpout(object{"name": "tls", "runner.http_tls_secret": object{"name": "kafka-tls"}}),
			map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9464", "prometheus.io/path": "/metrics", "prometheus.io/scheme": "https"}},
		"own-code": {transformSpout(object{"name": "own-code"}), nil},
		"port": {kafkaSpout(object{"name": "port", "runner.http_port": 8000.0}),
			map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "8000", "prometheus.io/path": "/metrics"}},
		"overruled": {kafkaSpout(object{"name": "overruled", "metadata": object{"annotations": object{"prometheus.io/scrape": "false", "team": "a"}}}),
			map[string]string{"prometheus.io/scrape": "false", "prometheus.io/port": "9464", "prometheus.io/path": "/metrics", "team": "a"}},
	} {
		i := newInstance(t, s)
		i.must(i.apply(c.config))
		created, err := client(t, s).InspectPipeline(t.Context(), pachyderm.PipelineID{Project: "default", Name: name})
		if err != nil || !maps.Equal(created.Spec.Annotations, c.want) {
			t.Errorf("%s: %v, %v", name, created, err)
		}
		if i.changes(c.config) {
			t.Errorf("%s: a second plan changes something", name)
		}
		imported := newInstance(t, s)
		imported.must(imported.importID("default/"+name, nil))
		if imported.changes(c.config) {
			t.Errorf("%s: a plan after import changes something: %v", name, plain(t, imported.state))
		}
	}
}

// A spout that was made without the annotations is imported as one that does
// not want them, and one whose annotations somebody has taken away drifts.
func TestScrapeAnnotationsOfOthers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	spec := specs()["kafka"]
	var m spoutModel
	if d := m.flatten(ctx, spec, false); d.HasError() {
		t.Fatal(d)
	}
	l := leavesOf(map[string]types.Object{"runner": m.Runner})
	if scrape, ok := l["runner.prometheus_scrape"].(types.Bool); !ok || scrape.IsNull() || scrape.ValueBool() || !m.Metadata.IsNull() {
		t.Errorf("runner %v, metadata %v", m.Runner, m.Metadata)
	}
	if d := m.flatten(ctx, specs()["kafka, scraped"], false); d.HasError() {
		t.Fatal(d)
	}
	var metadata metadataModel
	e := expander{ctx: ctx}
	e.object(m.Metadata, &metadata)
	if got := e.texts(metadata.Annotations); len(got) != 1 || got["note"] != "x" {
		t.Error("annotations", got)
	}
}
