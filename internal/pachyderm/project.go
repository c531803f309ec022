// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// Project is a project as the server has it.
type Project struct {
	Name        string
	Description string
	Created     time.Time
}

// InspectProject returns a project as it is now.
func (c *Client) InspectProject(ctx context.Context, name string) (*Project, error) {
	info, err := c.PFS.InspectProject(ctx, &pfs.InspectProjectRequest{Project: projectNamed(name)})
	if err != nil {
		return nil, fmt.Errorf("inspect project %s: %w", name, err)
	}
	return projectFrom(info), nil
}

// ListProjects returns all projects, by name.
func (c *Client) ListProjects(ctx context.Context) ([]*Project, error) {
	stream, err := c.PFS.ListProject(ctx, &pfs.ListProjectRequest{})
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	projects, err := receive(stream.Recv, projectFrom)
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	return projects, nil
}

// CreateProject makes a project. It fails if there is one of the name.
func (c *Client) CreateProject(ctx context.Context, name, description string) error {
	_, err := c.PFS.CreateProject(ctx, &pfs.CreateProjectRequest{Project: projectNamed(name), Description: description})
	if err != nil {
		return fmt.Errorf("create project %s: %w", name, err)
	}
	return nil
}

// DescribeProject replaces the description of a project that exists.
func (c *Client) DescribeProject(ctx context.Context, name, description string) error {
	_, err := c.PFS.CreateProject(ctx, &pfs.CreateProjectRequest{Project: projectNamed(name), Description: description, Update: true})
	if err != nil {
		return fmt.Errorf("update project %s: %w", name, err)
	}
	return nil
}

// DeleteProject deletes an empty project (see [IsNotEmpty]).
func (c *Client) DeleteProject(ctx context.Context, name string) error {
	if _, err := c.PFS.DeleteProject(ctx, &pfs.DeleteProjectRequest{Project: projectNamed(name)}); err != nil {
		return fmt.Errorf("delete project %s: %w", name, err)
	}
	return nil
}

// EmptyProject deletes all pipelines and repos of a project, with their data.
// What is read from other projects is not deleted, and is an error.
func (c *Client) EmptyProject(ctx context.Context, name string) error {
	projects := []*pfs.Project{projectNamed(name)}
	patient := Patiently(ctx)
	err := c.emptying(ctx, name, func() error {
		_, err := c.PPS.DeletePipelines(patient, &pps.DeletePipelinesRequest{Projects: projects})
		return err
	})
	if err != nil {
		return fmt.Errorf("delete pipelines of project %s: %w", name, err)
	}
	err = c.emptying(ctx, name, func() error {
		_, err := c.PFS.DeleteRepos(patient, &pfs.DeleteReposRequest{Projects: projects})
		return err
	})
	if err != nil {
		return fmt.Errorf("delete repos of project %s: %w", name, err)
	}
	return nil
}

// emptying calls remove, which deletes repos of a project that are read inside
// it at most.
func (c *Client) emptying(ctx context.Context, project string, remove func() error) error {
	repos := func() ([]RepoID, error) {
		all, err := c.ListRepos(ctx, project)
		var ids []RepoID
		for _, repo := range all {
			ids = append(ids, repo.ID)
		}
		return ids, err
	}
	return c.withoutTriggers(ctx, repos, func(reader RepoID) bool { return reader.Project == project }, remove)
}

func projectNamed(name string) *pfs.Project { return &pfs.Project{Name: name} }

func projectFrom(info *pfs.ProjectInfo) *Project {
	return &Project{Name: Plain(info.GetProject().GetName()), Description: info.Description, Created: timeFrom(info.CreatedAt)}
}

// maxList is how long a list may be: tens of thousands of pipelines.
const maxList = 64 << 20

// receive takes all that a stream sends.
func receive[In interface{ Size() int }, Out any](recv func() (In, error), from func(In) Out) ([]Out, error) {
	var all []Out
	size := 0
	for {
		item, err := recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if size += item.Size(); size > maxList {
			return nil, fmt.Errorf("the list is longer than %d MiB", maxList>>20)
		}
		all = append(all, from(item))
	}
}
