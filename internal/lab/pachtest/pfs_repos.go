// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pfsAPI answers pfs_v2 calls on one side.
type pfsAPI struct {
	pfs.UnimplementedAPIServer
	*Server
	side *side
}

var validName = regexp.MustCompile("^[a-zA-Z0-9_-]+$")

func validateName(name string) error {
	if !validName.MatchString(name) {
		return unknown("name (%v) invalid: only alphanumeric characters, underscores, and dashes are allowed", name)
	}
	return nil
}

// maxProjectName leaves room for a pipeline's name in a Kubernetes name.
const maxProjectName = 51

func validateProjectName(p *pfs.Project) error {
	switch {
	case p == nil:
		return unknown("nil project")
	case p.Name == pfs.DefaultProjectName:
		return nil
	case len(p.Name) > maxProjectName:
		return unknown("project name %q is %d characters longer than the %d max", p.Name, maxProjectName-len(p.Name), maxProjectName)
	}
	if err := validateName(p.Name); err != nil {
		return err
	}
	if first := rune(p.Name[0]); !unicode.IsLetter(first) && !unicode.IsDigit(first) {
		return unknown("project names must start with an alphanumeric character")
	}
	return nil
}

// requireProject is the request validation of 2.8 and later.
func (s *Server) requireProject(message string, p *pfs.Project) error {
	if s.v211 && p == nil {
		return invalid(message, "Project", "value is required")
	}
	return nil
}

func (a *pfsAPI) CreateProject(ctx context.Context, req *pfs.CreateProjectRequest) (*types.Empty, error) {
	if err := a.requireProject("CreateProjectRequest", req.Project); err != nil {
		return nil, err
	}
	if err := validateProjectName(req.Project); err != nil {
		return nil, wrap(err, "invalid project name")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.touch()
	name := req.Project.Name
	p := a.projects[name]
	switch {
	case req.Update && p == nil:
		return nil, a.errProjectNotFound(name)
	case req.Update:
		p.description = req.Description
		return &types.Empty{}, nil
	case p != nil:
		return nil, alreadyExists("project %s already exists", name)
	}
	a.projects[name] = &project{name: name, description: req.Description, created: a.now()}
	if a.auth != nil {
		a.auth.bind(projectResource(name), caller(ctx), auth.ProjectOwnerRole)
	}
	return &types.Empty{}, nil
}

func (s *Server) projectInfo(ctx context.Context, p *project) *pfs.ProjectInfo {
	info := &pfs.ProjectInfo{Project: &pfs.Project{Name: p.name}, Description: p.description, CreatedAt: p.created}
	if s.auth != nil {
		roles := s.auth.roles(caller(ctx), projectResource(p.name))
		info.AuthInfo = &pfs.AuthInfo{Permissions: allPermissions(roles), Roles: roles}
	}
	return info
}

func (a *pfsAPI) InspectProject(ctx context.Context, req *pfs.InspectProjectRequest) (*pfs.ProjectInfo, error) {
	if err := a.requireProject("InspectProjectRequest", req.Project); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.projects[req.GetProject().GetName()]
	if p == nil {
		return nil, a.errProjectNotFound(req.GetProject().GetName())
	}
	return a.projectInfo(ctx, p), nil
}

func (a *pfsAPI) ListProject(_ *pfs.ListProjectRequest, stream pfs.API_ListProjectServer) error {
	a.mu.Lock()
	var infos []*pfs.ProjectInfo
	for _, p := range a.projects {
		infos = append(infos, a.projectInfo(stream.Context(), p))
	}
	a.mu.Unlock()
	slices.SortFunc(infos, func(x, y *pfs.ProjectInfo) int { return strings.Compare(x.Project.Name, y.Project.Name) })
	return sendAll(infos, stream.Send)
}

func (a *pfsAPI) DeleteProject(ctx context.Context, req *pfs.DeleteProjectRequest) (*types.Empty, error) {
	if err := a.requireProject("DeleteProjectRequest", req.Project); err != nil {
		return nil, err
	}
	if err := validateProjectName(req.Project); err != nil {
		return nil, wrap(err, "invalid project name")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	name := req.Project.Name
	if err := a.allow(ctx, projectResource(name), auth.Permission_PROJECT_DELETE, auth.Permission_PROJECT_MODIFY_BINDINGS); err != nil {
		return nil, wrap(err, "user is not authorized to delete project %q", name)
	}
	var left []string
	for key := range a.repos {
		if key.project == name {
			left = append(left, fmt.Sprintf("repo %v still exists", key))
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		return nil, status.Errorf(codes.FailedPrecondition, "cannot delete project %s: %d errors occurred:\n\t* %s\n\n", name, len(left), strings.Join(left, "\n\t* "))
	}
	if a.projects[name] == nil {
		return nil, wrap(a.errProjectNotFound(name), "delete project %q", name)
	}
	delete(a.projects, name)
	a.touch()
	return &types.Empty{}, nil
}

func (a *pfsAPI) CreateRepo(ctx context.Context, req *pfs.CreateRepoRequest) (*types.Empty, error) {
	if req.Repo == nil {
		return nil, unknown("repo cannot be nil")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := keyOfRepo(req.Repo)
	if key.kind == "" {
		key.kind = pfs.UserRepoType
	}
	return &types.Empty{}, a.createRepo(ctx, key, req.Description, req.Update)
}

// createRepo makes a repo or updates its description. Callers hold s.mu.
func (s *Server) createRepo(ctx context.Context, key repoKey, description string, update bool) error {
	if err := validateName(key.name); err != nil {
		return err
	}
	if s.projects[key.project] == nil {
		return wrap(s.errProjectNotFound(key.project), "cannot find project %q", key.project)
	}
	if err := s.allow(ctx, projectResource(key.project), auth.Permission_PROJECT_CREATE_REPO); err != nil {
		return wrap(err, "failed to create repo")
	}
	defer s.touch()
	if r := s.repos[key]; r != nil {
		switch {
		case !update:
			return alreadyExists("repo %v already exists", key)
		case r.description == description:
			return nil
		}
		if err := s.allowRepo(ctx, key, auth.Permission_REPO_WRITE); err != nil {
			return wrap(err, "could not update description of %q", key)
		}
		r.description = description
		return nil
	}
	s.repos[key] = &repo{
		key: key, created: s.now(), description: description, seq: s.nextSeq(),
		branches: map[string]*branch{}, commits: map[string]*commit{},
	}
	if s.auth != nil && key.kind == pfs.UserRepoType {
		s.auth.bind(repoResource(key), caller(ctx), auth.RepoOwnerRole)
	}
	return nil
}

func (s *Server) repoInfo(ctx context.Context, r *repo) *pfs.RepoInfo {
	info := &pfs.RepoInfo{Repo: r.key.message(), Created: r.created, Description: r.description}
	for _, b := range r.branchesByAge() {
		info.Branches = append(info.Branches, b.key.message())
	}
	if s.auth != nil {
		roles := s.auth.roles(caller(ctx), repoResource(r.key))
		info.AuthInfo = &pfs.AuthInfo{Permissions: allPermissions(roles), Roles: roles}
	}
	return info
}

// size is that of the newest commit of master that has details.
func (r *repo) size() int64 {
	if b := r.branches["master"]; b != nil {
		for c := b.head; c != nil; c = c.parent {
			if c.details {
				return c.size
			}
		}
	}
	return 0
}

func (r *repo) branchesByAge() []*branch {
	var all []*branch
	for _, b := range r.branches {
		all = append(all, b)
	}
	slices.SortFunc(all, func(x, y *branch) int { return int(x.seq - y.seq) })
	return all
}

func (a *pfsAPI) InspectRepo(ctx context.Context, req *pfs.InspectRepoRequest) (*pfs.RepoInfo, error) {
	if req.Repo == nil {
		return nil, unknown("repo cannot be nil")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.repos[keyOfRepo(req.Repo)]
	if r == nil {
		return nil, notFound("repo %v not found", keyOfRepo(req.Repo))
	}
	info := a.repoInfo(ctx, r)
	info.Details = &pfs.RepoInfo_Details{SizeBytes: r.size()}
	return info, nil
}

func (a *pfsAPI) ListRepo(req *pfs.ListRepoRequest, stream pfs.API_ListRepoServer) error {
	a.mu.Lock()
	var infos []*pfs.RepoInfo
	for _, r := range a.reposByAge() {
		if req.Type != "" && r.key.kind != req.Type {
			continue
		}
		if len(req.Projects) > 0 && !slices.ContainsFunc(req.Projects, func(p *pfs.Project) bool { return p.GetName() == r.key.project }) {
			continue
		}
		if a.allow(stream.Context(), projectResource(r.key.project), auth.Permission_PROJECT_LIST_REPO) != nil &&
			a.allowRepo(stream.Context(), r.key, auth.Permission_REPO_READ) != nil {
			continue
		}
		info := a.repoInfo(stream.Context(), r)
		info.SizeBytesUpperBound = r.size()
		infos = append(infos, info)
	}
	a.mu.Unlock()
	return sendAll(infos, stream.Send)
}

// reposByAge lists the newest repo first.
func (s *Server) reposByAge() []*repo {
	var all []*repo
	for _, r := range s.repos {
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y *repo) int { return int(y.seq - x.seq) })
	return all
}

// DeleteRepo says OK for a missing repo and, deleting nothing, to callers who
// are not allowed to delete it.
func (a *pfsAPI) DeleteRepo(ctx context.Context, req *pfs.DeleteRepoRequest) (*types.Empty, error) {
	if req.Repo == nil {
		return nil, status.Error(codes.InvalidArgument, "no repo specified")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := keyOfRepo(req.Repo)
	if a.repos[key] == nil || a.allowRepo(ctx, key, auth.Permission_REPO_DELETE) != nil {
		return &types.Empty{}, nil
	}
	if a.pipelines[pipelineKey{key.project, key.name}] != nil {
		return nil, wrap(unknown("cannot delete a repo associated with a pipeline - delete the pipeline instead"), "error checking whether repo %q can be deleted", key)
	}
	keys := []repoKey{key}
	if key.kind == pfs.UserRepoType {
		for _, kind := range []string{pfs.MetaRepoType, pfs.SpecRepoType} {
			if related := (repoKey{key.project, key.name, kind}); a.repos[related] != nil {
				keys = append(keys, related)
			}
		}
	}
	return &types.Empty{}, a.deleteRepos(keys, req.Force)
}

// DeleteRepos deletes all repos of the projects that the caller may delete, or
// none of them. A pipeline's are in the way.
func (a *pfsAPI) DeleteRepos(ctx context.Context, req *pfs.DeleteReposRequest) (*pfs.DeleteReposResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var keys []repoKey
	response := &pfs.DeleteReposResponse{}
	for key := range a.repos {
		if !req.All && !slices.ContainsFunc(req.Projects, func(p *pfs.Project) bool { return p.GetName() == key.project }) ||
			a.allowRepo(ctx, key, auth.Permission_REPO_DELETE) != nil {
			continue
		}
		if a.pipelines[pipelineKey{key.project, key.name}] != nil {
			return nil, wrap(unknown("cannot delete a repo associated with a pipeline - delete the pipeline instead"), "delete repos")
		}
		keys = append(keys, key)
		response.Repos = append(response.Repos, key.message())
	}
	if err := a.deleteRepos(keys, false); err != nil {
		return nil, wrap(err, "delete repos")
	}
	return response, nil
}

// deleteRepos deletes repos with their branches and commits, or none of them.
func (s *Server) deleteRepos(keys []repoKey, force bool) error {
	if !force {
		for _, key := range keys {
			for _, b := range s.repos[key].branchesByAge() {
				inSet := func(k branchKey) bool { return slices.Contains(keys, k.repoKey) }
				if err := s.mayDeleteBranch(b, inSet); err != nil {
					return wrap(err, "delete branch %s", b.key)
				}
			}
		}
	}
	for _, key := range keys {
		for _, b := range s.repos[key].branches {
			s.dropBranch(b)
		}
		for _, c := range s.repos[key].order {
			c.deleted = true
		}
		delete(s.repos, key)
		if s.auth != nil && key.kind == pfs.UserRepoType {
			delete(s.auth.bindings, repoResource(key))
		}
	}
	s.touch()
	return nil
}

// sendAll sends what was collected under the lock.
func sendAll[T any](items []T, send func(T) error) error {
	for _, item := range items {
		if err := send(item); err != nil {
			return err
		}
	}
	return nil
}
