// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

func createProject(t *testing.T, s *pachtest.Server, name string) error {
	t.Helper()
	_, err := client(t, s).PFS.CreateProject(t.Context(), &pfs.CreateProjectRequest{Project: &pfs.Project{Name: name}})
	return err
}
