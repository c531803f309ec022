// SPDX-License-Identifier: Apache-2.0

// Package provider is the Terraform provider for Pachyderm: its configuration
// and the objects that it manages, one file each. What an object means to
// Pachyderm is in internal/pachyderm, and what a spout's settings mean to the
// bundled runner in internal/settings.
package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc"
)

// runnerRepository holds the images of the bundled runner, one for each
// release of the provider.
const runnerRepository = "ghcr.io/spoutworks/spout-runner"

// Option changes how the provider works, mostly for tests.
type Option func(*pachydermProvider)

// WithDialOptions adds to how connections are made.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(p *pachydermProvider) { p.dial = append(p.dial, options...) }
}

// WithTiming replaces the pauses between looks and repetitions.
func WithTiming(wait pachyderm.Wait, retry pachyderm.Retry) Option {
	return func(p *pachydermProvider) { p.wait, p.retry = wait, retry }
}

// WithGetenv replaces the environment that credentials are looked up in.
func WithGetenv(getenv func(string) string) Option {
	return func(p *pachydermProvider) { p.getenv = getenv }
}

// WithClock replaces the time of day.
func WithClock(now func() time.Time) Option {
	return func(p *pachydermProvider) { p.now = now }
}

// WithDeadlines replaces what ends operations at their timeouts.
func WithDeadlines(within func(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc)) Option {
	return func(p *pachydermProvider) { p.within = within }
}

// WithConfiguration replaces what tells this configuration from others.
func WithConfiguration(name string) Option {
	return func(p *pachydermProvider) { p.configuration = func(func(string) string) string { return name } }
}

// WithoutLog is for a provider whose log nobody reads.
func WithoutLog() Option {
	return func(p *pachydermProvider) { p.silent = true }
}

// WithRunnerDigest says which image the runner's of this release is.
func WithRunnerDigest(digest string) Option {
	return func(p *pachydermProvider) { p.runnerDigest = digest }
}

// New returns a constructor of the provider, as the framework wants it.
func New(version string, options ...Option) func() provider.Provider {
	return func() provider.Provider { return newProvider(version, options...) }
}

func newProvider(version string, options ...Option) *pachydermProvider {
	p := &pachydermProvider{version: version, wait: pachyderm.DefaultWait, retry: pachyderm.DefaultRetry, getenv: os.Getenv, now: time.Now, within: context.WithTimeout, configuration: thisConfiguration}
	for _, option := range options {
		option(p)
	}
	return p
}

var _ provider.ProviderWithValidateConfig = (*pachydermProvider)(nil)

type pachydermProvider struct {
	version string
	dial    []grpc.DialOption
	wait    pachyderm.Wait
	retry   pachyderm.Retry
	getenv  func(string) string
	now     func() time.Time
	within  func(context.Context, time.Duration) (context.Context, context.CancelFunc)
	silent  bool // writes no log

	runnerDigest  string                                  // of the runner's image, such as sha256:…; "" where none was released
	configuration func(getenv func(string) string) string // what tells it from others

	connection atomic.Pointer[connection] // nil until all of its configuration is known
}

// runnerImage is the image of this release.
func (p *pachydermProvider) runnerImage() string { return RunnerImage(p.version, p.runnerDigest) }

// RunnerImage is the image of a release of the runner. With a digest, its tag
// is there for people: nodes pull the image that has the digest.
func RunnerImage(version, digest string) string {
	image := runnerRepository + ":" + version
	if digest != "" {
		image += "@" + digest
	}
	return image
}

// providerModel is the provider block.
type providerModel struct {
	Address             types.String `tfsdk:"address"`
	AuthToken           types.String `tfsdk:"auth_token"`
	TokenFile           types.String `tfsdk:"token_file"`
	IDToken             types.String `tfsdk:"id_token"`
	ConfigPath          types.String `tfsdk:"config_path"`
	Context             types.String `tfsdk:"context"`
	CACertificate       types.String `tfsdk:"ca_certificate"`
	AllowCleartext      types.Bool   `tfsdk:"allow_cleartext_credentials"`
	ClusterDeploymentID types.String `tfsdk:"cluster_deployment_id"`
	DefaultProject      types.String `tfsdk:"default_project"`
	RequestTimeout      textValue    `tfsdk:"request_timeout"`
}

// Metadata names the provider.
func (p *pachydermProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName, resp.Version = "pachyderm", p.version
}

// Schema describes the provider block.
func (p *pachydermProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Manages [Pachyderm](https://github.com/pachyderm/pachyderm) 2.6 to 2.12: spout pipelines, which bring streams of data into versioned repos.\n\n" +
			"The address of the cluster decides which credentials are used. It comes from the first of these:\n" +
			"1. `address`\n1. pachctl's config file, if `config_path` or `context` is set\n1. `PACHD_ADDRESS`\n1. pachctl's config file\n\n" +
			"There is no default address. " +
			"**A token is only sent to the address it belongs to**: `auth_token`, `id_token` or their variables to the one of `address` or `PACHD_ADDRESS`, and a context's token to that context's address.\n\n" +
			"A proxy is used if the environment variable `HTTPS_PROXY` names one, such as `http://proxy.example.com:3128`, with or without TLS to Pachyderm. `NO_PROXY` lists the hosts and networks that are reached without it. This machine is always among them. The proxy must allow `CONNECT` to Pachyderm's port.\n\n" +
			"In all blocks, an empty attribute (`\"\"`, `[]` or `{}`) counts as left out, except where its own text says otherwise, and for `project`, `image` and names.",
		Attributes: map[string]schema.Attribute{
			"address": schema.StringAttribute{Optional: true, Validators: []validator.String{addressForm{}},
				MarkdownDescription: "Address of pachd, for example `grpcs://pachyderm.example.com:443`. `grpcs://` and `https://` use TLS, `grpc://` and `http://` do not. The default port is 30650, also with TLS. May be set by `PACHD_ADDRESS`."},
			"auth_token": schema.StringAttribute{Optional: true, Sensitive: true,
				MarkdownDescription: "Token to authenticate with, for the address of `address` or `PACHD_ADDRESS`: a robot's, or a user's session token. Not needed where authentication is off. May be set by `PACHYDERM_AUTH_TOKEN`, which keeps it out of the configuration."},
			"token_file": schema.StringAttribute{Optional: true,
				MarkdownDescription: "File that holds the token, in place of `auth_token`. It is read for each call, so that a token can be renewed while Terraform runs. May be set by `PACHYDERM_AUTH_TOKEN_FILE`."},
			"id_token": schema.StringAttribute{Optional: true, Sensitive: true,
				MarkdownDescription: "Id token of the OIDC provider that Pachyderm trusts, in place of `auth_token`. The provider exchanges it for a session, which ends with it, like `pachctl auth login --id-token`. Its audience must be Pachyderm's client id there, and its claim `email` says who it is. May be set by `PACHYDERM_ID_TOKEN`."},
			"config_path": schema.StringAttribute{Optional: true,
				MarkdownDescription: "pachctl's config file. Default: `PACH_CONFIG`, otherwise `~/.pachyderm/config.json`, which may be missing. Conflicts with `address`."},
			"context": schema.StringAttribute{Optional: true,
				MarkdownDescription: "Context of pachctl's config file whose address, token and certificates are used. Default: `PACH_CONTEXT`, otherwise the active one. Conflicts with `address`."},
			"ca_certificate": schema.StringAttribute{Optional: true,
				MarkdownDescription: "Certificates of the authorities to trust in place of the system's, in PEM (the text, not a path). Needs an address with TLS. `PACH_CA_CERTS` may hold the path of a file with them."},
			"allow_cleartext_credentials": schema.BoolAttribute{Optional: true,
				MarkdownDescription: "Whether tokens and the data of `pachyderm_secret` may be sent without TLS, to an address with `grpc://`, `http://` or no scheme. Everybody on the way can read them. Without this, they are sent in clear to this machine only (`localhost`, for example with a port forward). Default: `false`."},
			"cluster_deployment_id": schema.StringAttribute{Optional: true,
				MarkdownDescription: "Deployment id of the only cluster that may be changed. It is compared before anything else is sent, a token included. The data source `pachyderm_cluster` shows it. `pachctl inspect cluster` shows another id. Default: that of the context, where the address comes from pachctl's config file and the context has one."},
			"default_project": schema.StringAttribute{Optional: true,
				MarkdownDescription: "Project of resources that name none. A change replaces them. Default: `default`."},
			"request_timeout": schema.StringAttribute{Optional: true, CustomType: textType{kind: durationKind},
				MarkdownDescription: "How long one call may take, with its repetitions, for example `90s`. A call is repeated while Pachyderm is unavailable, and for no other error. Default: `1m`."},
		},
	}
}

// ValidateConfig refuses attributes that exclude each other.
func (p *pachydermProvider) ValidateConfig(ctx context.Context, req provider.ValidateConfigRequest, resp *provider.ValidateConfigResponse) {
	var m providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	for _, pair := range []struct {
		a, b   string
		va, vb types.String
	}{
		{"config_path", "address", m.ConfigPath, m.Address}, {"context", "address", m.Context, m.Address},
		{"token_file", "auth_token", m.TokenFile, m.AuthToken}, {"id_token", "auth_token", m.IDToken, m.AuthToken}, {"id_token", "token_file", m.IDToken, m.TokenFile},
	} {
		if pair.va.ValueString() != "" && pair.vb.ValueString() != "" {
			resp.Diagnostics.AddAttributeError(path.Root(pair.a), "Invalid "+pair.a, pair.a+" and "+pair.b+" are both set. Leave one of them out.")
		}
	}
}

// Configure decides which cluster is meant. The network is not used before an
// object needs it.
func (p *pachydermProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	p.connection.Store(nil)
	var m providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if problem := shortcutsProblem(p.getenv); problem != "" {
		resp.Diagnostics.AddError("Invalid "+EnvShortcuts, problem)
		return
	}
	c := &connection{wait: p.wait, now: p.now, within: p.within, defaultProject: m.DefaultProject, mark: newConfigurationMark(p.configuration(p.getenv))}
	resp.ResourceData, resp.DataSourceData, resp.EphemeralResourceData, resp.ActionData, resp.ListResourceData = c, c, c, c, c
	if !c.defaultProject.IsUnknown() && c.defaultProject.ValueString() == "" {
		c.defaultProject = types.StringValue(pachyderm.DefaultProject)
	}
	if name, env := m.unknown(); name != "" {
		if req.ClientCapabilities.DeferralAllowed {
			resp.Deferred = &provider.Deferred{Reason: provider.DeferredReasonProviderConfigUnknown}
		}
		c.failure = fmt.Errorf("the provider's attribute %s is not known yet: it depends on something that is created in the same run. "+
			"Create that first, with -target, or set %s to a known value%s", name, name, env)
		return
	}
	credentials, err := pachyderm.Sources{Address: m.Address.ValueString(), Token: m.AuthToken.ValueString(), TokenFile: m.TokenFile.ValueString(), IDToken: m.IDToken.ValueString(), CACertificate: m.CACertificate.ValueString(),
		ConfigPath: m.ConfigPath.ValueString(), Context: m.Context.ValueString(), AllowCleartext: m.AllowCleartext.ValueBool(), Getenv: p.getenv}.Resolve()
	var exposed *pachyderm.ExposedError
	if errors.As(err, &exposed) {
		resp.Diagnostics.AddError("Token without TLS", sentence(err.Error())+" Where the network is trusted, set allow_cleartext_credentials = true in the provider block.")
		return
	}
	if err != nil {
		resp.Diagnostics.AddError("Pachyderm is not configured", sentence(err.Error()))
		return
	}
	for _, warning := range credentials.Warnings {
		resp.Diagnostics.AddWarning("Credentials left out", warning)
	}
	if credentials.Address.Exposed() && credentials.Token+credentials.TokenFile+credentials.IDToken != "" {
		resp.Diagnostics.AddWarning("Token without TLS", fmt.Sprintf("Everybody on the way to %s (from %s) can read the token that is sent there. allow_cleartext_credentials allows that.", credentials.Address, credentials.Origin))
	}
	retry := p.retry
	if timeout, err := time.ParseDuration(m.RequestTimeout.ValueString()); err == nil {
		retry.Timeout = timeout
	}
	if retry.Timeout <= 0 {
		resp.Diagnostics.AddAttributeError(path.Root("request_timeout"), "Invalid request_timeout", "request_timeout must be more than 0, for example \"1m\".")
		return
	}
	c.requestTimeout = retry.Timeout
	c.mayExpose = m.AllowCleartext.ValueBool()
	c.origin, c.guard, c.idToken = credentials.Origin, credentials.DeploymentID, credentials.IDToken
	if id := m.ClusterDeploymentID.ValueString(); id != "" {
		c.guard = id
	}
	c.options = pachyderm.Options{Address: credentials.Address, Token: credentials.Token, TokenFile: credentials.TokenFile, CACertificate: credentials.CACertificate,
		UserAgent:   p.userAgent(req.TerraformVersion),
		DialOptions: append([]grpc.DialOption{grpc.WithChainUnaryInterceptor(pachyderm.InSequence(), retry.Interceptor()), grpc.WithChainStreamInterceptor(retry.StreamInterceptor())}, p.dial...)}
	if err := c.check(); err != nil {
		resp.Diagnostics.AddError("Pachyderm is not configured", sentence(err.Error()))
		return
	}
	p.connection.Store(c)
}

// unknown names an attribute whose value is only known after apply, and the
// environment variable to use instead.
func (m *providerModel) unknown() (name, hint string) {
	for _, a := range []struct {
		name, env string
		unknown   bool
	}{
		{"address", pachyderm.EnvAddress, m.Address.IsUnknown()},
		{"auth_token", pachyderm.EnvToken, m.AuthToken.IsUnknown()},
		{"token_file", pachyderm.EnvTokenFile, m.TokenFile.IsUnknown()},
		{"id_token", pachyderm.EnvIDToken, m.IDToken.IsUnknown()},
		{"config_path", pachyderm.EnvConfig, m.ConfigPath.IsUnknown()},
		{"context", pachyderm.EnvContext, m.Context.IsUnknown()},
		{"ca_certificate", pachyderm.EnvCACerts, m.CACertificate.IsUnknown()},
		{"allow_cleartext_credentials", "", m.AllowCleartext.IsUnknown()},
		{"cluster_deployment_id", "", m.ClusterDeploymentID.IsUnknown()},
		{"request_timeout", "", m.RequestTimeout.IsUnknown()},
	} {
		if a.unknown {
			if a.env != "" {
				hint = ", or leave it out and set the environment variable " + a.env
			}
			return a.name, hint
		}
	}
	return "", ""
}

func (p *pachydermProvider) userAgent(terraform string) string {
	agent := fmt.Sprintf("terraform-provider-pachyderm/%s Terraform/%s", p.version, terraform)
	if more := strings.TrimSpace(p.getenv("TF_APPEND_USER_AGENT")); more != "" {
		agent += " " + more
	}
	return agent
}

// Resources lists the resources.
func (p *pachydermProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{
		func() resource.Resource { return newSpoutResource(p.runnerImage()) },
		newPipelineResource,
		newProjectResource,
		newRepoResource,
		newBranchResource,
		newSecretResource,
		newRoleBindingResource,
	}
}

// DataSources lists the data sources.
func (p *pachydermProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{
		newClusterDataSource, newProjectDataSource, newProjectsDataSource, newRepoDataSource, newReposDataSource, newBranchDataSource, newCommitDataSource,
		newSpoutDataSource, newSpoutsDataSource, newPipelineDataSource, newLogsDataSource,
	}
}
