// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/gogo/protobuf/proto"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// TooOldError says that a specification has fields that the server does not
// know.
type TooOldError struct{ Fields []string }

func (e *TooOldError) Error() string {
	return fmt.Sprintf("this Pachyderm is older than 2.8, and cannot take %s. Leave that out, or update Pachyderm", strings.Join(e.Fields, ", "))
}

// CreateDocument creates a pipeline. The server makes up a salt if it is "".
func (c *Client) CreateDocument(ctx context.Context, id PipelineID, d *Document, salt string) error {
	return c.putPipeline(ctx, id, d, putRequest{verb: "create", salt: salt})
}

// UpdateDocument gives a pipeline another specification. With reprocess, the
// new version does again what the old one has done already.
func (c *Client) UpdateDocument(ctx context.Context, id PipelineID, d *Document, reprocess bool) error {
	return c.putPipeline(ctx, id, d, putRequest{verb: "update", update: true, reprocess: reprocess})
}

// putRequest is what belongs to one request, beside the specification.
type putRequest struct {
	verb, salt        string
	update, reprocess bool
}

// putPipeline sends a specification. Servers from 2.8 on can be sent the text
// as it is: fields that 2.6 does not know, and zeros that are to take the place
// of the cluster's defaults.
func (c *Client) putPipeline(ctx context.Context, id PipelineID, d *Document, put putRequest) error {
	verb := put.verb
	if err := c.ensureFollowed(ctx, id, d); err != nil {
		return fmt.Errorf("%s pipeline %s: %w", verb, id, err)
	}
	if len(d.Newer) > 0 || d.zeros || d.sinceOtherwise() {
		err := c.putPipelineJSON(ctx, id, d, put)
		switch {
		case err == nil:
			return nil
		case !IsUnknownMethod(err):
			return fmt.Errorf("%s pipeline %s: %w", verb, id, err)
		case len(d.Newer) > 0:
			return &TooOldError{d.Newer}
		case d.sinceOtherwise():
			if version, err := c.ServerVersion(ctx); err != nil {
				return fmt.Errorf("%s pipeline %s: %w", verb, id, err)
			} else if version.Minor >= 7 {
				return &TooOldError{[]string{"input.pfs.trigger.cronSpec"}}
			}
		}
	}
	request := proto.Clone(d.request).(*pps.CreatePipelineRequest)
	request.Pipeline, request.Update, request.Reprocess, request.Salt = id.proto(), put.update, put.reprocess, put.salt
	if err := c.createPipeline(ctx, request); err != nil {
		return fmt.Errorf("%s pipeline %s: %w", verb, id, err)
	}
	return nil
}

// ensureFollowed makes the branches that the inputs' triggers follow, where
// they are missing in a repo that is there. From 2.9 on pachd refuses a trigger
// without its branch.
func (c *Client) ensureFollowed(ctx context.Context, id PipelineID, d *Document) error {
	var followed []BranchID
	visitPFS(d.request.Input, func(in *pps.PFSInput) {
		if in.Trigger != nil {
			followed = append(followed, BranchID{cmp.Or(in.Project, id.Project), in.Repo, cmp.Or(in.Trigger.Branch, DefaultOutputBranch)})
		}
	})
	for _, branch := range followed {
		if _, err := c.InspectRepo(ctx, RepoID{branch.Project, branch.Repo}); IsNotFound(err) {
			continue // pachd says it better
		} else if err != nil {
			return err
		}
		if err := c.ensureBranch(ctx, branch); err != nil {
			return err
		}
	}
	return nil
}

// createPipeline sends a request. It cannot say that a spout is not to scale by
// itself, which matters where the defaults of the cluster or the project have
// all pipelines do so: then the request goes as JSON, which can.
func (c *Client) createPipeline(ctx context.Context, request *pps.CreatePipelineRequest) error {
	_, err := c.PPS.CreatePipeline(ctx, request)
	if request.Spout == nil || request.Autoscaling || !isAutoscalingOfDefaults(err) {
		return err
	}
	plain := proto.Clone(request).(*pps.CreatePipelineRequest)
	plain.Update, plain.Reprocess = false, false
	fields, err := fieldsFrom(plain)
	if err != nil {
		return err
	}
	fields["autoscaling"] = false
	return c.sendJSON(ctx, fields, request.Update, request.Reprocess)
}

// fieldsFrom returns a request as JSON, by camelCase names.
func fieldsFrom(request *pps.CreatePipelineRequest) (map[string]any, error) {
	text, err := (&jsonpb.Marshaler{}).MarshalToString(request)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return fields, decoder.Decode(&fields)
}

// sinceOtherwise says that the 2.6 message means something else to newer
// servers: what was a trigger's cron_spec is its rate_limit_spec from 2.7 on.
func (d *Document) sinceOtherwise() bool {
	found := false
	visit(inside(d.fields, "input"), func(input map[string]any) {
		if _, ok := inside(input, "pfs", "trigger")["cronSpec"]; ok {
			found = true
		}
	})
	return found
}

func (c *Client) putPipelineJSON(ctx context.Context, id PipelineID, d *Document, put putRequest) error {
	fields := maps.Clone(d.fields)
	fields["pipeline"] = map[string]any{"name": id.Name, "project": map[string]any{"name": id.Project}}
	if put.salt != "" {
		fields["salt"] = put.salt
	}
	return c.sendJSON(ctx, fields, put.update, put.reprocess)
}

func (c *Client) sendJSON(ctx context.Context, fields map[string]any, update, reprocess bool) error {
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	request := &CreatePipelineV2Request{JSON: string(text), Update: update, Reprocess: reprocess}
	return c.conn.Invoke(ctx, CreatePipelineV2, request, &CreatePipelineV2Response{})
}

// CreatePipelineV2 is the call that takes specifications as JSON (2.8 and newer).
const CreatePipelineV2 = "/pps_v2.API/CreatePipelineV2"

// CreatePipelineV2Request is a message of 2.8 and newer.
type CreatePipelineV2Request struct {
	JSON      string `protobuf:"bytes,1,opt,name=create_pipeline_request_json,proto3"`
	DryRun    bool   `protobuf:"varint,2,opt,name=dry_run,proto3"`
	Update    bool   `protobuf:"varint,3,opt,name=update,proto3"`
	Reprocess bool   `protobuf:"varint,4,opt,name=reprocess,proto3"`
}

// Reset, String and ProtoMessage make it a message.
func (m *CreatePipelineV2Request) Reset()         { *m = CreatePipelineV2Request{} }
func (m *CreatePipelineV2Request) String() string { return m.JSON }

// ProtoMessage marks it as a message.
func (*CreatePipelineV2Request) ProtoMessage() {}

// CreatePipelineV2Response is the answer: the specification with the
// cluster's defaults.
type CreatePipelineV2Response struct {
	JSON string `protobuf:"bytes,1,opt,name=effective_create_pipeline_request_json,proto3"`
}

// Reset, String and ProtoMessage make it a message.
func (m *CreatePipelineV2Response) Reset()         { *m = CreatePipelineV2Response{} }
func (m *CreatePipelineV2Response) String() string { return m.JSON }

// ProtoMessage marks it as a message.
func (*CreatePipelineV2Response) ProtoMessage() {}

// documentFrom returns what a pipeline was asked for as. It is as askedFor, in
// full.
func documentFrom(info *pps.PipelineInfo) *Document {
	var newer newerFields
	if newer.parse(info.XXX_unrecognized) {
		var fields map[string]any
		decoder := json.NewDecoder(strings.NewReader(newer.UserSpecJSON))
		decoder.UseNumber()
		if decoder.Decode(&fields) == nil && fields["transform"] != nil {
			if d, err := newDocument(fields, true); err == nil {
				return d
			}
		}
	}
	request := detailsRequest(info)
	d := &Document{request: request, filledIn: true, fields: map[string]any{}}
	if fields, err := fieldsFrom(request); err == nil {
		d.fields = fields
	}
	d.strip()
	return d
}
