// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// ListPipelines returns the pipelines of the projects, or of all, by name.
// Those that the caller may not see are left out.
func (c *Client) ListPipelines(ctx context.Context, projects ...string) ([]*Pipeline, error) {
	request := &pps.ListPipelineRequest{Details: true}
	for _, name := range projects {
		request.Projects = append(request.Projects, projectNamed(name))
	}
	var pipelines []*Pipeline
	stream, err := c.PPS.ListPipeline(ctx, request)
	if err == nil {
		pipelines, err = receive(stream.Recv, func(info *pps.PipelineInfo) *Pipeline {
			return pipelineFrom(PipelineID{Project: Plain(info.GetPipeline().GetProject().GetName()), Name: Plain(info.GetPipeline().GetName())}, info)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	slices.SortFunc(pipelines, func(a, b *Pipeline) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return pipelines, nil
}
