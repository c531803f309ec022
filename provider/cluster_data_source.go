// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// clusterData is the data source pachyderm_cluster.
type clusterData struct {
	ID             types.String `tfsdk:"id"`
	DeploymentID   types.String `tfsdk:"deployment_id"`
	Address        types.String `tfsdk:"address"`
	Version        types.String `tfsdk:"version"`
	AuthActive     types.Bool   `tfsdk:"auth_active"`
	WhoAmI         types.String `tfsdk:"whoami"`
	TokenExpiresAt types.String `tfsdk:"token_expires_at"`
}

func newClusterDataSource() datasource.DataSource {
	return &dataSource[clusterData, *clusterData]{kind: "cluster", schema: func(context.Context) schema.Schema {
		return schema.Schema{MarkdownDescription: "The Pachyderm that the provider is connected to: its version, and whom it takes the provider for.",
			Attributes: map[string]schema.Attribute{
				"id":               computedText("Id of the cluster."),
				"deployment_id":    computedText("Id of the installation, for the provider's `cluster_deployment_id`."),
				"address":          computedText("Address that the provider uses."),
				"version":          computedText("Version of pachd, for example `2.6.0`."),
				"auth_active":      schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether authentication is on."},
				"whoami":           computedText("Whom the token belongs to, for example `robot:terraform`. Null where authentication is off."),
				"token_expires_at": computedText("When the token expires, in RFC 3339. Null if it does not, or where authentication is off."),
			}}
	}}
}

func (m *clusterData) label() string { return "" }

func (m *clusterData) read(o *operation) {
	version, err := o.client.ServerVersion(o.ctx)
	if err != nil {
		o.fail("read", err)
		return
	}
	cluster, deployment, err := o.client.ClusterIDs(o.ctx)
	if err != nil {
		o.fail("read", err)
		return
	}
	who, err := o.client.WhoAmI(o.ctx)
	if err != nil {
		o.fail("read", err)
		return
	}
	*m = clusterData{ID: types.StringValue(cluster), DeploymentID: types.StringValue(deployment), Version: types.StringValue(version.String()),
		Address: types.StringValue(o.connection.options.Address.String()), AuthActive: types.BoolValue(who != nil)}
	if who != nil {
		m.WhoAmI, m.TokenExpiresAt = types.StringValue(who.Name), timeOrNull(who.Expires)
	}
}
