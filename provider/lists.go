// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// lists are the list resources of the provider.
func (p *pachydermProvider) lists() []func() list.ListResource {
	one := func(l objectList) func() list.ListResource {
		return func() list.ListResource { return &l }
	}
	return []func() list.ListResource{
		one(objectList{resource: func() resource.Resource { return newSpoutResource(p.runnerImage()) },
			doc: "Lists the spouts of a cluster.", filters: []string{"project"}, find: findPipelines(true)}),
		one(objectList{resource: newPipelineResource,
			doc: "Lists the pipelines of a cluster that are not spouts.", filters: []string{"project"}, find: findPipelines(false)}),
		one(objectList{resource: newProjectResource, doc: "Lists the projects of a cluster.", find: findProjects}),
		one(objectList{resource: newRepoResource,
			doc: "Lists the repos of a cluster that belong to no pipeline.", filters: []string{"project"}, find: findRepos}),
		one(objectList{resource: newBranchResource,
			doc: "Lists the branches of a cluster that no pipeline writes.", filters: []string{"project", "repo"}, find: findBranches}),
		one(objectList{resource: newSecretResource,
			doc: "Lists the Kubernetes secrets that were made through Pachyderm. What they hold is not listed: Pachyderm does not show it.", find: findSecrets}),
		one(objectList{resource: newRoleBindingResource,
			doc:     "Lists the role bindings of users, groups, robots and allClusterUsers on the cluster, its projects and its repos. Those of pipelines are left out: Pachyderm gives them itself. Without authentication there are none. `name_prefix` is compared with the principal, for example `user:`.",
			filters: []string{"project"}, find: findRoleBindings}),
	}
}

func findPipelines(spouts bool) func(context.Context, *pachyderm.Client, filter) ([]found, error) {
	return func(ctx context.Context, client *pachyderm.Client, f filter) ([]found, error) {
		pipelines, err := client.ListPipelines(ctx, f.projects()...)
		var all []found
		for _, p := range pipelines {
			if p.IsSpout == spouts {
				all = append(all, found{p.ID.String(), p.ID.Name})
			}
		}
		return all, err
	}
}

func findProjects(ctx context.Context, client *pachyderm.Client, _ filter) ([]found, error) {
	projects, err := client.ListProjects(ctx)
	var all []found
	for _, p := range projects {
		all = append(all, found{p.Name, p.Name})
	}
	return all, err
}

func findRepos(ctx context.Context, client *pachyderm.Client, f filter) ([]found, error) {
	repos, writers, err := reposAndWriters(ctx, client, f)
	var all []found
	for _, r := range repos {
		if writers[r.ID] == nil {
			all = append(all, found{r.ID.String(), r.ID.Name})
		}
	}
	return all, err
}

func findBranches(ctx context.Context, client *pachyderm.Client, f filter) ([]found, error) {
	repos, writers, err := reposAndWriters(ctx, client, f)
	var all []found
	for _, r := range repos {
		if f.repo != "" && r.ID.Name != f.repo {
			continue
		}
		for _, branch := range r.Branches {
			if p := writers[r.ID]; p == nil || p.Spec.OutputBranch != branch {
				all = append(all, found{r.ID.String() + "@" + branch, branch})
			}
		}
	}
	return all, err
}

// reposAndWriters are the repos, and the pipelines by their output repos.
func reposAndWriters(ctx context.Context, client *pachyderm.Client, f filter) ([]*pachyderm.Repo, map[pachyderm.RepoID]*pachyderm.Pipeline, error) {
	pipelines, err := client.ListPipelines(ctx, f.projects()...)
	if err != nil {
		return nil, nil, err
	}
	writers := map[pachyderm.RepoID]*pachyderm.Pipeline{}
	for _, p := range pipelines {
		writers[pachyderm.RepoID(p.ID)] = p
	}
	repos, err := client.ListRepos(ctx, f.projects()...)
	return repos, writers, err
}

func findSecrets(ctx context.Context, client *pachyderm.Client, _ filter) ([]found, error) {
	secrets, err := client.ListSecrets(ctx)
	var all []found
	for _, s := range secrets {
		all = append(all, found{s.Name, s.Name})
	}
	return all, err
}

// findRoleBindings asks for the bindings of each resource. The cluster's are
// those of no project.
func findRoleBindings(ctx context.Context, client *pachyderm.Client, f filter) ([]found, error) {
	resources, err := bindable(ctx, client, f)
	if err != nil {
		return nil, err
	}
	var all []found
	for _, on := range resources {
		principals, err := client.Principals(ctx, on)
		switch {
		case pachyderm.IsAuthNotActivated(err):
			return nil, nil
		case pachyderm.IsNoRoleBinding(err) || pachyderm.IsNotFound(err): // deleted meanwhile
			continue
		case err != nil:
			return nil, err
		}
		id := map[string]string{pachyderm.OnCluster: on.Kind, pachyderm.OnProject: on.Kind + "/" + on.Project, pachyderm.OnRepo: on.Kind + "/" + on.Project + "/" + on.Repo}[on.Kind]
		for _, principal := range principals {
			if principal == pachyderm.AllUsers || principalForm.MatchString(principal) && !strings.HasPrefix(principal, pachyderm.PipelinePrefix) {
				all = append(all, found{id + "/" + principal, principal})
			}
		}
	}
	return all, nil
}

// bindable are the resources that roles can be given on.
func bindable(ctx context.Context, client *pachyderm.Client, f filter) ([]pachyderm.Resource, error) {
	var resources []pachyderm.Resource
	if f.project == "" {
		resources = append(resources, pachyderm.Resource{Kind: pachyderm.OnCluster})
	}
	projects, err := client.ListProjects(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range projects {
		if f.project == "" || p.Name == f.project {
			resources = append(resources, pachyderm.Resource{Kind: pachyderm.OnProject, Project: p.Name})
		}
	}
	repos, err := client.ListRepos(ctx, f.projects()...)
	for _, r := range repos {
		resources = append(resources, pachyderm.Resource{Kind: pachyderm.OnRepo, Project: r.ID.Project, Repo: r.ID.Name})
	}
	return resources, err
}
