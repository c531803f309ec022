// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// WithClusterDefaults sets the cluster's defaults for pipelines (2.8 and
// newer), as JSON.
func WithClusterDefaults(text string) Option { return func(s *Server) { s.clusterDefaults = text } }

// newSinceSpec are fields of a specification that 2.11 knows and the messages
// here do not. The fake shows them in what the user sent, and does no more.
var newSinceSpec = []string{"determined", "maximumExpectedUptime", "maximum_expected_uptime", "rateLimitSpec", "rate_limit_spec"}

// durationForm is the only one that the JSON of protocol buffers has.
var durationForm = regexp.MustCompile(`^-?[0-9]+(\.[0-9]{1,9})?s$`)

// withUserSpec returns the request that a 2.11 server makes of a user's JSON
// and the cluster's defaults, and what it shows of it.
func (s *Server) withUserSpec(userJSON string, update bool) (*pps.CreatePipelineRequest, *shownSpec, error) {
	var user map[string]any
	if err := json.Unmarshal([]byte(userJSON), &user); err != nil {
		return nil, nil, notEffective("%v", err)
	}
	inProject := ""
	if pipeline, ok := user["pipeline"].(map[string]any); ok {
		project, _ := pipeline["project"].(map[string]any)
		inProject, _ = project["name"].(string)
	}
	effective := map[string]any{}
	defaults := []string{s.clusterDefaults}
	if p := s.projects[orDefault(inProject)]; p != nil {
		defaults = append(defaults, p.defaults)
	}
	for _, text := range defaults {
		var parsed struct {
			CreatePipelineRequest map[string]any `json:"createPipelineRequest"`
		}
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), &parsed); err != nil {
			return nil, nil, unknown("defaults: %v", err)
		}
		effective = mergePatch(effective, parsed.CreatePipelineRequest)
	}
	effective = mergePatch(effective, user)
	for _, name := range []string{"datumTimeout", "datum_timeout", "jobTimeout", "job_timeout"} {
		if text, ok := effective[name].(string); ok && !durationForm.MatchString(text) {
			return nil, nil, notEffective("could not parse %s as Create Pipeline Request message: proto: invalid google.protobuf.Duration value %q", userJSON, text)
		}
	}
	known, err := json.Marshal(leavingOut(effective, newSinceSpec))
	if err != nil {
		return nil, nil, unknown("%v", err)
	}
	req := &pps.CreatePipelineRequest{}
	if err := jsonpb.Unmarshal(bytes.NewReader(known), req); err != nil {
		return nil, nil, notEffective("could not parse %s as Create Pipeline Request message: proto: %v", userJSON, err)
	}
	if problem := staticProblem(req); problem != "" {
		return nil, nil, notEffective("invalid effective spec %s: %s", known, problem)
	}
	if update {
		user["update"] = true
	}
	shown := &shownSpec{}
	for _, part := range []struct {
		to   *string
		from map[string]any
	}{{&shown.User, user}, {&shown.Effective, effective}} {
		text, err := json.Marshal(part.from)
		if err != nil {
			return nil, nil, unknown("%v", err)
		}
		*part.to = string(text)
	}
	return req, shown, nil
}

// notEffective is how newer servers refuse what they cannot merge or read.
func notEffective(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, "could not make effective spec: "+format, args...)
}

// shownSpec are fields of PipelineInfo since 2.8.
type shownSpec struct {
	User      string `protobuf:"bytes,13,opt,name=user_spec_json,proto3"`
	Effective string `protobuf:"bytes,14,opt,name=effective_spec_json,proto3"`
}

func (m *shownSpec) Reset()         { *m = shownSpec{} }
func (m *shownSpec) String() string { return m.User }
func (*shownSpec) ProtoMessage()    {}

// mergePatch is RFC 7396, with one spelling of names for both sides.
func mergePatch(to, patch map[string]any) map[string]any {
	to = maps.Clone(to)
	if to == nil {
		to = map[string]any{}
	}
	for name, v := range patch {
		key := name
		if words := strings.Split(name, "_"); len(words) > 1 {
			key = words[0]
			for _, word := range words[1:] {
				key += strings.ToUpper(word[:min(1, len(word))]) + word[min(1, len(word)):]
			}
			if _, ok := to[key]; !ok {
				key = name
			}
		}
		inner, ok := v.(map[string]any)
		switch {
		case v == nil:
			delete(to, key)
		case ok:
			old, _ := to[key].(map[string]any)
			to[key] = mergePatch(old, inner)
		default:
			to[key] = v
		}
	}
	return to
}

// leavingOut returns v without fields of the names, at any depth.
func leavingOut(v any, names []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, inner := range v {
			out[name] = leavingOut(inner, names)
		}
		for _, name := range names {
			delete(out, name)
		}
		return out
	case []any:
		out := []any{}
		for _, inner := range v {
			out = append(out, leavingOut(inner, names))
		}
		return out
	}
	return v
}

// setProjectDefaults is the call that sets what pipelines of a project are
// specified with where they say nothing (2.8 and newer).
const setProjectDefaults = "/pps_v2.API/SetProjectDefaults"

type setProjectDefaultsRequest struct {
	Project *pfs.Project `protobuf:"bytes,1,opt,name=project,proto3"`
	JSON    string       `protobuf:"bytes,5,opt,name=project_defaults_json,proto3"`
}

func (m *setProjectDefaultsRequest) Reset()         { *m = setProjectDefaultsRequest{} }
func (m *setProjectDefaultsRequest) String() string { return m.JSON }
func (*setProjectDefaultsRequest) ProtoMessage()    {}

func (a *ppsAPI) setProjectDefaults(name, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.projects[orDefault(name)]; p != nil {
		p.defaults = text
	}
}

// createPipelineV2 is pps_v2.API/CreatePipelineV2, which the generated API
// does not have.
func (a *ppsAPI) createPipelineV2(ctx context.Context, text string, update, reprocess bool) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	req, shown, err := a.withUserSpec(text, update)
	if err != nil {
		return "", err
	}
	if err := a.checkPipelineMessage("CreatePipelineRequest", req.Pipeline); err != nil {
		return "", err
	}
	req.Update, req.Reprocess = update, reprocess
	return shown.Effective, a.createPipeline(ctx, req, shown)
}

// unknownMethod answers calls that the generated API does not have.
func (sd *side) unknownMethod(api *ppsAPI) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		switch {
		case sd.server.v211 && method == pachyderm.CreatePipelineV2:
			var req pachyderm.CreatePipelineV2Request
			if err := stream.RecvMsg(&req); err != nil {
				return err
			}
			effective, err := api.createPipelineV2(stream.Context(), req.JSON, req.Update, req.Reprocess)
			if err != nil {
				return err
			}
			return stream.SendMsg(&pachyderm.CreatePipelineV2Response{JSON: effective})
		case sd.server.v211 && method == setProjectDefaults:
			var req setProjectDefaultsRequest
			if err := stream.RecvMsg(&req); err != nil {
				return err
			}
			api.setProjectDefaults(req.Project.GetName(), req.JSON)
			return stream.SendMsg(&types.Empty{}) // nobody looks for the pipelines that it names
		case sd.grpc.GetServiceInfo()[service].Methods == nil:
			return status.Error(codes.Unimplemented, "unknown service "+service)
		}
		return status.Error(codes.Unimplemented, fmt.Sprintf("unknown method %s for service %s", name, service))
	}
}
