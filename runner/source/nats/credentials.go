// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// userOption logs in with a credentials file: its JWT is sent, and its seed signs
// what the server asks. The file is read for each connection.
func (s *Source) userOption(read func() ([]byte, error)) client.Option {
	return client.UserJWT(func() (string, error) {
		text, err := read()
		if err != nil {
			return "", err
		}
		token, err := nkeys.ParseDecoratedJWT(text)
		if err != nil {
			return "", fmt.Errorf("the credentials have no JWT: %w", err)
		}
		if isBearer(token) && s.exposed.Load() && !s.config.TLS.Enabled && !s.config.AllowCleartext {
			return "", errCleartext
		}
		s.jwt.Store(&token)
		return token, nil
	}, func(nonce []byte) ([]byte, error) {
		text, err := read()
		if err != nil {
			return nil, err
		}
		pair, err := nkeys.ParseDecoratedNKey(text)
		if err != nil {
			return nil, fmt.Errorf("the credentials have no seed: %w", err)
		}
		defer pair.Wipe()
		return pair.Sign(nonce)
	})
}

// sent is the JWT that a server was sent last, "" for none.
func (s *Source) sent() string {
	if token := s.jwt.Load(); token != nil {
		return *token
	}
	return ""
}

func readCredentials(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("SPOUT_NATS_USER_CREDENTIALS_FILE: %w", err)
	}
	return text, nil
}

// isBearer says whether a user's JWT lets in whoever has it, without a signature.
func isBearer(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) < 2 {
		return false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		NATS struct {
			Bearer bool `json:"bearer_token"`
		} `json:"nats"`
	}
	return err == nil && json.Unmarshal(text, &claims) == nil && claims.NATS.Bearer
}
