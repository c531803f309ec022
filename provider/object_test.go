// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// onlyOnce has no call repeated. A call that is given up could arrive later.
var onlyOnce = WithTiming(quickWait, pachyderm.Retry{Timeout: 10 * time.Second})

// callCase is a call that an object makes, and what makes it do so. The object
// was created from the configuration of the table before.
type callCase struct {
	method  string
	run     func(i *instance) []*tfprotov6.Diagnostic
	token   bool // one is sent
	creates bool // an unanswered call is followed up, and has a test of its own
}

// eachFailure lets each call fail in each way. All of it must be errors which
// say what to do, and none may take the object out of the state.
func eachFailure(t *testing.T, typeName string, config object, prepare func(*testing.T, *pachtest.Server), calls []callCase) {
	t.Helper()
	for _, c := range calls {
		s := pachtest.New(t)
		if prepare != nil {
			prepare(t, s)
		}
		provider := newInstance(t, s, onlyOnce)
		made := provider.as(typeName)
		made.must(made.apply(config))
		allFail(t, s, made, c)
	}
}

// allFail lets one call of what was made fail in each way.
func allFail(t *testing.T, s *pachtest.Server, made *instance, c callCase) {
	t.Helper()
	for _, f := range failures {
		if c.creates && f.isUnanswered() {
			continue
		}
		i := *made
		fault := f.inject(s, c.method)
		got := errorsIn(c.run(&i))
		fault.Remove()
		if fault.Fired() == 0 {
			t.Errorf("%s was not called", c.method)
		}
		want := f.want
		if c.token {
			want = strings.Replace(want, "auth_token", "make another one", 1)
		}
		if err := contains(got, want); err != nil {
			t.Errorf("%s answers %s: %v", c.method, f.name, err)
		}
		if i.state.IsNull() {
			t.Errorf("%s answers %s: it is gone from the state", c.method, f.name)
		}
	}
}

// withoutAnswer creates an object by a call that gets no answer. It is taken
// into the state if it is what was asked for, and named if that is not known.
func withoutAnswer(t *testing.T, s *pachtest.Server, typeName, method, look string, config object) {
	t.Helper()
	arrived := newInstance(t, s).as(typeName)
	s.Inject(pachtest.Fault{Method: method, LoseReply: true})
	arrived.must(arrived.apply(config))
	if arrived.state.IsNull() || arrived.changes(config) {
		t.Errorf("after a lost reply the state is %v", plain(t, arrived.state))
	}
	id, _ := arrived.get("id").(string)
	// It is there now, and not another one's.
	other := newInstance(t, s).as(typeName)
	if err := contains(errorsIn(other.apply(config)), "exists already", "terraform import <address of this resource> "+id); err != nil {
		t.Error(err)
	}
	arrived.must(arrived.destroy())

	lost := newInstance(t, s).as(typeName)
	fault := s.Inject(pachtest.Fault{Method: method, Count: -1, Before: status.Error(codes.DeadlineExceeded, "gone")})
	if err := contains(errorsIn(lost.apply(config)), "probably not created", id); err != nil {
		t.Error(err)
	}
	later := s.Inject(pachtest.Fault{Method: look, Nth: 2, Count: -1, Before: status.Error(codes.PermissionDenied, "not authorized")})
	if err := contains(errorsIn(lost.apply(config)), "not known whether", id); err != nil {
		t.Error(err)
	}
	fault.Remove()
	later.Remove()
	if !lost.state.IsNull() {
		t.Error("what was not created is in the state")
	}
	// Somebody else is faster between the look and the create.
	s.Inject(pachtest.Fault{Method: method, Before: status.Error(codes.AlreadyExists, "x already exists")})
	if err := contains(errorsIn(lost.apply(config)), "exists already", id); err != nil {
		t.Error(err)
	}
	lost.must(lost.apply(config))
	lost.must(lost.destroy())
}
