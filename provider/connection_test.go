// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What keeps the provider out is found out once, not by each object: for good
// if the cluster says so, and for a while if it says nothing.
func TestFailedLoginIsRemembered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method string
		err    error
		config object
		again  bool // tried, later
	}{
		"rejected token":    {"Authenticate", status.Error(codes.Unknown, "verify token"), object{"id_token": "x"}, false},
		"no login":          {"Authenticate", status.Error(codes.Unavailable, "away"), object{"id_token": "x"}, true},
		"wrong cluster":     {"InspectCluster", nil, object{"cluster_deployment_id": "other"}, false},
		"no answer":         {"InspectCluster", status.Error(codes.Unavailable, "away"), object{"cluster_deployment_id": "other"}, true},
		"answer too late":   {"InspectCluster", status.Error(codes.DeadlineExceeded, "slow"), object{"cluster_deployment_id": "other"}, true},
		"not let in at all": {"InspectCluster", status.Error(codes.PermissionDenied, "no"), object{"cluster_deployment_id": "other"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pachtest.New(t, pachtest.WithAuth("root"))
			if c.err != nil {
				s.Inject(pachtest.Fault{Method: c.method, Count: -1, Before: c.err})
			}
			var passed atomic.Int64
			now := func() time.Time { return time.Unix(0, 0).Add(time.Duration(passed.Load())) }
			i := newInstanceOf(t, merged(object{"address": s.Address()}, c.config), onlyOnce, WithClock(now)).as("pachyderm_repo")
			for range 3 {
				if errorsIn(i.apply(object{"name": "a"})) == "" {
					t.Fatal("it was let in")
				}
			}
			if got := count(s, c.method); got != 1 {
				t.Errorf("%d calls for three objects", got)
			}
			passed.Store(int64(unreachableFor))
			want := 1
			if c.again {
				want = 2
			}
			if errorsIn(i.apply(object{"name": "a"})) == "" || count(s, c.method) != want {
				t.Errorf("%d calls, later", count(s, c.method))
			}
		})
	}
}

// An interrupt says nothing about the cluster.
func TestInterruptedLoginIsNotRemembered(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithClusterID("cluster", "production"))
	i := newInstanceOf(t, object{"address": s.Address(), "cluster_deployment_id": "production"}).as("pachyderm_repo")
	ctx, interrupt := context.WithCancel(t.Context())
	look := s.Inject(pachtest.Fault{Method: "InspectCluster", Stall: make(chan struct{})})
	go func() {
		<-look.Reached()
		interrupt()
	}()
	before := i.ctx
	i.ctx = ctx
	if errorsIn(i.apply(object{"name": "a"})) == "" {
		t.Error("it was not interrupted")
	}
	i.ctx = before
	i.must(i.apply(object{"name": "a"}))
}

// What an object does ends with its timeouts, also where it is one call.
func TestTimeoutsOfObjects(t *testing.T) {
	t.Parallel()
	for typeName, config := range map[string]object{
		"pachyderm_project":      {"name": "team-a"},
		"pachyderm_repo":         {"name": "derived"},
		"pachyderm_branch":       branchConfig(nil),
		"pachyderm_secret":       {"name": "a", "data_wo": object{"b": "c"}, "data_wo_version": 1},
		"pachyderm_role_binding": binding(nil),
	} {
		t.Run(typeName, func(t *testing.T) {
			t.Parallel()
			s, i := bindingsOf(t, pachtest.Version26, nil, WithTiming(quickWait, pachyderm.Retry{Timeout: time.Hour}))
			repo := i.as("pachyderm_repo")
			repo.must(repo.apply(object{"name": "events"}))
			i = i.as(typeName)
			s.Inject(pachtest.Fault{Count: -1, Stall: make(chan struct{})})
			if got := errorsIn(i.apply(merged(config, object{"timeouts": object{"create": "50ms"}}))); got == "" {
				t.Error("it went on")
			}
		})
	}
}
