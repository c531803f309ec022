// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Environment variables that say how to reach a cluster. All but the
// tokens' are those of pachctl, which has none for them.
const (
	EnvAddress = "PACHD_ADDRESS"
	EnvToken   = "PACHYDERM_AUTH_TOKEN"
	EnvIDToken = "PACHYDERM_ID_TOKEN"
	EnvConfig  = "PACH_CONFIG"
	EnvContext = "PACH_CONTEXT"
	EnvCACerts = "PACH_CA_CERTS"

	EnvTokenFile = "PACHYDERM_AUTH_TOKEN_FILE"
)

// Sources are the places that may say how to reach a cluster: what was
// configured explicitly, the environment, and pachctl's config file.
//
// The address decides. It comes from the first of: Address; the config file,
// if ConfigPath or Context is set; $PACHD_ADDRESS; the config file. A token
// is only ever sent to the address that it belongs to:
//
//   - an explicit address, or that of $PACHD_ADDRESS, gets Token, the one in
//     TokenFile, or IDToken, or else that of $PACHYDERM_AUTH_TOKEN,
//     $PACHYDERM_AUTH_TOKEN_FILE or $PACHYDERM_ID_TOKEN, and never one from the
//     config file;
//   - the address of a context in the file gets the token of the same
//     context. Token is an error then, and $PACHYDERM_AUTH_TOKEN is left out
//     with a warning unless $PACHD_ADDRESS shows that it is meant for another.
type Sources struct {
	Address       string
	Token         string
	TokenFile     string // file that holds the token
	IDToken       string // of an OIDC provider
	CACertificate string // PEM
	ConfigPath    string
	Context       string

	AllowCleartext bool // send a token without TLS to another machine

	Getenv func(string) string // os.Getenv if nil
}

// Credentials are what [Sources] come to.
type Credentials struct {
	Address       Address
	Token         string
	TokenFile     string // in place of Token, see [Options]
	IDToken       string // to be exchanged for a token, see [Client.Login]; not with Token
	CACertificate []byte
	DeploymentID  string   // of the cluster that the context in the config file was made for, if it says so
	Origin        string   // where the address comes from, for messages
	Warnings      []string // what was found and left out
}

// ErrNoAddress is returned when nothing says which cluster is meant.
var ErrNoAddress = errors.New("no address of a Pachyderm cluster is configured. Set address in the provider block, for example " +
	"address = \"grpcs://pachyderm.example.com:443\", or the environment variable " + EnvAddress +
	", or log in with pachctl so that its config file names a cluster. There is no default address")

// Resolve decides which cluster is meant and what is sent to it. The network is not used.
func (s Sources) Resolve() (*Credentials, error) {
	if s.Getenv == nil {
		s.Getenv = os.Getenv
	}
	explicit, origin := s.Address, "address"
	if explicit == "" && s.ConfigPath == "" && s.Context == "" {
		explicit, origin = s.Getenv(EnvAddress), EnvAddress
	}
	var c *Credentials
	var err error
	if explicit != "" {
		c, err = s.explicit(explicit, origin)
	} else {
		c, err = s.fromFile()
	}
	if err == nil {
		err = c.tidy()
	}
	if err != nil {
		return nil, err
	}
	if c.Token+c.TokenFile+c.IDToken != "" && c.Address.Exposed() && !s.AllowCleartext {
		return nil, &ExposedError{c.Address, c.Origin}
	}
	return c, s.authorities(c)
}

// ExposedError says that a token would be sent so that others can read it.
type ExposedError struct {
	Address Address
	Origin  string // where the address comes from
}

func (e *ExposedError) Error() string {
	return fmt.Sprintf("without TLS, everybody on the way to %s (from %s) could read the token that is sent there. "+
		"Write the address with grpcs://; one without a scheme stands for grpc://, whatever its port", e.Address, e.Origin)
}

// tidy takes white space off tokens: what was read from a file or a pipe often
// ends with a line break, which cannot be sent.
func (c *Credentials) tidy() (err error) {
	if c.Token, err = tidyToken("the authentication token", c.Token); err != nil {
		return err
	}
	c.IDToken, err = tidyToken("the id token", c.IDToken)
	return err
}

func tidyToken(what, text string) (string, error) {
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s has white space or other characters within it that no token has; it must be the token alone, on one line", what)
	}
	return text, nil
}

func (s Sources) explicit(address, origin string) (*Credentials, error) {
	parsed, err := ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	c := &Credentials{Address: parsed, Token: s.Token, TokenFile: s.TokenFile, IDToken: s.IDToken, Origin: origin}
	for _, given := range []struct {
		env  string
		into *string
	}{{EnvToken, &c.Token}, {EnvTokenFile, &c.TokenFile}, {EnvIDToken, &c.IDToken}} {
		if c.Token == "" && c.TokenFile == "" && c.IDToken == "" {
			*given.into = s.Getenv(given.env)
		}
	}
	return c, nil
}

func (s Sources) fromFile() (*Credentials, error) {
	path, required, err := s.configPath()
	if err != nil {
		return nil, err
	}
	name, found, err := readContext(path, firstOf(s.Context, s.Getenv(EnvContext)))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !required:
		return nil, ErrNoAddress
	case err != nil:
		return nil, fmt.Errorf("pachctl's config file: %w", err)
	case found.Address == "":
		return nil, fmt.Errorf("context %q of %s has no pachd_address: pachctl reaches that cluster by a port forward, which a provider cannot open. "+
			"Set address in the provider block or %s", name, path, EnvAddress)
	}
	origin := fmt.Sprintf("context %q of %s", name, path)
	address, err := ParseAddress(found.Address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	for _, given := range []struct{ attribute, value string }{{"auth_token", s.Token}, {"token_file", s.TokenFile}, {"id_token", s.IDToken}} {
		if given.value != "" {
			return nil, fmt.Errorf("%s is set, but the address comes from %s: a token is only sent to an address that was set along with it. "+
				"Set address too, or leave %s out and log in with pachctl", given.attribute, origin, given.attribute)
		}
	}
	c := &Credentials{Address: address, Token: found.Token, DeploymentID: found.DeploymentID, Origin: origin}
	if found.ServerCAs != "" {
		if c.CACertificate, err = base64.StdEncoding.DecodeString(found.ServerCAs); err != nil {
			return nil, fmt.Errorf("%s: server_cas is not base64", origin)
		}
	}
	for _, env := range []string{EnvToken, EnvTokenFile, EnvIDToken} {
		if s.Getenv(env) != "" && s.Getenv(EnvAddress) == "" {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s is not used, since the address comes from %s, which has a token of its own or needs none. "+
				"Set %s along with it, or unset it.", env, origin, EnvAddress))
		}
	}
	return c, nil
}

// configPath returns the config file's path, and whether it was asked for.
func (s Sources) configPath() (path string, required bool, err error) {
	path = firstOf(s.ConfigPath, s.Getenv(EnvConfig))
	required = path != "" || s.Context != ""
	if path == "" {
		path = "~/.pachyderm/config.json"
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home := s.Getenv("HOME")
		if home == "" {
			if home, err = os.UserHomeDir(); err != nil && required {
				return "", true, fmt.Errorf("pachctl's config file %s: %w", path, err)
			}
		}
		path = filepath.Join(home, rest)
	}
	return path, required, nil
}

// authorities adds the certificates that were configured for the address.
func (s Sources) authorities(c *Credentials) error {
	if s.CACertificate != "" {
		c.CACertificate = []byte(s.CACertificate)
		return nil
	}
	file := s.Getenv(EnvCACerts)
	if file == "" || !c.Address.Secure || c.CACertificate != nil {
		return nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w", EnvCACerts, err)
	}
	c.CACertificate = pem
	return nil
}

// fileContext is a context in pachctl's config file (src/internal/config/config.proto).
type fileContext struct {
	Address      string `json:"pachd_address"`
	ServerCAs    string `json:"server_cas"`
	Token        string `json:"session_token"`
	DeploymentID string `json:"cluster_deployment_id"`
}

func readContext(path, name string) (string, fileContext, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fileContext{}, err
	}
	var file struct {
		V2 struct {
			Active   string                 `json:"active_context"`
			Contexts map[string]fileContext `json:"contexts"`
		} `json:"v2"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return "", fileContext{}, fmt.Errorf("%s is not valid JSON: %w", path, err)
	}
	if name == "" {
		name = file.V2.Active
	}
	if name == "" {
		return "", fileContext{}, fmt.Errorf("%s has no active context; set context or %s to one of %s", path, EnvContext, known(file.V2.Contexts))
	}
	found, ok := file.V2.Contexts[name]
	if !ok {
		return "", fileContext{}, fmt.Errorf("%s has no context %q; it has %s", path, name, known(file.V2.Contexts))
	}
	return name, found, nil
}

func known(contexts map[string]fileContext) string {
	if len(contexts) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(contexts)), ", ")
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
