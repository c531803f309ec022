// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

// RepoID names a repo of the user type. A pipeline's output repo has the
// pipeline's name.
type RepoID struct{ Project, Name string }

func (id RepoID) String() string { return id.Project + "/" + id.Name }

func (id RepoID) proto() *pfs.Repo {
	return &pfs.Repo{Name: id.Name, Type: pfs.UserRepoType, Project: projectNamed(id.Project)}
}

// Repo is a repo as the server has it.
type Repo struct {
	ID          RepoID
	Description string
	Created     time.Time
	SizeBytes   int64    // of the head of master, as far as it was computed
	Branches    []string // names, sorted
}

// InspectRepo returns a repo as it is now.
func (c *Client) InspectRepo(ctx context.Context, id RepoID) (*Repo, error) {
	info, err := c.PFS.InspectRepo(ctx, &pfs.InspectRepoRequest{Repo: id.proto()})
	if err != nil {
		return nil, fmt.Errorf("inspect repo %s: %w", id, err)
	}
	return repoFrom(info), nil
}

// ListRepos returns the repos of the projects, or of all, by name. Those that
// the caller may not see are left out.
func (c *Client) ListRepos(ctx context.Context, projects ...string) ([]*Repo, error) {
	request := &pfs.ListRepoRequest{Type: pfs.UserRepoType}
	for _, name := range projects {
		request.Projects = append(request.Projects, projectNamed(name))
	}
	var repos []*Repo
	stream, err := c.PFS.ListRepo(ctx, request)
	if err == nil {
		repos, err = receive(stream.Recv, repoFrom)
	}
	if err != nil {
		return nil, fmt.Errorf("list repos: %w", err)
	}
	slices.SortFunc(repos, func(a, b *Repo) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return repos, nil
}

// CreateRepo makes a repo. It fails if there is one of the name.
func (c *Client) CreateRepo(ctx context.Context, id RepoID, description string) error {
	if _, err := c.PFS.CreateRepo(ctx, &pfs.CreateRepoRequest{Repo: id.proto(), Description: description}); err != nil {
		return fmt.Errorf("create repo %s: %w", id, err)
	}
	return nil
}

// DescribeRepo replaces the description of a repo. A repo that is missing
// would be created: look before.
func (c *Client) DescribeRepo(ctx context.Context, id RepoID, description string) error {
	if _, err := c.PFS.CreateRepo(ctx, &pfs.CreateRepoRequest{Repo: id.proto(), Description: description, Update: true}); err != nil {
		return fmt.Errorf("update repo %s: %w", id, err)
	}
	return nil
}

// DeleteRepo deletes a repo that nobody reads with all data. The server takes a missing repo for
// deleted, and says so too when the caller may not delete it: look afterwards.
func (c *Client) DeleteRepo(ctx context.Context, id RepoID) error {
	err := c.withoutTriggers(ctx, justThis(id), nil, func() error {
		_, err := c.PFS.DeleteRepo(Patiently(ctx), &pfs.DeleteRepoRequest{Repo: id.proto()})
		return err
	})
	if err != nil {
		return fmt.Errorf("delete repo %s: %w", id, err)
	}
	return nil
}

func justThis(id RepoID) func() ([]RepoID, error) {
	return func() ([]RepoID, error) { return []RepoID{id}, nil }
}

// Readers lists the repos with a branch that has one of this repo's branches
// in its provenance: outputs of pipelines, mostly.
func (c *Client) Readers(ctx context.Context, repo *Repo) ([]RepoID, error) {
	var readers []RepoID
	for _, name := range repo.Branches {
		info, err := c.PFS.InspectBranch(ctx, &pfs.InspectBranchRequest{Branch: c.Branch(repo.ID.Project, repo.ID.Name, name).proto()})
		if IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("inspect branch %s of %s: %w", name, repo.ID, err)
		}
		readers = append(readers, readersOf(info)...)
	}
	slices.SortFunc(readers, func(a, b RepoID) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(readers), nil
}

func readersOf(info *pfs.BranchInfo) []RepoID {
	var readers []RepoID
	own := repoID(info.GetBranch().GetRepo())
	for _, b := range info.Subvenance {
		if id := repoID(b.GetRepo()); b.GetRepo().GetType() == pfs.UserRepoType && id != own {
			readers = append(readers, id)
		}
	}
	return readers
}

func repoID(repo *pfs.Repo) RepoID {
	return RepoID{Project: Plain(repo.GetProject().GetName()), Name: Plain(repo.GetName())}
}

func repoFrom(info *pfs.RepoInfo) *Repo {
	r := &Repo{ID: repoID(info.Repo), Description: info.Description, Created: timeFrom(info.Created), SizeBytes: info.SizeBytesUpperBound}
	if info.Details != nil {
		r.SizeBytes = info.Details.SizeBytes
	}
	for _, b := range info.Branches {
		r.Branches = append(r.Branches, Plain(b.GetName()))
	}
	slices.Sort(r.Branches)
	return r
}
