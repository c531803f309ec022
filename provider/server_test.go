// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// compared compares the server's shorter ways with the framework.
type compared struct {
	*instance
	*server
}

func newCompared(t *testing.T, s *pachtest.Server, options ...Option) compared {
	t.Helper()
	i := newInstance(t, s, options...)
	return compared{i, i.server.(*server)}
}

// planned compares the plans for a configuration, and says whether the
// shorter way has one, and what the framework's is.
func (s compared) planned(config tftypes.Value) (short bool, want *tfprotov6.PlanResourceChangeResponse) {
	s.t.Helper()
	return s.plannedFor(s.planRequest(config, proposed(s.t, s.schema.Block.Attributes, s.kind, s.state, config)))
}

// planRequest encodes what is the same in the same way, as Terraform does;
// here, maps have any order.
func (s compared) planRequest(config, proposed tftypes.Value) *tfprotov6.PlanResourceChangeRequest {
	s.t.Helper()
	req := &tfprotov6.PlanResourceChangeRequest{TypeName: s.typeName, Config: s.dynamic(s.kind, config), PriorState: s.dynamic(s.kind, s.state), PriorIdentity: s.id}
	req.ProposedNewState = req.PriorState
	if !proposed.Equal(s.state) {
		req.ProposedNewState = s.dynamic(s.kind, proposed)
	}
	return req
}

func (s compared) plannedFor(req *tfprotov6.PlanResourceChangeRequest) (short bool, want *tfprotov6.PlanResourceChangeResponse) {
	s.t.Helper()
	want, err := s.framework.PlanResourceChange(s.ctx, req)
	if err != nil {
		s.t.Fatal(err)
	}
	got := s.planShort(s.ctx, req)
	if got == nil {
		return false, want
	}
	s.sameValue("planned state", s.kind, got.PlannedState, want.PlannedState)
	s.sameValue("planned identity", s.spout.identity, got.PlannedIdentity.IdentityData, want.PlannedIdentity.IdentityData)
	rest, wantRest := *got, *want
	rest.PlannedState, rest.PlannedIdentity, wantRest.PlannedState, wantRest.PlannedIdentity = nil, nil, nil, nil
	if fmt.Sprintf("%+v", rest) != fmt.Sprintf("%+v", wantRest) {
		s.t.Errorf("%+v is not what the framework says: %+v %s", rest, wantRest, errorsIn(want.Diagnostics)+warningsIn(want.Diagnostics))
	}
	return true, want
}

func (s compared) sameValue(what string, kind tftypes.Type, got, want *tfprotov6.DynamicValue) {
	s.t.Helper()
	g, err := got.Unmarshal(kind)
	w, err2 := want.Unmarshal(kind)
	if err != nil || err2 != nil || !g.Equal(w) {
		s.t.Errorf("%s: %v %v\n%s\nis not the framework's\n%s", what, err, err2, g, w)
	}
}

// reread compares what is read, and says whether the shorter way does it.
func (s compared) reread(req *tfprotov6.ReadResourceRequest) (short bool, want *tfprotov6.ReadResourceResponse) {
	s.t.Helper()
	want, err := s.framework.ReadResource(s.ctx, req)
	if err != nil {
		s.t.Fatal(err)
	}
	got, _ := s.readShort(s.ctx, req)
	if got == nil {
		return false, want
	}
	s.sameValue("state", s.kind, got.NewState, want.NewState)
	s.sameValue("identity", s.spout.identity, got.NewIdentity.IdentityData, want.NewIdentity.IdentityData)
	if len(want.Diagnostics) > 0 || want.Deferred != nil || !bytes.Equal(got.Private, want.Private) {
		s.t.Errorf("%+v is not what the framework says: %+v", got, want)
	}
	return true, want
}

// validated compares what is said of a configuration, and says whether the
// shorter way finds nothing.
func (s compared) validated(config tftypes.Value) (short bool, want *tfprotov6.ValidateResourceConfigResponse) {
	s.t.Helper()
	req := &tfprotov6.ValidateResourceConfigRequest{TypeName: s.typeName, Config: s.dynamic(s.kind, config)}
	want, err := s.framework.ValidateResourceConfig(s.ctx, req)
	if err != nil {
		s.t.Fatal(err)
	}
	if short = s.validateShort(s.ctx, req); short && len(want.Diagnostics) > 0 {
		s.t.Errorf("the framework says: %s%s\nof: %v", errorsIn(want.Diagnostics), warningsIn(want.Diagnostics), plain(s.t, config))
	}
	return short, want
}

func (s compared) readRequest() *tfprotov6.ReadResourceRequest {
	return &tfprotov6.ReadResourceRequest{TypeName: s.typeName, CurrentState: s.dynamic(s.kind, s.state), CurrentIdentity: s.id}
}

// with is the state, or a configuration, with other values at the root.
func (s compared) with(base tftypes.Value, values map[string]tftypes.Value) tftypes.Value {
	s.t.Helper()
	attributes := map[string]tftypes.Value{}
	if err := base.As(&attributes); err != nil {
		s.t.Fatal(err)
	}
	attributes = maps.Clone(attributes)
	maps.Copy(attributes, values)
	return tftypes.NewValue(s.kind, attributes)
}

// For spouts of all kinds, the shorter ways are taken when nothing changes, and
// they say the same as the framework whatever is configured, and whatever the
// state is.
func TestShorterWays(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithEnterprise())
	s.AddKubernetesSecret("kafka-user", map[string]string{"username": "u", "password": "p", "user": "u", "pass": "p"})
	s.AddKubernetesSecret("kafka-tls", map[string]string{"tls.crt": "c", "tls.key": "k", "cert": "c", "key": "k"})
	for n, l := range leafCases {
		t.Run(l.path, func(t *testing.T) {
			base := l.base()
			name := fmt.Sprintf("leaf-%d", n)
			i := newCompared(t, s)
			config := valueOf(t, i.kind, base(object{"name": name, l.path: l.a}))
			i.must(i.apply(base(object{"name": name, l.path: l.a})))
			if short, want := i.validated(config); !short && len(want.Diagnostics) == 0 {
				t.Error("the framework is asked about what is in order")
			}
			if short, want := i.planned(config); !short {
				t.Errorf("the framework is asked for a plan of what has not changed: %s", errorsIn(want.Diagnostics))
			}
			if short, want := i.reread(i.readRequest()); !short {
				t.Errorf("the framework is asked to read what has not changed: %s", errorsIn(want.Diagnostics))
			}
			for _, other := range []any{l.b, l.same, nil, unknown{}} {
				if other != nil || i.get(l.path) != nil {
					i.planned(valueOf(t, i.kind, without(base(object{"name": name, l.path: other}))))
				}
			}
		})
	}
}

// A configuration with something wrong anywhere is the framework's matter.
func TestShorterWayOfWrongConfigurations(t *testing.T) {
	t.Parallel()
	i := newCompared(t, pachtest.New(t))
	wrong := 0
	check := func(config object) {
		t.Helper()
		if _, want := i.validated(valueOf(t, i.kind, config)); len(want.Diagnostics) > 0 {
			wrong++
		}
	}
	for _, l := range leafCases {
		base := l.base()
		for _, v := range oddValues(l.b) {
			check(base(object{l.path: v}))
		}
	}
	for computed, v := range map[string]any{"id": "x", "version": 1, "state": "x", "reason": "", "workers_available": 1, "output_repo": "orders"} {
		check(kafkaSpout(object{computed: v}))
	}
	for choice, v := range map[string]any{"wait_for": "nothing", "service": object{"internal_port": 80, "external_port": 80, "type": "x"}, "timeouts": object{"create": "x"}, "force_destroy": true, "name": nil, "kafka": unknown{}} {
		check(kafkaSpout(object{"keep_output_repo": true, choice: v}))
	}
	if wrong < 100 {
		t.Errorf("only %d of the configurations are wrong", wrong)
	}
}

// oddValues are values much like one that is right.
func oddValues(v any) []any {
	switch v := v.(type) {
	case string:
		return []any{"", " ", "other", ",", unknown{}}
	case float64:
		return []any{-1.0, 0.0, 1e6}
	case []any:
		odd := []any{[]any{}}
		for _, element := range oddValues(v[0]) {
			odd = append(odd, []any{element})
		}
		return odd
	case object:
		odd := []any{object{}}
		for name, inner := range v {
			for _, o := range append(oddValues(inner), nil) {
				other := maps.Clone(v)
				other[name] = o
				odd = append(odd, other)
			}
		}
		return odd
	}
	return nil
}

// without leaves out objects in which a change has left nothing.
func without(config object) object {
	out := object{}
	for k, v := range config {
		if o, ok := v.(object); ok && len(o) == 1 {
			if _, is := slices.Collect(maps.Values(o))[0].(unknown); is {
				v = unknown{}
			}
		}
		out[k] = v
	}
	return out
}

// With any attribute of the state null, empty or changed behind Terraform's
// back, and whatever the configuration says of it, the plan is the framework's.
func TestShorterWaysOfOddStates(t *testing.T) {
	t.Parallel()
	for kind, config := range map[string]object{
		"kafka":     kafkaSpout(object{"service": object{"internal_port": 8000, "external_port": 30080}, "description": "Orders", "env": object{"A": "1"}}),
		"transform": transformSpout(object{"project": "default", "output_branch": "live", "resource_limits": object{"memory": "1Gi"}, "paused": true}),
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			i := newCompared(t, pachtest.New(t))
			i.must(i.apply(config))
			asked := valueOf(t, i.kind, config)
			applied := i.state
			taken := 0
			for name, attribute := range i.kind.(tftypes.Object).AttributeTypes {
				for _, odd := range odds(attribute) {
					i.state = i.with(applied, map[string]tftypes.Value{name: odd})
					// Whatever Terraform would propose, it is the state here.
					if short, _ := i.plannedFor(i.planRequest(asked, i.state)); short {
						taken++
					}
				}
			}
			if taken == 0 {
				t.Error("no state has been planned the shorter way")
			}
		})
	}
}

// odds are values of a type.
func odds(t tftypes.Type) []tftypes.Value {
	values := []tftypes.Value{tftypes.NewValue(t, nil)}
	switch {
	case t.Is(tftypes.String):
		values = append(values, tftypes.NewValue(t, ""), tftypes.NewValue(t, "other"))
	case t.Is(tftypes.Bool):
		values = append(values, tftypes.NewValue(t, true), tftypes.NewValue(t, false))
	case t.Is(tftypes.Number):
		values = append(values, tftypes.NewValue(t, 7))
	}
	return values
}

// Each thing that the shorter way looks at before it says that nothing changes
// is needed: with only that being different, the framework's plan is not the
// state.
func TestShorterWayIsNotTaken(t *testing.T) {
	t.Parallel()
	text := func(s string) tftypes.Value { return tftypes.NewValue(tftypes.String, s) }
	yes, no := tftypes.NewValue(tftypes.Bool, true), tftypes.NewValue(tftypes.Bool, false)
	withService := object{"service": object{"internal_port": 8000, "external_port": 30080}}
	for name, c := range map[string]struct {
		config object
		state  map[string]tftypes.Value // differs from what was applied
	}{
		"a text that is not the default":   {kafkaSpout(nil), map[string]tftypes.Value{"output_branch": text("other")}},
		"another choice than the default":  {kafkaSpout(nil), map[string]tftypes.Value{"wait_for": text("created")}},
		"true for a default of false":      {kafkaSpout(nil), map[string]tftypes.Value{"force_destroy": yes}},
		"paused behind Terraform's back":   {kafkaSpout(nil), map[string]tftypes.Value{"paused": yes}},
		"no default yet":                   {kafkaSpout(nil), map[string]tftypes.Value{"keep_output_repo": tftypes.NewValue(tftypes.Bool, nil)}},
		"a default in a nested object":     {kafkaSpout(withService), map[string]tftypes.Value{"service": {}}},
		"not the provider's project":       {kafkaSpout(nil), map[string]tftypes.Value{"project": text("other")}},
		"not this release's image":         {kafkaSpout(nil), map[string]tftypes.Value{"image": text("ghcr.io/spoutworks/spout-runner:0.0.1")}},
		"the runner's image for transform": {transformSpout(nil), map[string]tftypes.Value{"image": text("ghcr.io/spoutworks/spout-runner:0.0.1")}},
		"a name that is too long":          {kafkaSpout(object{"name": strings.Repeat("a", 51)}), nil},
		"a setting that is not valid":      {kafkaSpout(object{"kafka.isolation": "none"}), nil},
		"a change":                         {kafkaSpout(object{"force_destroy": true}), map[string]tftypes.Value{"force_destroy": no}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newCompared(t, pachtest.New(t))
			valid := merged(c.config, object{"name": "orders"})
			if c.config["kafka"] != nil {
				valid = merged(valid, object{"kafka.isolation": nil})
			}
			i.must(i.apply(valid))
			config := valueOf(t, i.kind, c.config)
			same := map[string]tftypes.Value{}
			if err := config.As(&same); err != nil {
				t.Fatal(err)
			}
			state := map[string]tftypes.Value{"name": same["name"], "kafka": same["kafka"]}
			maps.Copy(state, c.state)
			if _, ok := state["service"]; ok {
				inner := map[string]tftypes.Value{}
				if err := same["service"].As(&inner); err != nil {
					t.Fatal(err)
				}
				inner = maps.Clone(inner)
				inner["type"] = text("ClusterIP")
				state["service"] = tftypes.NewValue(same["service"].Type(), inner)
			}
			if name == "a name that is too long" {
				state["project"] = text(strings.Repeat("p", 51))
				config = i.with(config, map[string]tftypes.Value{"project": state["project"]})
			}
			i.state = i.with(i.state, state)
			short, want := i.planned(config)
			if short {
				t.Error("the shorter way is taken")
			}
			if errorsIn(want.Diagnostics) == "" && i.value(want.PlannedState).Equal(i.state) {
				t.Error("the framework says that nothing changes")
			}
		})
	}
}

// What the provider keeps beside the state stays there, and a provider whose
// configuration is not known yet decides nothing.
func TestShorterWaysAndTheProvider(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	i := newCompared(t, s)
	i.must(i.apply(kafkaSpout(nil)))
	config := i.dynamic(i.kind, valueOf(t, i.kind, kafkaSpout(nil)))
	plan := &tfprotov6.PlanResourceChangeRequest{TypeName: i.typeName, Config: config, PriorState: i.dynamic(i.kind, i.state), ProposedNewState: i.dynamic(i.kind, i.state)}
	if short, _ := i.plannedFor(plan); !short {
		t.Fatal("the framework is asked for a plan of what has not changed, in a state without identity")
	}
	for what, private := range map[string]string{"planned": `{"x":"eyJhIjoxfQ=="}`, "imported": `{".import_before_read":"dHJ1ZQ=="}`} {
		kept := *plan
		kept.PriorPrivate = []byte(private)
		if short, want := i.plannedFor(&kept); short || len(want.PlannedPrivate) == 0 {
			t.Errorf("%s: private data are lost: %s", what, want.PlannedPrivate)
		}
		read := i.readRequest()
		read.Private = []byte(private)
		if short, _ := i.reread(read); short {
			t.Errorf("%s: private data are lost", what)
		}
	}
	later := newCompared(t, s)
	provider := later.schemas.Provider.ValueType()
	configured, err := later.server.ConfigureProvider(later.ctx, &tfprotov6.ConfigureProviderRequest{
		ClientCapabilities: &tfprotov6.ConfigureProviderClientCapabilities{DeferralAllowed: true},
		Config:             later.dynamic(provider, valueOf(t, provider, object{"address": unknown{}}))})
	if err != nil || errorsIn(configured.Diagnostics) != "" {
		t.Fatal(err, errorsIn(configured.Diagnostics))
	}
	if short, want := later.plannedFor(plan); short || want.Deferred == nil {
		t.Errorf("a provider whose address is not known has planned: %+v", want)
	}
}

// What has changed is read by the framework, with the one answer that
// Pachyderm gave.
func TestReadOfWhatHasChanged(t *testing.T) {
	t.Parallel()
	text := func(s string) tftypes.Value { return tftypes.NewValue(tftypes.String, s) }
	for name, c := range map[string]struct {
		state  map[string]tftypes.Value
		server func(*testing.T, *pachtest.Server)
		fails  bool
	}{
		"version":     {state: map[string]tftypes.Value{"version": tftypes.NewValue(tftypes.Number, 7)}},
		"state":       {state: map[string]tftypes.Value{"state": text("failure")}},
		"pods":        {state: map[string]tftypes.Value{"workers_available": tftypes.NewValue(tftypes.Number, 0)}},
		"id":          {state: map[string]tftypes.Value{"id": text("x/y")}},
		"paused":      {state: map[string]tftypes.Value{"paused": tftypes.NewValue(tftypes.Bool, true)}},
		"a setting":   {state: map[string]tftypes.Value{"description": text("other")}},
		"no wait_for": {state: map[string]tftypes.Value{"wait_for": tftypes.NewValue(tftypes.String, nil)}},
		"gone":        {state: map[string]tftypes.Value{"name": text("gone")}},
		"not answered": {fails: true, server: func(_ *testing.T, s *pachtest.Server) {
			s.Inject(pachtest.Fault{Method: "InspectPipeline", Count: -1, Before: status.Error(codes.PermissionDenied, "no")})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pachtest.New(t)
			i := newCompared(t, s)
			i.must(i.apply(kafkaSpout(nil)))
			i.state, i.id = i.with(i.state, c.state), nil
			if c.server != nil {
				c.server(t, s)
			}
			before := len(s.Calls("InspectPipeline"))
			got, err := i.server.ReadResource(i.ctx, i.readRequest())
			if err != nil {
				t.Fatal(err)
			}
			if calls := len(s.Calls("InspectPipeline")) - before; calls != 1 {
				t.Errorf("%d calls for one answer", calls)
			}
			short, want := i.reread(i.readRequest())
			if short || errorsIn(got.Diagnostics) != errorsIn(want.Diagnostics) || (errorsIn(want.Diagnostics) != "") != c.fails {
				t.Fatalf("the shorter way: %v; %s, not %s", short, errorsIn(got.Diagnostics), errorsIn(want.Diagnostics))
			}
			i.sameValue("state", i.kind, got.NewState, want.NewState)
			if !c.fails && i.value(want.NewState).Equal(i.state) {
				t.Error("nothing has changed")
			}
		})
	}
}

// That Pachyderm has a spout just as the state says is not all that its plan
// depends on.
func TestShorterWayAfterRead(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	id := pachyderm.PipelineID{Project: "Shop_1", Name: "orders"} // whose pods Kubernetes would refuse
	if err := createProject(t, s, id.Project); err != nil {
		t.Fatal(err)
	}
	config := transformSpout(object{"project": id.Project, "name": id.Name})
	if err := client(t, s).CreatePipeline(t.Context(), id, pachyderm.Spec{Image: "myaccount/myimage:0.1", Cmd: []string{"go", "run", "./main.go"}}, ""); err != nil {
		t.Fatal(err)
	}
	i := newCompared(t, s)
	i.must(i.importID(id.String(), nil))
	if short, _ := i.reread(i.readRequest()); !short {
		t.Fatal("the framework is asked to read what has not changed")
	}
	if short, want := i.planned(valueOf(t, i.kind, config)); short || errorsIn(want.Diagnostics) == "" {
		t.Errorf("the shorter way: %v", short)
	}
}

// A state whose identity is another one is an error, and stays one.
func TestReadOfAnotherIdentity(t *testing.T) {
	t.Parallel()
	i := newCompared(t, pachtest.New(t))
	i.must(i.apply(kafkaSpout(nil)))
	other := encoded(i.spout.identity, valueOf(t, i.spout.identity, object{"project": "default", "name": "payments"}))
	i.id = &tfprotov6.ResourceIdentityData{IdentityData: &other}
	if short, want := i.reread(i.readRequest()); short || errorsIn(want.Diagnostics) == "" {
		t.Errorf("the shorter way: %v", short)
	}
}

// A stored state goes back as it is if it fits the schema, and is the
// framework's matter otherwise; either way it is read for the same.
func TestStatesThatFit(t *testing.T) {
	t.Parallel()
	i := newCompared(t, pachtest.New(t))
	i.must(i.apply(kafkaSpout(object{"env": object{"A": "1"}, "tolerations": []any{object{"operator": "Exists", "toleration_seconds": nil}},
		"kafka.start_offsets": object{"orders": object{"0": 1200.0}}, "resource_limits": object{"cpu": 0.5, "memory": "1Gi"}})))
	stored := jsonOf(t, i.state).(object)
	for name, c := range map[string]struct {
		change  func(state object)
		fits    bool
		version int64
	}{
		"as it is":                 {func(object) {}, true, 0},
		"attributes missing":       {func(s object) { delete(s, "reason"); delete(s["kafka"].(object), "rack") }, true, 0},
		"another version":          {func(object) {}, false, 7},
		"an attribute too many":    {func(s object) { s["more"] = "x" }, false, 0},
		"null too many":            {func(s object) { s["more"] = nil }, false, 0},
		"one too many in kafka":    {func(s object) { s["kafka"].(object)["more"] = nil }, false, 0},
		"one too many in a list":   {func(s object) { s["tolerations"].([]any)[0].(object)["more"] = nil }, false, 0},
		"a number for a text":      {func(s object) { s["name"] = 7 }, false, 0},
		"a text for a number":      {func(s object) { s["version"] = "7" }, false, 0},
		"a text for a truth":       {func(s object) { s["paused"] = "true" }, false, 0},
		"a text in place of kafka": {func(s object) { s["kafka"] = "x" }, false, 0},
		"a text for a list":        {func(s object) { s["kafka"].(object)["topics"] = "x" }, false, 0},
		"a number in a map":        {func(s object) { s["env"].(object)["A"] = 7 }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			copied := jsonOf(t, i.state).(object)
			if !reflect.DeepEqual(copied, stored) {
				t.Fatal("the state is not what it was")
			}
			c.change(copied)
			text, err := json.Marshal(copied)
			if err != nil {
				t.Fatal(err)
			}
			req := &tfprotov6.UpgradeResourceStateRequest{TypeName: i.typeName, Version: c.version, RawState: &tfprotov6.RawState{JSON: text}}
			want, err := i.framework.UpgradeResourceState(i.ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			got := i.upgradeShort(req)
			if (got != nil) != c.fits {
				t.Fatalf("it fits: %v; the framework: %s", got != nil, errorsIn(want.Diagnostics))
			}
			if got != nil {
				i.sameValue("state", i.kind, got.UpgradedState, want.UpgradedState)
			}
		})
	}
}

// jsonOf is a value as Terraform stores it.
func jsonOf(t testing.TB, v tftypes.Value) any {
	t.Helper()
	if o, ok := v.Type().(tftypes.Object); ok && !v.IsNull() {
		var children map[string]tftypes.Value
		if err := v.As(&children); err != nil {
			t.Fatal(err)
		}
		out := object{}
		for name := range o.AttributeTypes {
			out[name] = jsonOf(t, children[name])
		}
		return out
	}
	if l, ok := v.Type().(tftypes.List); ok && !v.IsNull() {
		var children []tftypes.Value
		if err := v.As(&children); err != nil {
			t.Fatal(err)
		}
		out := []any{}
		for _, child := range children {
			if !child.Type().Is(l.ElementType) {
				t.Fatal(child)
			}
			out = append(out, jsonOf(t, child))
		}
		return out
	}
	return plain(t, v)
}

// A provider without a log works as one that has it, and a call that Terraform
// gives up ends.
func TestWithoutLog(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	i := newCompared(t, s, WithoutLog())
	i.must(i.apply(kafkaSpout(nil)))
	if i.changes(kafkaSpout(nil)) {
		t.Error("a second plan changes something")
	}
	held := make(chan struct{})
	defer close(held)
	call := s.Inject(pachtest.Fault{Method: "InspectPipeline", Stall: held})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan []*tfprotov6.Diagnostic, 1)
	go func() {
		read, err := i.server.ReadResource(ctx, i.readRequest())
		if err != nil {
			t.Error(err)
			read = &tfprotov6.ReadResourceResponse{}
		}
		done <- read.Diagnostics
	}()
	<-call.Reached()
	cancel()
	if told := errorsIn(<-done); !strings.Contains(told, "cancel") {
		t.Errorf("a call that Terraform gave up ends with %q", told)
	}
}
