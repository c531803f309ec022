// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
)

const downstream = "lines"

// downstreamConfig is a pipeline that counts the lines of all records that
// the spout has written, by the real worker and the machine's own shell.
func (s *spout) downstreamConfig(file, more string) string {
	return s.config("") + fmt.Sprintf(`
resource "pachyderm_pipeline" "lines" {
  project       = pachyderm_spout.this.project
  name          = %q
  force_destroy = true
  # Pachyderm skips what an older version has processed, even by other code.
  reprocess_on_update = true
  spec = jsonencode({
    description = "Lines of all records"
    transform = {
      image = "debian:12"
      cmd   = ["/bin/sh"]
      stdin = ["echo counting for %s", "find -L /pfs/records -type f -exec cat {} + | wc -l > /pfs/out/%s"]
    }
    input             = { pfs = { name = "records", repo = pachyderm_spout.this.output_repo, glob = "/" } }
    resource_requests = { cpu = 0.1, memory = "64M" }
    datum_tries       = 2
  })
  %s
}
`, downstream, file, file, more)
}

// awaitCount waits until the downstream pipeline has counted all that was produced.
func (s *spout) awaitCount(file string) {
	s.t.Helper()
	want := fmt.Sprint(s.produced.Count())
	await(s.t, "the downstream pipeline has counted "+want, func() (bool, error) {
		text, err := s.cluster.Pachctl(s.t.Context(), "get", "file", downstream+"@master:/"+file, "--project", s.project)
		if err == nil && strings.TrimSpace(text) != want {
			err = fmt.Errorf("it has counted %s", strings.TrimSpace(text))
		}
		return err == nil, err
	})
}

// pipelineAttributes are those of the downstream pipeline in the state.
func (s *spout) pipelineAttributes() map[string]any {
	s.t.Helper()
	state, err := s.workspace.Show(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range state.Values.RootModule.Resources {
		if r.Address == "pachyderm_pipeline.lines" {
			return r.AttributeValues
		}
	}
	s.t.Fatal("the pipeline is not in the state")
	return nil
}

// checkHealth reads the data sources of both pipelines.
func (s *spout) checkHealth() {
	s.t.Helper()
	s.apply(s.downstreamConfig("total", "") + `
data "pachyderm_spout" "this" {
  project = pachyderm_spout.this.project
  name    = pachyderm_spout.this.name
}
data "pachyderm_pipeline" "lines" {
  project = pachyderm_pipeline.lines.project
  name    = pachyderm_pipeline.lines.name
}
data "pachyderm_spouts" "all" {
  project = pachyderm_spout.this.project
}
data "pachyderm_logs" "each" {
  for_each     = toset([pachyderm_spout.this.name, pachyderm_pipeline.lines.name])
  project      = pachyderm_spout.this.project
  pipeline     = each.key
  lines        = 50
  since        = "10m"
}
output "healthy" { value = [data.pachyderm_spout.this.healthy, data.pachyderm_pipeline.lines.healthy, data.pachyderm_pipeline.lines.last_job_state, data.pachyderm_spouts.all.ids] }
output "read" { value = sum(flatten([for topic, offsets in data.pachyderm_spout.this.offsets : values(offsets)])) }
output "size" { value = data.pachyderm_pipeline.lines.last_commit.size_bytes }
output "spout_said" { value = join("\n", data.pachyderm_logs.each["spout"].messages) }
output "pipeline_said" { value = join("\n", data.pachyderm_logs.each["lines"].messages) }
`)
	outputs, err := s.workspace.Output(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for name, want := range map[string]string{
		"healthy": fmt.Sprintf(`[true,true,"success",["%s/spout"]]`, s.project), "read": fmt.Sprint(s.produced.Count()), "size": "5",
	} {
		var compact bytes.Buffer
		if err := json.Compact(&compact, outputs[name].Value); err != nil || compact.String() != want {
			s.t.Errorf("%s is %s, not %s: %v", name, compact.String(), want, err)
		}
	}
	for name, want := range map[string]string{"spout_said": "committed", "pipeline_said": "counting for total"} {
		if got := string(outputs[name].Value); !strings.Contains(got, want) {
			s.t.Errorf("%s lacks %q: %s", name, want, got)
		}
	}
}

// TestDownstream has a pipeline read what a spout ingests: what its jobs write
// are the records that were produced.
func TestDownstream(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 2)
	s.produce(700)
	s.apply(s.downstreamConfig("count", ""))
	planIsEmpty(t, s.workspace)
	if got := s.pipelineAttributes(); got["state"] != "running" || got["type"] != "transform" || number(t, got["version"]) != 1 || got["output_repo"] != downstream {
		t.Error(got)
	}
	s.awaitAll()
	s.awaitCount("count")
	s.produce(500)
	s.awaitAll()
	s.awaitCount("count")

	// In place: the old file goes with the old code.
	s.apply(s.downstreamConfig("total", ""))
	planIsEmpty(t, s.workspace)
	if got := s.pipelineAttributes(); number(t, got["version"]) != 2 {
		t.Error(got)
	}
	s.awaitCount("total")
	if text, err := s.cluster.Pachctl(t.Context(), "get", "file", downstream+"@master:/count", "--project", s.project); err == nil {
		t.Errorf("the old version's file is still there: %s", text)
	}

	// Paused, it counts nothing; once it goes on, it catches up.
	counted := s.produced.Count()
	s.apply(s.downstreamConfig("total", "paused = true"))
	planIsEmpty(t, s.workspace)
	if got := s.pipelineAttributes(); got["state"] != "paused" || number(t, got["version"]) != 2 {
		t.Error(got)
	}
	s.produce(300)
	s.awaitAll()
	if text, err := s.cluster.Pachctl(t.Context(), "get", "file", downstream+"@master:/total", "--project", s.project); err != nil || strings.TrimSpace(text) != fmt.Sprint(counted) {
		t.Errorf("a paused pipeline has counted %s, %v", text, err)
	}
	s.apply(s.downstreamConfig("total", ""))
	planIsEmpty(t, s.workspace)
	s.awaitCount("total")

	// Taken over by another state, there is nothing to change.
	other := newWorkspace(t, s.cluster)
	if err := other.Write("main.tf", s.downstreamConfig("total", "")); err != nil {
		t.Fatal(err)
	}
	if err := other.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	for address, name := range map[string]string{address: s.name, "pachyderm_pipeline.lines": downstream} {
		if err := other.Import(t.Context(), address, s.project+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Apply(t.Context()); err != nil { // only Terraform's own settings
		t.Fatal(err)
	}
	planIsEmpty(t, other)
	s.audit()
	s.checkHealth()

	// The references say that the pipeline goes first: the spout could not.
	if err := s.workspace.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := s.cluster.Pachctl(context.Background(), "list", "pipeline", "--project", s.project, "--raw", "-o", "json")
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("after destroy there are %s, %v", out, err)
	}
}

// TestPipelineGeneratedConfig writes the configuration of a pipeline that pachctl made.
func TestPipelineGeneratedConfig(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 1)
	spec, err := json.Marshal(map[string]any{
		"pipeline":  map[string]any{"name": downstream, "project": map[string]any{"name": s.project}},
		"transform": map[string]any{"image": "debian:12", "cmd": []string{"/bin/sh"}, "stdin": []string{"date > /pfs/out/date"}, "env": map[string]string{"A": ""}},
		"input": map[string]any{"cross": []any{
			map[string]any{"pfs": map[string]any{"repo": s.name, "glob": "*"}},
			map[string]any{"cron": map[string]any{"name": "tick", "spec": "@yearly"}}}},
		"parallelism_spec": map[string]any{"constant": 1}, "datumTimeout": "3600s",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.cluster.PachctlInput(t.Context(), string(spec), "create", "pipeline", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := s.cluster.Pachctl(context.Background(), "delete", "pipeline", downstream, "--project", s.project, "--force"); err != nil {
			t.Error(err)
		}
	}()
	s.testGeneratedConfig("pachyderm_pipeline.lines", downstream)
}

// TestCompact applies the pipeline of the guide that joins small files, beside a
// spout of the name that it has there.
func TestCompact(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 3)
	for range 4 { // four commits with a file of each partition
		s.produce(300)
		s.awaitAll()
	}
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile(filepath.Join(root, "templates", "guides", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```terraform\n")
	block, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("the guide has no configuration")
	}
	block = strings.NewReplacer(`name = "orders-compact"`, fmt.Sprintf("name = \"compact\"\nproject = %q\nforce_destroy = true", s.project),
		`repo = "orders"`, fmt.Sprintf("name = \"orders\", repo = pachyderm_spout.this.output_repo, project = %q", s.project)).Replace(block)
	s.apply(s.config("") + block)
	head, err := s.branch.NewestReadable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	small, err := s.branch.Files(t.Context(), head.ID)
	if err != nil {
		t.Fatal(err)
	}
	joined := map[string][]byte{} // by folder
	for _, file := range small {
		content, err := s.branch.ReadFile(t.Context(), head.ID, file.Path)
		if err != nil {
			t.Fatal(err)
		}
		folder := path.Dir(file.Path)
		joined[folder] = append(joined[folder], content...)
	}
	if len(joined) != 3 || len(small) < 12 {
		t.Fatalf("%d files in %d folders", len(small), len(joined))
	}
	for folder, want := range joined {
		await(t, folder+" is in one file", func() (bool, error) {
			text, err := s.cluster.Pachctl(t.Context(), "get", "file", "compact@master:"+folder+".jsonl", "--project", s.project)
			return err == nil && text == string(want), err
		})
	}
}
