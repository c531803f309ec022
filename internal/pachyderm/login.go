// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"

	"github.com/pachyderm/pachyderm/v2/src/auth"
)

// Login exchanges an id token of the OIDC provider that Pachyderm trusts for a
// session token, as pachctl auth login --id-token does. The session ends with
// the id token, at the latest. Where authentication is off there is no token.
func (c *Client) Login(ctx context.Context, idToken string) (token string, err error) {
	reply, err := c.Auth.Authenticate(ctx, &auth.AuthenticateRequest{IdToken: idToken})
	switch {
	case IsAuthNotActivated(err):
		return "", nil
	case err != nil:
		return "", Hint(err, "That is what it says of the id token; its issuer and audience must be those that Pachyderm is configured with, and it must not have expired")
	}
	return reply.PachToken, nil
}
