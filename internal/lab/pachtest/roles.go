// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"slices"

	"github.com/pachyderm/pachyderm/v2/src/auth"
)

// rolePermissions is the part of Pachyderm's roles that the fake's services
// ask for. clusterAdmin holds every permission.
var rolePermissions = func() map[string][]auth.Permission {
	reader := []auth.Permission{
		auth.Permission_REPO_READ, auth.Permission_REPO_INSPECT_COMMIT, auth.Permission_REPO_LIST_COMMIT,
		auth.Permission_REPO_LIST_BRANCH, auth.Permission_REPO_LIST_FILE, auth.Permission_REPO_INSPECT_FILE,
		auth.Permission_REPO_ADD_PIPELINE_READER, auth.Permission_REPO_REMOVE_PIPELINE_READER, auth.Permission_PIPELINE_LIST_JOB,
	}
	writer := slices.Concat(reader, []auth.Permission{
		auth.Permission_REPO_WRITE, auth.Permission_REPO_DELETE_COMMIT, auth.Permission_REPO_CREATE_BRANCH,
		auth.Permission_REPO_DELETE_BRANCH, auth.Permission_REPO_ADD_PIPELINE_WRITER,
	})
	owner := slices.Concat(writer, []auth.Permission{auth.Permission_REPO_MODIFY_BINDINGS, auth.Permission_REPO_DELETE})
	viewer := []auth.Permission{auth.Permission_PROJECT_LIST_REPO}
	projectWriter := slices.Concat(viewer, []auth.Permission{auth.Permission_PROJECT_CREATE_REPO})
	return map[string][]auth.Permission{
		auth.RepoReaderRole:     reader,
		auth.RepoWriterRole:     writer,
		auth.RepoOwnerRole:      owner,
		auth.ProjectViewerRole:  viewer,
		auth.ProjectWriterRole:  projectWriter,
		auth.ProjectOwnerRole:   slices.Concat(owner, projectWriter, []auth.Permission{auth.Permission_PROJECT_DELETE, auth.Permission_PROJECT_MODIFY_BINDINGS}),
		auth.ProjectCreatorRole: {auth.Permission_PROJECT_CREATE},
		auth.RobotUserRole:      {auth.Permission_CLUSTER_AUTH_GET_ROBOT_TOKEN},
		auth.SecretAdminRole: {auth.Permission_CLUSTER_CREATE_SECRET, auth.Permission_CLUSTER_LIST_SECRETS,
			auth.Permission_SECRET_INSPECT, auth.Permission_SECRET_DELETE},
		auth.ClusterAdminRole: nil,
	}
}()

func roleGrants(role string, permission auth.Permission) bool {
	return role == auth.ClusterAdminRole || slices.Contains(rolePermissions[role], permission)
}

// allPermissions lists what a role grants, sorted.
func allPermissions(roles []string) []auth.Permission {
	var all []auth.Permission
	for number := range auth.Permission_name {
		p := auth.Permission(number)
		if p == auth.Permission_PERMISSION_UNKNOWN {
			continue
		}
		if slices.ContainsFunc(roles, func(role string) bool { return roleGrants(role, p) }) {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return all
}
