// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// TestBearerTokens: a JWT that lets in whoever has it is not sent where others can
// read it, unless that is allowed, be it in a secret or in a file.
func TestBearerTokens(t *testing.T) {
	t.Parallel()
	account, _ := nkeys.CreateAccount() //nolint:errcheck // a random key
	user, _ := nkeys.CreateUser()       //nolint:errcheck // as before
	name, _ := user.PublicKey()         //nolint:errcheck // it has one
	seed, _ := user.Seed()              //nolint:errcheck // as before
	for _, test := range []struct{ bearer, elsewhere, tls, allowed, refused bool }{
		{true, true, false, false, true}, {true, true, true, false, false}, {true, true, false, true, false}, {true, false, false, false, false}, {false, true, false, false, false},
	} {
		claims := jwt.NewUserClaims(name)
		claims.BearerToken = test.bearer
		token, err := claims.Encode(account)
		if err != nil {
			t.Fatal(err)
		}
		creds, err := jwt.FormatUserConfig(token, seed)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "user.creds")
		if err := os.WriteFile(file, creds, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, set := range []func(*settings.NATS){func(c *settings.NATS) { c.User.Creds = string(creds) }, func(c *settings.NATS) { c.UserFile = file }} {
			config := settings.Default().NATS
			config.TLS.Enabled, config.AllowCleartext = test.tls, test.allowed
			set(&config)
			source, _ := newTestSource(t, config)
			list, err := source.connectOptions()
			if err != nil {
				t.Fatal(err)
			}
			var options client.Options
			for _, option := range list {
				if err := option(&options); err != nil {
					t.Fatal(err)
				}
			}
			source.exposed.Store(test.elsewhere) // as when it is dialled
			sent, err := options.UserJWT()
			if test.refused != errors.Is(err, errCleartext) || !test.refused && sent != token {
				t.Errorf("%+v: %q, %v", test, sent, err)
			}
			if text := source.quoted(errors.New("it says " + token)).Error(); strings.Contains(text, token[:40]) && sent != "" {
				t.Errorf("%+v: the token is quoted: %s", test, text)
			}
			if signature, err := options.SignatureCB([]byte("nonce")); err != nil || user.Verify([]byte("nonce"), signature) != nil {
				t.Errorf("%+v: it is not signed: %v", test, err)
			}
		}
	}
}
