// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// unreachableFor is how long a cluster that gave no answer is taken to be
// unreachable: long enough for the objects of one run not to wait for it one
// after the other.
const unreachableFor = 10 * time.Second

// connection is what a configured provider gives to its objects.
type connection struct {
	options        pachyderm.Options
	idToken        string       // exchanged for a token before the first call
	origin         string       // where the address comes from
	mayExpose      bool         // secrets may be sent without TLS
	guard          string       // deployment id that the cluster must have
	defaultProject types.String // unknown while the provider's configuration is
	wait           pachyderm.Wait
	requestTimeout time.Duration // of one call, repetitions included
	now            func() time.Time
	within         func(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc)
	failure        error // why there is no connection
	mark           *configurationMark

	mu        sync.Mutex
	client    *pachyderm.Client
	refused   error     // why the cluster is not the right one, or does not let in
	refusedAt time.Time // when that was found out
}

// check finds mistakes that need no network.
func (c *connection) check() error {
	client, err := pachyderm.Connect(c.options)
	if err == nil {
		err = client.Close()
	}
	return err
}

// refuseExposed reports that others could read what is sent, if that is not
// allowed.
func (c *connection) refuseExposed(what string, diags *diag.Diagnostics) {
	if c == nil || c.failure != nil || c.mayExpose || !c.options.Address.Exposed() {
		return
	}
	diags.AddError(capital(what)+" without TLS", fmt.Sprintf("Without TLS, everybody on the way to %s (from %s) could read %s. Use grpcs://, or set allow_cleartext_credentials = true in the provider block where the network is trusted.",
		c.options.Address, c.origin, what))
}

// open returns the client, after it has made sure that it speaks with the
// right cluster. Without that, no token is sent. What keeps it from doing so is
// not tried again for each object.
func (c *connection) open(ctx context.Context) (*pachyderm.Client, error) {
	if c == nil {
		return nil, fmt.Errorf("the provider has not been configured")
	}
	if c.failure != nil {
		return nil, c.failure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	if c.refused != nil && (!pachyderm.IsUnanswered(c.refused) || c.now().Sub(c.refusedAt) < unreachableFor) {
		return nil, c.refused
	}
	client, err := c.enter(ctx)
	if err != nil {
		if ctx.Err() == nil { // else it says nothing about the next object's chances
			c.refused, c.refusedAt = err, c.now()
		}
		return nil, err
	}
	c.client = client
	tflog.Debug(ctx, "connecting to Pachyderm", map[string]any{"address": c.options.Address.String(), "from": c.origin})
	return client, nil
}

// enter makes sure of the cluster and logs in there, as far as is configured.
func (c *connection) enter(ctx context.Context) (*pachyderm.Client, error) {
	if err := c.checkDeployment(ctx); err != nil {
		return nil, err
	}
	options := c.options
	if err := c.login(ctx, &options); err != nil {
		return nil, err
	}
	return pachyderm.Connect(options)
}

// login puts the token of the id token's owner into options.
func (c *connection) login(ctx context.Context, options *pachyderm.Options) error {
	if c.idToken == "" {
		return nil
	}
	client, err := pachyderm.Connect(*options)
	if err != nil {
		return err
	}
	defer client.Close()
	options.Token, err = client.Login(ctx, c.idToken)
	return err
}

func (c *connection) checkDeployment(ctx context.Context) error {
	if c.guard == "" {
		return nil
	}
	options := c.options
	options.Token = ""
	client, err := pachyderm.Connect(options)
	if err != nil {
		return err
	}
	defer client.Close()
	id, err := client.DeploymentID(ctx)
	if err != nil {
		return err
	}
	if id != c.guard {
		return fmt.Errorf("the cluster at %s (from %s) has the deployment id %q, but only %q may be changed. "+
			"Correct the address, or cluster_deployment_id", c.options.Address, c.origin, id, c.guard)
	}
	return nil
}

// masked keeps the tokens out of the log.
func (c *connection) masked(ctx context.Context) context.Context {
	if c == nil {
		return ctx
	}
	for _, secret := range []string{c.options.Token, c.idToken} {
		if secret != "" {
			ctx = tflog.MaskAllFieldValuesStrings(ctx, secret)
			ctx = tflog.MaskMessageStrings(ctx, secret)
		}
	}
	return ctx
}

// explain turns an error of the server into what a reader can act on.
func (c *connection) explain(err error) string {
	reason := sentence(pachyderm.Reason(err))
	for _, secret := range []string{c.options.Token, c.idToken} {
		if secret != "" { // a server may repeat what it was sent
			reason = strings.ReplaceAll(reason, secret, "(secret)")
		}
	}
	switch {
	case pachyderm.IsUnauthenticated(err) && c.idToken != "":
		reason += " The session at " + c.options.Address.String() + " that id_token stands for is not valid, or not any more: it ends with the id token. Get another one."
	case pachyderm.IsUnauthenticated(err) && c.options.TokenFile != "":
		reason += " The token comes from the file " + c.options.TokenFile + ", as token_file or " + pachyderm.EnvTokenFile + " says: put one into it that is valid."
	case pachyderm.IsUnauthenticated(err) && c.options.Token == "":
		reason += " No token was sent to " + c.options.Address.String() + ": set auth_token, token_file or " + pachyderm.EnvToken + "."
	case pachyderm.IsUnauthenticated(err):
		reason += " The token that was sent to " + c.options.Address.String() + " is not valid, or not any more: make another one."
	case pachyderm.IsPermissionDenied(err):
		reason += " Give the role to the token's owner, or use another token."
	case pachyderm.IsMissingSecret(err):
		reason += " Pachyderm looks for secrets in its own Kubernetes namespace, whatever the spout's project is. Make the secret there, with pachyderm_secret for example, or correct the attribute that names it: " +
			"secret_env, secret_mounts, or one that ends in _secret or _secrets."
	case pachyderm.IsUnavailable(err):
		reason += " Pachyderm cannot be reached at " + c.options.Address.String() + " (from " + c.origin + "). The state is as it was. Try again when it can be reached, or correct the address."
	case pachyderm.IsTimeout(err):
		reason += " " + c.options.Address.String() + " did not answer in time; see request_timeout and timeouts."
	}
	return reason
}

// configured gets the connection out of what Configure of an object is given.
func configured(data any, diags *diag.Diagnostics) *connection {
	if data == nil {
		return nil // the provider has not been configured yet, as in validate
	}
	c, ok := data.(*connection)
	if !ok {
		diags.AddError("Unexpected provider data", fmt.Sprintf("This is a mistake in the provider: it was given %T.", data))
	}
	return c
}

// sentence makes an error's text one.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if strings.ContainsAny(s[len(s)-1:], ".!?") {
		return s
	}
	return s + "."
}

// addressForm validates the provider's address.
type addressForm struct{}

func (addressForm) Description(context.Context) string { return "an address such as grpcs://HOST:PORT" }

func (v addressForm) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (addressForm) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.ValueString() == "" {
		return
	}
	_, err := pachyderm.ParseAddress(req.ConfigValue.ValueString())
	switch {
	case err == nil:
	case address.HasLogin(req.ConfigValue.ValueString()): // beside an attribute's error Terraform shows the line that sets it
		resp.Diagnostics.AddError("Invalid address", sentence(err.Error()))
	default:
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid address", sentence(err.Error()))
	}
}
