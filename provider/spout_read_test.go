// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A spout that others read directly can be updated, which Pachyderm takes of
// stopped ones only, and continues.
func TestUpdateOfSpoutReadByOthers(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s, onlyOnce)
		i.must(i.apply(kafkaSpout(nil)))
		readOrders(t, s)
		i.must(i.apply(kafkaSpout(object{"description": "new"})))
		if p := inspect(t, s, orders); p.Stopped || p.Version != 2 {
			t.Errorf("version %d, stopped: %v", p.Version, p.Stopped)
		}
		if stops := count(s, "StopPipeline"); stops != 1 {
			t.Errorf("%d stops", stops)
		}
		i.must(i.refresh())
		if i.changes(kafkaSpout(object{"description": "new"})) {
			t.Error("a plan after the update changes something")
		}
		// One that is to be paused stays so.
		i.must(i.apply(kafkaSpout(object{"description": "newer", "paused": true})))
		if p := inspect(t, s, orders); !p.Stopped || p.Version != 3 {
			t.Errorf("paused: version %d, stopped: %v", p.Version, p.Stopped)
		}
		i.must(i.apply(kafkaSpout(object{"description": "newer"})))
		// What fails after the stop leaves it running.
		s.Inject(pachtest.Fault{Method: "CreatePipeline", Nth: 2, Before: status.Error(codes.Unknown, "no")})
		if err := contains(errorsIn(i.apply(kafkaSpout(object{"description": "newest"}))), "Cannot update spout default/orders", "No."); err != nil {
			t.Error(err)
		}
		if p := inspect(t, s, orders); p.Stopped || p.Version != 3 {
			t.Errorf("after an error: version %d, stopped: %v", p.Version, p.Stopped)
		}
	})
}
