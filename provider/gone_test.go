// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// A plan that is applied after somebody else has deleted the object says so,
// and that it takes a new plan.
func TestPlanOfWhatIsGone(t *testing.T) {
	t.Parallel()
	changes := map[string]object{
		"pachyderm_project": {"description": "new"}, "pachyderm_repo": {"description": "new"}, "pachyderm_branch": {"trigger": object{"branch": "master", "commits": 4}},
		"pachyderm_pipeline": {"spec": spec(object{"description": "new"})}, "pachyderm_spout": {"description": "new"},
	}
	for typeName, change := range changes {
		for what, change := range map[string]object{"a change": change, "a pause": {"paused": true}} {
			if what == "a pause" && typeName != "pachyderm_spout" && typeName != "pachyderm_pipeline" {
				continue
			}
			t.Run(typeName+"/"+what, func(t *testing.T) {
				t.Parallel()
				config := objectLeaves[typeName].config
				if typeName == "pachyderm_spout" {
					config = kafkaSpout(nil)
				}
				s, i := bindingsOf(t, pachtest.Version26, nil)
				i = i.as(typeName)
				i.must(i.apply(config))
				planned, diagnostics := i.plan(merged(config, change))
				i.must(diagnostics)
				other := *i
				other.must(other.destroy())
				writes := s.Writes()
				said := i.change(i.dynamic(i.kind, valueOf(t, i.kind, merged(config, change))), planned.PlannedState)
				if err := contains(errorsIn(said), "is gone", "Plan again"); err != nil {
					t.Error(err)
				}
				if what == "a change" && typeName != "pachyderm_project" && s.Writes() != writes { // a project is not made by its update
					t.Error("something was written")
				}
			})
		}
	}
}

// Times that nothing can be done in are refused, in all blocks.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	for _, text := range []string{"0s", "-5s", "0", "5", "soon"} {
		_, diagnostics := i.plan(kafkaSpout(object{"timeouts": object{"create": text}}))
		if err := contains(errorsIn(diagnostics), `"`+text+`" must be a length of time above 0, such as "90s"`); err != nil {
			t.Error(err)
		}
		_, diagnostics = i.as("pachyderm_repo").plan(object{"name": "a", "timeouts": object{"delete": text}})
		if err := contains(errorsIn(diagnostics), "above 0"); err != nil {
			t.Error(err)
		}
	}
}

// An error gives one example, not one after the other.
func TestMessagesOfTexts(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	for _, c := range []struct{ config, want string }{{"max_bytes", "must be a number of bytes, such as 64MiB or 1GB: a number and perhaps one of KiB"}, {"max_age", `must be a length of time, such as "500ms"`}} {
		_, diagnostics := i.plan(kafkaSpout(object{"batch": object{c.config: "many"}}))
		if err := contains(errorsIn(diagnostics), c.want); err != nil {
			t.Error(err)
		}
	}
}
