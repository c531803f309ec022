// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

func specs() map[string]pachyderm.Spec {
	seconds := int64(60)
	return map[string]pachyderm.Spec{
		"kafka": {Image: "runner:1", Cmd: []string{"/spout-runner"}, OutputBranch: "master",
			Env: map[string]string{"SPOUT_KAFKA_BROKERS": "a:1,b:2", "SPOUT_KAFKA_TOPICS": "t"}},
		"kafka, scraped": {Image: "runner:1", Cmd: []string{"/spout-runner"}, OutputBranch: "master",
			Env:         map[string]string{"SPOUT_KAFKA_BROKERS": "a:1,b:2", "SPOUT_KAFKA_TOPICS": "t", "SPOUT_HTTP_PORT": "8000"},
			Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "8000", "prometheus.io/path": "/metrics", "note": "x"}},
		"kafka, scraped by half": {Image: "runner:1", Cmd: []string{"/spout-runner"}, OutputBranch: "master",
			Env:         map[string]string{"SPOUT_KAFKA_BROKERS": "a:1,b:2", "SPOUT_KAFKA_TOPICS": "t"},
			Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9464"}},
		"kafka, scraped at another path": {Image: "runner:1", Cmd: []string{"/spout-runner"}, OutputBranch: "master",
			Env:         map[string]string{"SPOUT_KAFKA_BROKERS": "a:1,b:2", "SPOUT_KAFKA_TOPICS": "t"},
			Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "1", "prometheus.io/path": "/federate"}},
		"kafka in full": {Image: "runner:1", Cmd: []string{"/spout-runner"}, OutputBranch: "live", Description: "all", ImagePullSecrets: []string{"pull"},
			Env: map[string]string{"SPOUT_KAFKA_BROKERS": "a:1", "SPOUT_KAFKA_TOPICS": "t", "SPOUT_OUTPUT_BRANCH": "live", "SPOUT_KAFKA_TLS": "true",
				"SPOUT_KAFKA_SASL_MECHANISM": "plain", "SPOUT_BATCH_MAX_RECORDS": "5", "SPOUT_BATCH_MAX_AGE": "1m", "SPOUT_HTTP_PORT": "0", "OWN": "x"},
			Secrets: []pachyderm.Secret{{Name: "u", Key: "username", EnvVar: "SPOUT_KAFKA_SASL_USERNAME"}, {Name: "u", Key: "pass", EnvVar: "SPOUT_KAFKA_SASL_PASSWORD"},
				{Name: "c", Key: "tls.crt", EnvVar: "SPOUT_KAFKA_TLS_CERT"}, {Name: "c", Key: "tls.key", EnvVar: "SPOUT_KAFKA_TLS_KEY"},
				{Name: "o", Key: "k", EnvVar: "OTHER"}, {Name: "m", MountPath: "/m"}}},
		"transform": {Image: "x:1", Cmd: []string{"a", "b"}, OutputBranch: "master"},
		"transform in full": {Image: "x:1", Cmd: []string{"a"}, Stdin: []string{"l"}, WorkingDir: "/w", User: "1000", ImagePullSecrets: []string{"p"}, AcceptReturnCode: []int64{3},
			Env: map[string]string{"SPOUT_KAFKA_BROKERS": "a:1"}, OutputBranch: "b", PodPatch: "[]",
			Service:          &pachyderm.Service{InternalPort: 80, ExternalPort: 8080, Type: "ClusterIP"},
			ResourceRequests: &pachyderm.Resources{CPU: 0.1, Memory: "1Gi", Disk: "1G", GPU: &pachyderm.GPU{Type: "nvidia.com/gpu", Number: 2}}, ResourceLimits: &pachyderm.Resources{CPU: 1.5},
			SidecarResourceRequests: &pachyderm.Resources{}, SidecarResourceLimits: &pachyderm.Resources{Memory: "1Gi"},
			NodeSelector: map[string]string{"a": "b"}, PriorityClassName: "high", Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "1"},
			Tolerations: []pachyderm.Toleration{{Key: "k", Operator: "Equal", Value: "v", Effect: "NoExecute", Seconds: &seconds}, {Operator: "Exists"}}},
	}
}

// What is read from the server and sent again is what was read.
func TestFlattenThenExpand(t *testing.T) {
	t.Parallel()
	for name, spec := range specs() {
		var m spoutModel
		if d := m.flatten(context.Background(), spec, false); d.HasError() {
			t.Fatalf("%s: %v", name, d)
		}
		got, d := m.expand(context.Background())
		if d.HasError() || !got.Equal(spec) {
			t.Errorf("%s: %v\n%+v became\n%+v", name, d, spec, got)
		}
	}
}

// An attribute that means what the server has stays as it was written, while
// another one drifts.
func TestRefreshKeepsWhatIsMeant(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	spec := specs()["kafka"]
	var m spoutModel
	if d := m.flatten(ctx, spec, false); d.HasError() {
		t.Fatal(d)
	}
	m.Env = types.MapValueMust(types.StringType, nil) // as a configuration may say
	m.Description = types.StringValue("")
	drifted := spec
	drifted.Env = maps.Clone(spec.Env)
	drifted.Env["SPOUT_BATCH_MAX_AGE"] = "1m"
	if d := m.refresh(ctx, &pachyderm.Pipeline{ID: orders, Version: 2, Spec: drifted}); d.HasError() {
		t.Fatal(d)
	}
	if m.Env.IsNull() || m.Description.IsNull() {
		t.Error("an empty value became null")
	}
	if l := m.leaves(); !l.has("batch.max_age") {
		t.Error("the drift was not seen")
	}
}

// Each variable of the contract is set by some attribute, and each object of
// attributes has its place in the model.
func TestEachVariableHasAnAttribute(t *testing.T) {
	t.Parallel()
	for _, v := range contract {
		if v.Name == "SPOUT_SOURCE" {
			continue // the attribute that is set says it
		}
		if _, d := spoutSchema(context.Background()).AttributeAtPath(context.Background(), attributePath(v.Attribute)); d.HasError() {
			t.Errorf("%s: %v", v.Name, d)
		}
	}
	var m spoutModel
	for _, g := range objects {
		if g.Root && m.bundled()[g.Attribute] == nil {
			t.Errorf("the model has no %s", g.Attribute)
		}
	}
	if len(specParts) < 20 {
		t.Errorf("only %d parts of a specification", len(specParts))
	}
}

// The provider knows the sources that the contract knows, and names them in the
// list and in files of their own only.
func TestOnlyTheListNamesSources(t *testing.T) {
	t.Parallel()
	var names []string
	for _, source := range spoutSourceList {
		names = append(names, source.name)
	}
	if want := settings.SourceNames(); !slices.Equal(names, want) {
		t.Errorf("the provider's list has %v, the contract's %v", names, want)
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 50 {
		t.Fatal(files, err)
	}
	for _, name := range names {
		for _, file := range files {
			if file == "spout_sources.go" || strings.HasPrefix(file, "spout_"+name) || strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(text), "\n") {
				if strings.Contains(strings.ToLower(line), name) && !strings.Contains(line, "ownPrefixes") { // of Pachyderm's variables
					t.Errorf("%s:%d names the source %s: %s", file, n+1, name, strings.TrimSpace(line))
				}
			}
		}
	}
}
