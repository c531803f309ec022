// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"fmt"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/admin"
	"github.com/pachyderm/pachyderm/v2/src/version/versionpb"
)

type versionAPI struct {
	versionpb.UnimplementedAPIServer
	*Server
}

func (a *versionAPI) GetVersion(context.Context, *types.Empty) (*versionpb.Version, error) {
	v := &versionpb.Version{}
	if _, err := fmt.Sscanf(a.version, "%d.%d.%d", &v.Major, &v.Minor, &v.Micro); err != nil {
		return nil, fmt.Errorf("version %q: %w", a.version, err)
	}
	return v, nil
}

type adminAPI struct {
	admin.UnimplementedAPIServer
	*Server
}

func (a *adminAPI) InspectCluster(context.Context, *admin.InspectClusterRequest) (*admin.ClusterInfo, error) {
	return &admin.ClusterInfo{ID: a.clusterID, DeploymentID: a.deploymentID, VersionWarningsOk: true}, nil
}
