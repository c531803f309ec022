// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/gogo/protobuf/jsonpb"
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

// withUserSpec returns the request that a 2.11 server makes of a user's JSON
// and the cluster's defaults, and what it shows of it.
func (s *Server) withUserSpec(userJSON string, update bool) (*pps.CreatePipelineRequest, *shownSpec, error) {
	var user, effective map[string]any
	if err := json.Unmarshal([]byte(userJSON), &user); err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "could not make effective spec: %v", err)
	}
	effective = map[string]any{}
	if s.clusterDefaults != "" {
		var defaults struct {
			CreatePipelineRequest map[string]any `json:"createPipelineRequest"`
		}
		if err := json.Unmarshal([]byte(s.clusterDefaults), &defaults); err != nil {
			return nil, nil, unknown("cluster defaults: %v", err)
		}
		effective = defaults.CreatePipelineRequest
	}
	effective = mergePatch(effective, user)
	known, err := json.Marshal(leavingOut(effective, newSinceSpec))
	if err != nil {
		return nil, nil, unknown("%v", err)
	}
	req := &pps.CreatePipelineRequest{}
	if err := jsonpb.Unmarshal(bytes.NewReader(known), req); err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "could not make effective spec: cannot unmarshal: unexpected field: %v", err)
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
		case sd.grpc.GetServiceInfo()[service].Methods == nil:
			return status.Error(codes.Unimplemented, "unknown service "+service)
		}
		return status.Error(codes.Unimplemented, fmt.Sprintf("unknown method %s for service %s", name, service))
	}
}
