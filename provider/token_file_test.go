// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// A token is sent without the line break at its end.
func TestTokenWithLineBreak(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithAuth("root"))
	for _, config := range []object{{"auth_token": "root\n"}, {"auth_token": " root\r\n"}} {
		i := newInstanceOf(t, merged(object{"address": s.Address() + "\n"}, config)).as("pachyderm_repo")
		i.must(i.apply(object{"name": "a"}))
		i.must(i.destroy())
	}
	_, diagnostics := tryInstanceOf(t, object{"address": s.Address(), "auth_token": "two\nlines"})
	if err := contains(errorsIn(diagnostics), "must be the token alone, on one line"); err != nil {
		t.Error(err)
	}
}

// The token that is in a file is sent, also after it was renewed.
func TestTokenFile(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithAuth("root"))
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, i := range map[string]*instance{
		"attribute": newInstanceOf(t, object{"address": s.Address(), "token_file": file, "auth_token": ""}),
		"variable": newInstanceOf(t, object{"address": s.Address()}, WithGetenv(func(name string) string {
			return map[string]string{pachyderm.EnvTokenFile: file}[name]
		})),
	} {
		i = i.as("pachyderm_repo")
		write("wrong\n")
		if err := contains(errorsIn(i.apply(object{"name": "a"})), "The token comes from the file "+file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		write("\n")
		if err := contains(errorsIn(i.apply(object{"name": "a"})), "holds no token"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		write("root\n") // as a renewed one
		i.must(i.apply(object{"name": "a"}))
		i.must(i.destroy())
	}
	for _, both := range []object{{"token_file": file, "auth_token": "x"}, {"token_file": file, "id_token": "x"}, {"context": "x"}} {
		if err := contains(errorsIn(validateProvider(t, merged(object{"address": s.Address()}, both))), "are both set"); err != nil {
			t.Error(err)
		}
	}
	if text := errorsIn(validateProvider(t, object{"address": s.Address(), "token_file": "", "context": "", "id_token": "", "request_timeout": "", "ca_certificate": "", "default_project": ""})); text != "" {
		t.Error(text)
	}
}

func validateProvider(t *testing.T, config object) []*tfprotov6.Diagnostic {
	t.Helper()
	i := newInstanceOf(t, object{"address": "grpc://localhost:1"})
	kind := i.schemas.Provider.ValueType()
	said, err := i.server.ValidateProviderConfig(i.ctx, &tfprotov6.ValidateProviderConfigRequest{Config: i.dynamic(kind, valueOf(t, kind, config))})
	if err != nil {
		t.Fatal(err)
	}
	return said.Diagnostics
}
