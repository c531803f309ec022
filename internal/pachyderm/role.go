// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/auth"
)

// Kinds of resources that roles are given on.
const (
	OnCluster = "cluster"
	OnProject = "project"
	OnRepo    = "repo"
)

// Resource is what roles are given on. The cluster has neither a project nor
// a repo, a project no repo.
type Resource struct{ Kind, Project, Repo string }

func (r Resource) String() string {
	switch r.Kind {
	case OnProject:
		return "project " + r.Project
	case OnRepo:
		return "repo " + r.Project + "/" + r.Repo
	}
	return "the cluster"
}

func (r Resource) proto() *auth.Resource {
	switch r.Kind {
	case OnProject:
		return &auth.Resource{Type: auth.ResourceType_PROJECT, Name: r.Project}
	case OnRepo:
		return &auth.Resource{Type: auth.ResourceType_REPO, Name: r.Project + "/" + r.Repo}
	}
	return &auth.Resource{Type: auth.ResourceType_CLUSTER}
}

// Kinds of principals, each the beginning of a principal's name but for the last.
const (
	UserPrefix     = auth.UserPrefix
	RobotPrefix    = auth.RobotPrefix
	GroupPrefix    = auth.GroupPrefix
	PipelinePrefix = auth.PipelinePrefix
	AllUsers       = auth.AllClusterUsersSubject
)

// KnownRoles are the roles of 2.6. Newer servers have more.
var KnownRoles = []string{
	auth.ClusterAdminRole, auth.RepoOwnerRole, auth.RepoWriterRole, auth.RepoReaderRole, auth.OIDCAppAdminRole, auth.IDPAdminRole,
	auth.IdentityAdminRole, auth.DebuggerRole, auth.LokiLogReaderRole, auth.RobotUserRole, auth.LicenseAdminRole, auth.SecretAdminRole,
	auth.PachdLogReaderRole, auth.ProjectViewerRole, auth.ProjectWriterRole, auth.ProjectOwnerRole, auth.ProjectCreatorRole,
}

// Roles returns a principal's own roles on a resource, sorted: none if it has
// none, and also if there is no such resource.
func (c *Client) Roles(ctx context.Context, on Resource, principal string) ([]string, error) {
	reply, err := c.Auth.GetRoleBinding(ctx, &auth.GetRoleBindingRequest{Resource: on.proto()})
	if err != nil {
		return nil, fmt.Errorf("get role bindings of %s: %w", on, err)
	}
	var roles []string
	for role, has := range reply.GetBinding().GetEntries()[principal].GetRoles() {
		if has {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return roles, nil
}

// Principals returns who has roles of their own on a resource, sorted.
func (c *Client) Principals(ctx context.Context, on Resource) ([]string, error) {
	reply, err := c.Auth.GetRoleBinding(ctx, &auth.GetRoleBindingRequest{Resource: on.proto()})
	if err != nil {
		return nil, fmt.Errorf("get role bindings of %s: %w", on, err)
	}
	return slices.Sorted(maps.Keys(reply.GetBinding().GetEntries())), nil
}

// SetRoles replaces all of a principal's roles on a resource. No roles end its
// binding.
func (c *Client) SetRoles(ctx context.Context, on Resource, principal string, roles []string) error {
	_, err := c.Auth.ModifyRoleBinding(ctx, &auth.ModifyRoleBindingRequest{Resource: on.proto(), Principal: principal, Roles: roles})
	if err != nil {
		return fmt.Errorf("set roles of %s on %s: %w", principal, on, err)
	}
	return nil
}

// NewRobotToken makes a token for a robot, valid for some seconds at least.
// Each call makes another; the older ones stay valid.
func (c *Client) NewRobotToken(ctx context.Context, robot string, ttl time.Duration) (string, error) {
	reply, err := c.Auth.GetRobotToken(ctx, &auth.GetRobotTokenRequest{Robot: robot, TTL: int64(ttl.Seconds())})
	if err != nil {
		return "", fmt.Errorf("get a token of robot %s: %w", robot, err)
	}
	return reply.Token, nil
}

// RevokeToken ends a token's validity. One that is not valid any more is no error.
func (c *Client) RevokeToken(ctx context.Context, token string) error {
	if _, err := c.Auth.RevokeAuthToken(ctx, &auth.RevokeAuthTokenRequest{Token: token}); err != nil {
		return fmt.Errorf("revoke a token: %w", err)
	}
	return nil
}
