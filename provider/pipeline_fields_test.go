// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// Each field can be set, changed in place, left out and imported, and after
// none of it is there anything left to plan.
func TestPipelineEachField(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		s.AddKubernetesSecret("keys", map[string]string{"a": "1"})
		for n, l := range []struct {
			path string
			a, b any
		}{
			{"description", "one", "two"},
			{"transform.image", "a:1", "a:2"},
			{"transform.err_cmd", []any{"true"}, []any{"false"}},
			{"transform.env", object{"A": ""}, object{"A": "1", "some_NAME": "2"}},
			{"transform.secrets", []any{object{"name": "keys", "env_var": "A", "key": "a"}}, []any{object{"name": "keys", "mountPath": "/keys"}}},
			{"transform.stdin", []any{"a"}, []any{"b"}},
			{"transform.acceptReturnCode", []any{3}, []any{3, 4}},
			{"transform.debug", true, false},
			{"transform.datum_batching", true, false},
			{"parallelismSpec", object{"constant": 2}, object{"constant": "3"}},
			{"outputBranch", "results", "others"},
			{"s3Out", true, false},
			{"resourceRequests", object{"cpu": 0.1}, object{"memory": "64M"}},
			{"resource_requests", object{}, object{"disk": "1Gi", "gpu": object{"type": "nvidia.com/gpu", "number": 1}}},
			{"resourceLimits", object{"cpu": 2}, object{"memory": "2Gi"}},
			{"sidecarResourceRequests", object{"cpu": 0.5}, object{"memory": "1Gi"}},
			{"sidecarResourceLimits", object{"cpu": 2.5}, object{"disk": "2Gi"}},
			{"egress", object{"URL": "s3://bucket/dir"}, object{"objectStorage": object{"url": "s3://bucket/other"}}},
			{"input", object{"cross": []any{object{"pfs": object{"repo": "images", "glob": "/"}}, object{"cron": object{"name": "tick", "spec": "@daily"}}}},
				object{"join": []any{object{"pfs": object{"name": "b", "repo": "images", "glob": "/(*)", "joinOn": "$1"}}, object{"pfs": object{"name": "a", "repo": "images", "glob": "/(*)", "join_on": "$1", "outerJoin": true}}}}},
			{"datumSetSpec", object{"number": 3}, object{"sizeBytes": "1000", "perWorker": 2}},
			{"datumTimeout", "60s", "1h"},
			{"jobTimeout", "90s", "2h"},
			{"datumTries", 5, "6"},
			{"schedulingSpec", object{"nodeSelector": object{"pool": "a"}}, object{"priorityClassName": "high"}},
			{"podSpec", `{"hostNetwork": true}`, `{"hostNetwork":false}`},
			{"podPatch", `[{"op": "remove", "path": "/a"}]`, `[]`},
			{"metadata", object{"labels": object{"a": "b"}}, object{"annotations": object{"x/some_key": "b"}}},
			{"reprocessSpec", "every_job", "until_success"},
			{"autoscaling", true, false},
			{"tolerations", []any{object{"key": "a", "operator": "EXISTS"}}, []any{object{"key": "a", "operator": "EQUAL", "value": "b", "effect": "NO_EXECUTE", "tolerationSeconds": "60"}}},
		} {
			name := fmt.Sprintf("field-%d", n)
			with := func(v any) object {
				return object{"name": name, "spec": spec(object{l.path: v})}
			}
			t.Run(l.path, func(t *testing.T) {
				i := newInstance(t, s).as(pipelineType)
				for step, v := range []any{l.a, l.b, nil} {
					if v == nil && l.path == "transform.image" {
						continue
					}
					config := with(v)
					if v == nil && l.path == "input" {
						config = object{"name": name, "spec": spec(nil)}
					}
					i.must(i.apply(config))
					if got, _ := i.get("version").(float64); got > float64(step+1) || step < 2 && l.b != false && got != float64(step+1) {
						t.Errorf("%v: the version is %v", v, got)
					}
					if i.changes(config) {
						t.Errorf("%v: a second plan changes something", v)
					}
					i.must(i.refresh())
					if i.changes(config) {
						t.Errorf("%v: a plan after refresh changes %v", v, i.get("spec"))
					}
					imported := newInstance(t, s).as(pipelineType)
					imported.must(imported.importID("default/"+name, nil))
					if imported.changes(config) {
						t.Errorf("%v: a plan after import changes %v", v, imported.get("spec"))
					}
				}
				i.must(i.destroy())
			})
		}
	})
}
