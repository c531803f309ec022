// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"fmt"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/admin"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/version/versionpb"
)

// Version is a release of Pachyderm.
type Version struct {
	Major, Minor, Micro uint32
	Additional          string // as "-rc.1"
}

func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d%s", v.Major, v.Minor, v.Micro, v.Additional)
}

// Before says whether a version is older than a release.
func (v Version) Before(major, minor uint32) bool {
	return v.Major < major || v.Major == major && v.Minor < minor
}

// ServerVersion returns the version of pachd. It needs no token; a sidecar has
// no answer (see [IsUnknownMethod]).
func (c *Client) ServerVersion(ctx context.Context) (Version, error) {
	v, err := c.Version.GetVersion(ctx, &types.Empty{})
	if err != nil {
		return Version{}, fmt.Errorf("get version: %w", err)
	}
	return Version{v.Major, v.Minor, v.Micro, Plain(v.Additional)}, nil
}

// ClusterIDs returns the id of the cluster and that of its installation.
func (c *Client) ClusterIDs(ctx context.Context) (cluster, deployment string, err error) {
	info, err := c.Admin.InspectCluster(ctx, &admin.InspectClusterRequest{ClientVersion: &versionpb.Version{Major: 2, Minor: 6}})
	if err != nil {
		return "", "", fmt.Errorf("inspect cluster: %w", err)
	}
	return info.ID, info.DeploymentID, nil
}

// DeploymentID returns the id of the cluster's installation.
func (c *Client) DeploymentID(ctx context.Context) (string, error) {
	_, id, err := c.ClusterIDs(ctx)
	return id, err
}

// Caller is whom the token belongs to.
type Caller struct {
	Name    string    // as robot:terraform
	Expires time.Time // zero for never
}

// WhoAmI returns whom the token belongs to; nil where authentication is off.
func (c *Client) WhoAmI(ctx context.Context) (*Caller, error) {
	who, err := c.Auth.WhoAmI(ctx, &auth.WhoAmIRequest{})
	if IsAuthNotActivated(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask who the token's owner is: %w", err)
	}
	caller := &Caller{Name: Plain(who.Username)}
	if who.Expiration != nil {
		caller.Expires = who.Expiration.UTC()
	}
	return caller, nil
}
