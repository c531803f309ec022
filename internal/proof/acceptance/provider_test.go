// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
)

const address = "pachyderm_spout.this"

// attributes returns the spout's attributes in Terraform's state, nil if it is not there.
func attributes(t *testing.T, w *terraformcli.Workspace) map[string]any {
	t.Helper()
	state, err := w.Show(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.Values == nil {
		return nil
	}
	for _, r := range state.Values.RootModule.Resources {
		if r.Address == address {
			if r.Tainted {
				t.Error("the spout is tainted")
			}
			return r.AttributeValues
		}
	}
	return nil
}

func number(t *testing.T, value any) int64 {
	t.Helper()
	n, ok := value.(json.Number)
	if !ok {
		t.Fatalf("%v (%T) is no number", value, value)
	}
	i, err := n.Int64()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// planIsEmpty fails the test if there is anything to change.
func planIsEmpty(t *testing.T, w *terraformcli.Workspace) {
	t.Helper()
	changes, err := w.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if changes {
		text, err := w.Command(t.Context(), "plan", "-no-color").CombinedOutput()
		t.Errorf("the plan is not empty: %s, %v", text, err)
	}
}

// refuses applies a configuration that must be refused, with a message.
func refuses(t *testing.T, w *terraformcli.Workspace, config string, messages ...string) {
	t.Helper()
	err := applyConfig(t.Context(), w, config)
	expectMessage(t, err, messages...)
}

func expectMessage(t *testing.T, err error, messages ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; expected %q", messages)
		return
	}
	text := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "│", " ")), " ")
	for _, message := range messages {
		if !strings.Contains(text, message) {
			t.Errorf("the error lacks %q:\n%s", message, err)
		}
	}
}

// TestUpdates changes each kind of attribute in place while records keep
// coming, and audits the branch at the end.
func TestUpdates(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 2)
	s.produce(500)
	s.awaitAll()
	planIsEmpty(t, s.workspace)
	before := attributes(t, s.workspace)
	if before["state"] != "running" || number(t, before["workers_available"]) != 1 || before["output_repo"] != s.name {
		t.Error(before)
	}
	version := number(t, before["version"])
	for _, more := range []string{
		`description = "all records"`,
		`env = { GREETING = "hello" }`,
		`resource_requests = { cpu = 0.1, memory = "64Mi" }`,
		`resource_limits = { memory = "1Gi" }`,
		`sidecar_resource_requests = { memory = "128Mi" }`,
		`sidecar_resource_limits = { memory = "2Gi" }`,
		`metadata = { labels = { team = "data" }, annotations = { note = "x" } }`,
		`tolerations = [{ key = "gpu", operator = "Exists", effect = "NoSchedule" }]`,
		`scheduling = { node_selector = { "kubernetes.io/os" = "linux" } }`,
		`pod_patch = jsonencode([{ op = "add", path = "/hostNetwork", value = true }])`,
		`service = { internal_port = 8080, external_port = 30080 }`,
		``,
	} {
		s.produce(200)
		s.apply(s.config(more))
		planIsEmpty(t, s.workspace)
		version++
		if after := attributes(t, s.workspace); number(t, after["version"]) != version || after["state"] != "running" {
			t.Errorf("%s: version %v, state %v", more, after["version"], after["state"])
		}
	}
	// What Terraform alone looks at is no reason to restart a pod.
	s.apply(strings.Replace(s.config(`wait_for = "created"`), "force_destroy = true", "force_destroy = false", 1))
	s.apply(s.config(""))
	if after := attributes(t, s.workspace); number(t, after["version"]) != version {
		t.Errorf("version %v, want %d", after["version"], version)
	}
	s.awaitAll()
	s.audit()
}

// TestPaused: up to 2.7 the head is emptied when a stopped spout is started, and
// the runner brings the files back. From 2.8 on it is left open, with the files.
func TestPaused(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 2)
	for range 2 {
		s.produce(500)
		s.awaitAll()
		s.apply(s.config(`paused = true`))
		planIsEmpty(t, s.workspace)
		if state := attributes(t, s.workspace)["state"]; state != "paused" {
			t.Error("state", state)
		}
		s.produce(500) // while nobody reads
		s.apply(s.config(``))
		planIsEmpty(t, s.workspace)
		s.awaitAll()
	}
	want := 0
	if before(t, s.cluster, 2, 8) {
		want = 2
	}
	if report := s.audit(); report.Repairs != want {
		t.Errorf("%d repairs, want %d", report.Repairs, want)
	}
	head, err := s.branch.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.branch.Files(t.Context(), head.ID)
	if err != nil || len(files) < 4 {
		t.Errorf("%d files at the head: %v", len(files), err)
	}
}

// TestDrift changes and deletes the pipeline behind Terraform's back.
func TestDrift(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 1)
	raw, err := s.cluster.Pachctl(t.Context(), "inspect", "pipeline", s.name, "--project", s.project, "--raw", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Details struct {
			Transform map[string]any `json:"transform"`
		} `json:"details"`
	}
	if err := json.Unmarshal([]byte(raw), &info); err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(map[string]any{
		"pipeline": map[string]any{"name": s.name, "project": map[string]any{"name": s.project}}, "spout": map[string]any{},
		"description": "changed by hand", "transform": info.Details.Transform})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.cluster.PachctlInput(t.Context(), string(spec), "update", "pipeline", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(t.TempDir(), "plan")
	changes, err := s.workspace.Plan(t.Context(), tfexec.Out(plan))
	if err != nil || !changes {
		t.Fatal("the plan does not see what pachctl has changed", err)
	}
	shown, err := s.workspace.ShowPlanFile(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if actions := shown.ResourceChanges[0].Change.Actions; !actions.Update() {
		t.Errorf("the plan is to %v", actions)
	}
	s.apply(s.config(""))
	planIsEmpty(t, s.workspace)

	if _, err := s.cluster.Pachctl(t.Context(), "delete", "pipeline", s.name, "--project", s.project); err != nil {
		t.Fatal(err)
	}
	if changes, err := s.workspace.Plan(t.Context()); err != nil || !changes {
		t.Fatal("the plan does not see that the spout is gone", err)
	}
	s.apply(s.config(""))
	planIsEmpty(t, s.workspace)
	s.produce(300)
	s.awaitAll()
	s.audit()
}

// TestImport takes a running spout over from another state.
func TestImport(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 1)
	s.produce(100)
	s.awaitAll()
	version := number(t, attributes(t, s.workspace)["version"])
	other := newWorkspace(t, s.cluster)
	if err := other.Write("main.tf", s.config("")); err != nil {
		t.Fatal(err)
	}
	if err := other.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Import(t.Context(), address, s.project+"/"+s.name); err != nil {
		t.Fatal(err)
	}
	// Only what Terraform alone looks at may differ after an import.
	if err := other.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	planIsEmpty(t, other)
	if now := number(t, attributes(t, other)["version"]); now != version {
		t.Errorf("version %d, was %d", now, version)
	}
	s.testGeneratedConfig(address, s.name)
}

// testGeneratedConfig has Terraform write the configuration of what is there.
func (s *spout) testGeneratedConfig(address, name string) {
	s.t.Helper()
	w := newWorkspace(s.t, s.cluster)
	if err := w.Write("main.tf", requirements+fmt.Sprintf("import {\n  to = %s\n  id = %q\n}\n", address, s.project+"/"+name)); err != nil {
		s.t.Fatal(err)
	}
	if err := w.Init(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	generated := filepath.Join(w.Dir, "generated.tf")
	if _, err := w.Plan(s.t.Context(), tfexec.GenerateConfigOut(generated)); err != nil {
		s.t.Fatal(err)
	}
	if err := w.Apply(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	planIsEmpty(s.t, w)
	if s.t.Failed() {
		text, _ := os.ReadFile(generated) //nolint:errcheck // for the log only
		s.t.Logf("%s", text)
	}
}

// TestDestroyWithData: refused, until the user says what is to become of the data.
func TestDestroyWithData(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 1)
	kept := strings.Replace(s.config(""), "force_destroy = true", "", 1)
	s.apply(kept)
	s.produce(100)
	s.awaitAll()
	expectMessage(t, s.workspace.Destroy(t.Context()), "holds data", "force_destroy", "keep_output_repo")
	s.produce(100)
	s.awaitAll() // it runs on
	s.audit()
	s.apply(s.config(""))
	if err := s.workspace.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := s.cluster.Pachctl(t.Context(), "list", "repo", "--project", s.project)
	if err != nil || strings.Contains(out, s.name) {
		t.Error(out, err)
	}
}

// TestKeepOutputRepo: the data outlive the spout.
func TestKeepOutputRepo(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 1)
	s.produce(100)
	s.awaitAll()
	s.apply(strings.Replace(s.config("keep_output_repo = true"), "force_destroy = true", "", 1))
	s.awaitAll()
	if err := s.workspace.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	head, err := s.branch.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if files, err := s.branch.Files(t.Context(), head.ID); err != nil || len(files) == 0 {
		t.Error(files, err)
	}
}

// TestKeepOutputRepoReadByOthers replaces a spout whose output another pipeline
// reads, and destroys the one in its place: with keep_output_repo the reader
// stays, and so does what it reads.
func TestKeepOutputRepoReadByOthers(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 1)
	s.produce(100)
	s.awaitAll()
	reader, err := json.Marshal(map[string]any{
		"pipeline":  map[string]any{"name": downstream, "project": map[string]any{"name": s.project}},
		"transform": map[string]any{"image": "debian:12", "cmd": []string{"/bin/sh"}, "stdin": []string{"find -L /pfs/records -type f -exec cat {} + | wc -l > /pfs/out/count"}},
		"input":     map[string]any{"pfs": map[string]any{"name": "records", "repo": s.name, "glob": "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.cluster.PachctlInput(t.Context(), string(reader), "create", "pipeline", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.cluster.Pachctl(context.Background(), "delete", "pipeline", downstream, "--project", s.project, "--force"); err != nil {
			t.Error(err)
		}
	})
	s.awaitCount("count")
	first := s.name
	kept := func() string {
		return strings.Replace(s.config("keep_output_repo = true"), "force_destroy = true", "", 1)
	}
	expectMessage(t, s.workspace.Destroy(t.Context()), downstream, "keep_output_repo")
	s.apply(kept())
	s.name = "another"
	s.apply(kept())
	planIsEmpty(t, s.workspace)
	s.name = first
	refuses(t, s.workspace, kept(), "is in the way") // its name is taken by what it has left
	if err := s.workspace.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.awaitCount("count")
	// A plain repo now, which anybody may write, and which is still read.
	if _, err := s.cluster.PachctlInput(t.Context(), strings.Repeat("by hand\n", 20), "put", "file", first+"@master:/more", "-f", "-", "--project", s.project); err != nil {
		t.Fatal(err)
	}
	await(t, "the reader goes on", func() (bool, error) {
		text, err := s.cluster.Pachctl(t.Context(), "get", "file", downstream+"@master:/count", "--project", s.project)
		return strings.TrimSpace(text) == "120", err
	})
}

// TestBadImage: an image that cannot be pulled is told with the reason. A new
// spout is deleted again, and one that was there is neither tainted nor lost.
func TestBadImage(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	const broken = "acceptance.local/broken:1"
	folder := filepath.Join(t.TempDir(), "image")
	if err := c.SetImage(broken, folder); err != nil {
		t.Fatal(err)
	}
	project, w := newProject(t, c), newWorkspace(t, c)
	config := func(image string) string {
		return requirements + fmt.Sprintf(`
resource "pachyderm_spout" "this" {
  project   = %q
  name      = "broken"
  transform = { image = %q, cmd = ["/bin/sleep", "1000"] }
  timeouts  = { create = "3m", update = "3m" }
}
`, project, image)
	}
	// A new one fails the apply, and nothing is left of it.
	if said := applied(t, w, config(broken), false); !strings.Contains(said, "does not run") || !strings.Contains(said, "pull") || !strings.Contains(said, "deleted again") {
		t.Errorf("no error with the reason: %s", said)
	}
	if state, err := w.Show(t.Context()); err != nil || state.Values != nil && len(state.Values.RootModule.Resources) > 0 {
		t.Errorf("something is in the state, %v", err)
	}
	if out, err := c.Pachctl(t.Context(), "list", "pipeline", "--project", project, "--raw"); err != nil || strings.Contains(out, "broken") {
		t.Errorf("it is there: %s, %v", out, err)
	}
	if said := applied(t, w, config("debian:12"), true); !strings.Contains(said, "1 added") || strings.Contains(said, "does not") {
		t.Error(said)
	}
	// One that is there is not deleted.
	if said := applied(t, w, config(broken), false); !strings.Contains(said, "does not run") || !strings.Contains(said, "pull") {
		t.Errorf("no error with the reason: %s", said)
	}
	if err := w.Refresh(t.Context()); err != nil { //nolint:staticcheck // the error is all that is wanted of a plan
		t.Fatal(err)
	}
	if state := attributes(t, w)["state"]; state == "running" {
		t.Errorf("state %v", state)
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if said := applied(t, w, config("debian:12"), true); !strings.Contains(said, "1 changed") {
		t.Error(said)
	}
	if err := w.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestSpoutPage applies the minimal specification of Pachyderm's page on spouts.
func TestSpoutPage(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "examples", "spout-page", "main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	// The page's image is nobody's: its pod never starts.
	const name = "  name = \"my-spout\"\n"
	config := strings.Replace(string(text), name, name+"  wait_for = \"created\"\n", 1)
	w := newWorkspace(t, c)
	if err := applyConfig(t.Context(), w, config); err != nil {
		t.Fatal(err)
	}
	planIsEmpty(t, w)
	raw, err := c.Pachctl(t.Context(), "inspect", "pipeline", "my-spout", "--raw", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Details struct {
			Transform struct {
				Image string
				Cmd   []string
				Env   map[string]string
			}
		}
	}
	if err := json.Unmarshal([]byte(raw), &info); err != nil {
		t.Fatal(err)
	}
	transform := info.Details.Transform
	if transform.Image != "myaccount/myimage:0.1" || !slices.Equal(transform.Cmd, []string{"go", "run", "./main.go"}) ||
		fmt.Sprint(transform.Env) != "map[HOST:kafkahost PORT:9092 TOPIC:mytopic]" {
		t.Errorf("%+v", transform)
	}
	if err := w.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestPlanErrors: what can be known is said at plan time, with the field and the fix.
func TestPlanErrors(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	w := newWorkspace(t, c)
	refuses(t, w, requirements+`resource "pachyderm_spout" "this" { 
  name  = "Orders_1"
  kafka = { brokers = ["kafka"], topics = ["a"] } 
}`, `name = "Orders_1" must have`, `kafka.brokers = "kafka" must be host:port`)
}

// TestPachdDown: pachd goes away while Terraform waits, and comes back. It is
// not parallel, as all others need pachd.
func TestPachdDown(t *testing.T) {
	s := newSpout(t, 2)
	s.produce(200)
	s.awaitAll()
	if err := s.cluster.StopPachd(); err != nil {
		t.Fatal(err)
	}
	back := make(chan error, 1)
	go func() {
		// Unreachable for longer than a call's first try.
		<-time.After(3 * time.Second)
		back <- s.cluster.StartPachd(context.Background())
	}()
	s.apply(s.config(`description = "changed while pachd was down"`))
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	planIsEmpty(t, s.workspace)
	s.produce(200)
	s.awaitAll()

	// Gone for good is an error that names the address, and never "deleted".
	if err := s.cluster.StopPachd(); err != nil {
		t.Fatal(err)
	}
	w := s.workspace
	if err := w.Write("main.tf", strings.Replace(s.config(""), requirements, requirements+"provider \"pachyderm\" {\n  request_timeout = \"3s\"\n}\n", 1)); err != nil {
		t.Fatal(err)
	}
	_, err := w.Plan(t.Context())
	expectMessage(t, err, strings.TrimPrefix(s.cluster.Address(), "grpc://"))
	if err := s.cluster.StartPachd(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.apply(s.config(""))
	s.produce(200)
	s.awaitAll()
	s.audit()
}
