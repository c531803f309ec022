// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// emptyPlan is the check that a second plan finds nothing to do.
var emptyPlan = resource.ConfigPlanChecks{PostApplyPreRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
	PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}

// step applies a configuration, and expects an action and then an empty plan.
func step(s *pachtest.Server, action plancheck.ResourceActionType, config string, checks ...statecheck.StateCheck) resource.TestStep {
	plan := emptyPlan
	plan.PreApply = []plancheck.PlanCheck{plancheck.ExpectResourceAction(spoutAddress, action)}
	return resource.TestStep{Config: withProvider(s, config), ConfigPlanChecks: plan, ConfigStateChecks: checks}
}

func attribute(path string, value knownvalue.Check) statecheck.StateCheck {
	names := strings.Split(path, ".")
	at := tfjsonpath.New(names[0])
	for _, name := range names[1:] {
		at = at.AtMapKey(name)
	}
	return statecheck.ExpectKnownValue(spoutAddress, at, value)
}

// do runs something before a step.
func do(f func(), s resource.TestStep) resource.TestStep {
	s.PreConfig = f
	return s
}

// count returns how many calls of a method there were.
func count(s *pachtest.Server, method string) int { return len(s.Calls(method)) }

// client speaks with the fake as a user of pachctl would.
func client(t *testing.T, s *pachtest.Server) *pachyderm.Client {
	t.Helper()
	address, err := pachyderm.ParseAddress(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	c, err := pachyderm.Connect(pachyderm.Options{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var orders = pachyderm.PipelineID{Project: "default", Name: "orders"}

// inspect returns a pipeline as the server has it.
func inspect(t *testing.T, s *pachtest.Server, id pachyderm.PipelineID) *pachyderm.Pipeline {
	t.Helper()
	p, err := client(t, s).InspectPipeline(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// writeData writes a file as the spout's pod would.
func writeData(t *testing.T, s *pachtest.Server, id pachyderm.PipelineID) {
	t.Helper()
	write(t, s, id, "/a", "data")
}

// write makes a commit with one file, or with none.
func write(t *testing.T, s *pachtest.Server, id pachyderm.PipelineID, path, content string) {
	t.Helper()
	commit := writeUnfinished(t, s, id, path, content)
	if _, err := client(t, s).Branch(id.Project, id.Name, "master").WaitFinished(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
}

// writeUnfinished is write, but for the wait until the commit is FINISHED.
func writeUnfinished(t *testing.T, s *pachtest.Server, id pachyderm.PipelineID, path, content string) (commit string) {
	t.Helper()
	return writeDescribed(t, s, id, path, content, "")
}

// commitAs makes a commit without files, as the runner describes it.
func commitAs(t *testing.T, s *pachtest.Server, id pachyderm.PipelineID, d spoutcommit.Description) (commit string) {
	t.Helper()
	return writeDescribed(t, s, id, "", "", d.String())
}

func writeDescribed(t *testing.T, s *pachtest.Server, id pachyderm.PipelineID, path, content, description string) (commit string) {
	t.Helper()
	address, err := pachyderm.ParseAddress(s.Sidecar(id.Project, id.Name))
	if err != nil {
		t.Fatal(err)
	}
	c, err := pachyderm.Connect(pachyderm.Options{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b := c.Branch(id.Project, id.Name, "master")
	err = func() error {
		if commit, err = b.Start(ctx, ""); err != nil {
			return err
		}
		if path != "" {
			files, err := b.NewFileSet(ctx)
			if err != nil {
				return err
			}
			if err := files.Put(path, []byte(content)); err != nil {
				return err
			}
			set, err := files.Close()
			if err != nil {
				return err
			}
			if err := b.AddFileSet(ctx, commit, set); err != nil {
				return err
			}
		}
		return b.Finish(ctx, commit, description)
	}()
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

func TestSpoutLifecycle(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		create, update, nothing := plancheck.ResourceActionCreate, plancheck.ResourceActionUpdate, plancheck.ResourceActionNoop
		unitTest(t,
			step(s, create, spoutConfig(),
				attribute("id", knownvalue.StringExact("default/orders")), attribute("version", knownvalue.Int64Exact(1)),
				attribute("state", knownvalue.StringExact("running")), attribute("workers_available", knownvalue.Int64Exact(1)),
				attribute("output_repo", knownvalue.StringExact("orders")), attribute("image", knownvalue.StringExact(testImage)),
				attribute("kafka.start", knownvalue.Null()), attribute("batch", knownvalue.Null()), attribute("resource_requests", knownvalue.Null())),
			step(s, nothing, spoutConfig()),
			// Imported, by either id.
			resource.TestStep{ResourceName: spoutAddress, ImportState: true, ImportStateId: "default/orders", ImportStateVerify: true},
			resource.TestStep{ResourceName: spoutAddress, ImportState: true, ImportStateId: "orders", ImportStateVerify: true},
			// Updated in place.
			step(s, update, spoutConfig(kafkaLines, `description = "all orders"`), attribute("version", knownvalue.Int64Exact(2))),
			step(s, update, spoutConfig(), attribute("version", knownvalue.Int64Exact(3)), attribute("description", knownvalue.Null())),
			// Deleted behind Terraform's back.
			do(func() {
				if err := client(t, s).DeletePipeline(t.Context(), orders, false); err != nil {
					t.Error(err)
				}
			}, step(s, create, spoutConfig(), attribute("version", knownvalue.Int64Exact(1)))),
			// Changed behind Terraform's back.
			do(func() {
				spec := inspect(t, s, orders).Spec
				spec.Env["SPOUT_BATCH_MAX_AGE"], spec.Description = "1m", "changed by hand"
				if err := client(t, s).UpdatePipeline(t.Context(), orders, spec); err != nil {
					t.Error(err)
				}
			}, step(s, update, spoutConfig(), attribute("batch", knownvalue.Null()))),
			// What the server says of its state is no change.
			do(func() { s.SetWorkers("default", "orders", 0) }, step(s, nothing, spoutConfig())),
			do(func() {
				s.SetPipelineState("default", "orders", pps.PipelineState_PIPELINE_FAILURE, "no more")
			},
				step(s, nothing, spoutConfig(), attribute("state", knownvalue.StringExact("failure")), attribute("reason", knownvalue.StringExact("no more")))),
		)
		if left := s.Pipelines(""); len(left) > 0 {
			t.Errorf("after destroy there are still %v", left)
		}
		if panics := s.Panics(); len(panics) > 0 {
			t.Errorf("a 2.6 server would have crashed: %v", panics)
		}
	})
}

// Only what Pachyderm has to know is sent, and only once.
func TestSpoutSendsNothingNeedless(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		update, nothing := plancheck.ResourceActionUpdate, plancheck.ResourceActionNoop
		writes := 0
		check := func(what string, more int) func() {
			return func() {
				if now := s.Writes(); now != writes+more {
					t.Errorf("%s: %d writes, not %d", what, now-writes, more)
				}
				writes = s.Writes()
			}
		}
		full := func(more ...string) string {
			return spoutConfig(append([]string{`kafka = { brokers = ["kafka:9092"], topics = ["orders"], start = "earliest" }`, `batch = { max_age = "90s" }`,
				`resource_requests = { cpu = 0.1, memory = "1Gi" }`, `pod_patch = jsonencode([{ op = "add", path = "/hostname", value = "b" }])`}, more...)...)
		}
		unitTest(t,
			step(s, plancheck.ResourceActionCreate, full()),
			do(check("create", 1), step(s, nothing, full())),
			// The same said in other words plans nothing.
			do(check("plan", 0), step(s, nothing, strings.NewReplacer(`"1Gi"`, `"1024Mi"`, `"90s"`, `"1m30s"`).Replace(full()))),
			// Settings of the provider's own are no business of Pachyderm's.
			do(check("other words", 0), step(s, update, full(`wait_for = "created"`, `force_destroy = true`, `timeouts = { create = "5m" }`), attribute("version", knownvalue.Int64Exact(1)))),
			do(check("provider's own", 0), step(s, update, full())),
			// A default that is written out is none either.
			do(check("back", 0), step(s, update, strings.Replace(full(), `, start = "earliest"`, ``, 1), attribute("version", knownvalue.Int64Exact(1)))),
			do(check("default left out", 0), step(s, update, full(`description = "x"`))),
			do(check("description", 1), step(s, nothing, full(`description = "x"`))),
		)
	})
}

func TestSpoutReplace(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	replace := plancheck.ResourceActionReplace
	project := func() {
		if err := createProject(t, s, "other"); err != nil {
			t.Error(err)
		}
	}
	unitTest(t,
		step(s, plancheck.ResourceActionCreate, spoutConfig()),
		step(s, replace, spoutConfig(`name = "payments"`), attribute("id", knownvalue.StringExact("default/payments"))),
		do(project, step(s, replace, spoutConfig(`name = "payments"`, `project = "other"`), attribute("id", knownvalue.StringExact("other/payments")))),
		// The provider's default project decides for those that name none.
		resource.TestStep{Config: withProvider(s, spoutConfig(`name = "payments"`), `default_project = "other"`), ConfigPlanChecks: resource.ConfigPlanChecks{
			PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(spoutAddress, plancheck.ResourceActionNoop)}}},
		// With data, the replacement is refused before anything is lost.
		do(func() { writeData(t, s, pachyderm.PipelineID{Project: "other", Name: "payments"}) },
			resource.TestStep{Config: withProvider(s, spoutConfig()), ExpectError: regexp.MustCompile(`holds\s+data`)}),
		do(func() {
			if got := fmt.Sprint(s.Pipelines("other"), s.Pipelines("")); got != "[payments] []" {
				t.Errorf("pipelines are %s", got)
			}
		}, step(s, plancheck.ResourceActionUpdate, spoutConfig(`name = "payments"`, `project = "other"`, `force_destroy = true`))),
	)
}

// The minimal specification of Pachyderm's page about spouts, written down as
// it stands there.
func TestSpoutOfThePage(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	text, err := os.ReadFile("../examples/spout-page/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	_, config, _ := strings.Cut(string(text), "resource ")
	unitTest(t, resource.TestStep{Config: withProvider(s, "resource "+config), ConfigPlanChecks: emptyPlan},
		resource.TestStep{RefreshState: true, Check: func(*terraform.State) error {
			p := inspect(t, s, pachyderm.PipelineID{Project: "default", Name: "my-spout"})
			want := pachyderm.Spec{Image: "myaccount/myimage:0.1", Cmd: []string{"go", "run", "./main.go"},
				Env: map[string]string{"HOST": "kafkahost", "TOPIC": "mytopic", "PORT": "9092"}}
			if !p.Spec.Equal(want) {
				return fmt.Errorf("the server has %+v", p.Spec)
			}
			return nil
		}})
}

// Terraform can write the configuration of a spout that exists.
func TestSpoutGeneratedConfiguration(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	s.AddKubernetesSecret("kafka-user", map[string]string{"username": "u", "password": "p"})
	generate := func(config string) {
		unitTest(t, resource.TestStep{Config: withProvider(s, config)},
			resource.TestStep{ResourceName: spoutAddress, ImportState: true, ImportStateKind: resource.ImportBlockWithID, GenerateConfig: true},
			resource.TestStep{ResourceName: spoutAddress, ImportState: true, ImportStateKind: resource.ImportBlockWithID})
	}
	generate(spoutConfig(`kafka = { brokers = ["kafka:9092"], topics = ["orders"], tls = {},
		sasl = { mechanism = "plain", credentials_secret = { name = "kafka-user" } } }`, `batch = { max_age = "1m" }`,
		`resource_requests = { cpu = 0.1, memory = "1Gi" }`, `tolerations = [{ operator = "Exists" }]`))
	generate(spoutConfig(transformLines, `service = { internal_port = 80, external_port = 30080 }`, `pod_patch = jsonencode([{ op = "add", path = "/hostNetwork", value = true }])`, `metadata = { labels = { a = "b" } }`))
}
