// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// That data would be destroyed is refused by the plan, before anything of it
// is done; nothing is written for that.
func TestPlanRefusesToDestroyData(t *testing.T) {
	t.Parallel()
	for typeName, c := range map[string]struct{ config, renamed, given object }{
		"pachyderm_spout":    {kafkaSpout(nil), kafkaSpout(object{"name": "other"}), object{"keep_output_repo": true}},
		"pachyderm_pipeline": {object{"name": "orders", "spec": spec(nil)}, object{"name": "other", "spec": spec(nil)}, object{"force_destroy": true}},
		"pachyderm_repo":     {object{"name": "orders"}, object{"name": "other"}, object{"force_destroy": true}},
	} {
		t.Run(typeName, func(t *testing.T) {
			t.Parallel()
			eachVersion(t, func(t *testing.T, s *pachtest.Server) {
				withImages(t, s)
				i := newInstance(t, s, onlyOnce).as(typeName)
				i.must(i.apply(c.config))
				i.must(i.planDestroy()) // there is nothing in it
				putOrders(t, s, typeName)
				before := s.Writes()
				if err := contains(errorsIn(i.planDestroy()), "orders", "holds data", "force_destroy"); err != nil {
					t.Error(err)
				}
				_, diagnostics := i.plan(c.renamed)
				if err := contains(errorsIn(diagnostics), "orders", "holds data"); err != nil {
					t.Errorf("replace: %v", err)
				}
				// What cannot be asked is left to destroy.
				s.Inject(pachtest.Fault{Method: "InspectRepo", Before: status.Error(codes.Unavailable, "away")})
				i.must(i.planDestroy())
				if s.Writes() != before {
					t.Error("planning wrote something")
				}
				i.must(i.apply(merged(c.config, c.given)))
				i.must(i.planDestroy())
				if planned, diagnostics := i.plan(merged(c.renamed, c.given)); errorsIn(diagnostics) != "" || len(planned.RequiresReplace) == 0 {
					t.Errorf("replace of what may go: %s", errorsIn(diagnostics))
				}
			})
		})
	}
	// Without a connection there is nothing to ask.
	i := newInstanceOf(t, object{"address": unknown{}})
	made := newInstance(t, pachtest.New(t))
	made.must(made.apply(kafkaSpout(nil)))
	i.state, i.id = made.state, made.id
	i.must(i.planDestroy())
}

// The output repo that is left of a pipeline is not what would be destroyed.
func TestPlanDestroyOfWhatIsGone(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		i.must(i.apply(kafkaSpout(nil)))
		writeData(t, s, orders)
		if err := contains(errorsIn(i.planDestroy()), "holds data", "deposed", "troubleshooting"); err != nil {
			t.Error(err)
		}
		if err := client(t, s).DeletePipeline(t.Context(), orders, true); err != nil {
			t.Fatal(err)
		}
		i.must(i.planDestroy())
		i.must(i.destroy())
		if repos := s.Repos(""); len(repos) != 1 {
			t.Errorf("there are %v", repos)
		}
	})
}

// A look that gets no answer holds no plan up.
func TestPlanDestroyWithoutAnswer(t *testing.T) {
	t.Parallel()
	for typeName, config := range map[string]object{"pachyderm_spout": kafkaSpout(nil), "pachyderm_repo": {"name": "images"}} {
		s := pachtest.New(t)
		made := newInstance(t, s).as(typeName)
		made.must(made.apply(config))
		i := newInstanceOf(t, object{"address": s.Address(), "request_timeout": "200ms"}).as(typeName)
		i.state, i.id = made.state, made.id
		s.Inject(pachtest.Fault{Method: "ListCommit", Count: -1, Stall: make(chan struct{})})
		i.must(i.planDestroy())
	}
}

// putOrders puts data into the repo orders.
func putOrders(t *testing.T, s *pachtest.Server, typeName string) {
	t.Helper()
	switch typeName {
	case "pachyderm_repo":
		putFile(t, s, "orders", "master", "/a")
	case "pachyderm_pipeline":
		writeResult(t, s, orders)
	default:
		writeData(t, s, orders)
	}
}
