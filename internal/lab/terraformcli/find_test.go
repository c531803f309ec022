// SPDX-License-Identifier: Apache-2.0

package terraformcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machine is a computer with command lines on its PATH and perhaps a network.
type machine struct {
	testing.TB
	finder
	log    strings.Builder
	onPath map[string]string // product to file
	asked  []string          // what was fetched and built, in order
}

func newMachine(t testing.TB) *machine {
	m := &machine{TB: t, onPath: map[string]string{}}
	m.finder = finder{
		log:   &m.log,
		cache: filepath.Join(t.TempDir(), "not", "there", "yet"),
		lookPath: func(name string) (string, error) {
			if path, ok := m.onPath[name]; ok {
				return path, nil
			}
			return "", exec.ErrNotFound
		},
		fetch:  m.put("fetch", "Terraform v"+FetchedTerraform),
		build:  m.put("build", "OpenTofu v"+BuiltOpenTofu),
		old:    m.put("old", "Terraform v"+Minimum),
		unpack: m.put("unpack", "Terraform v"+UnpackedTerraform),
	}
	return m
}

// offline makes fetching fail.
func (m *machine) offline() {
	m.fetch = func(context.Context, io.Writer, string) error {
		m.asked = append(m.asked, "fetch")
		return errors.New("no route to host")
	}
}

func (m *machine) put(what, version string) func(context.Context, io.Writer, string) error {
	return func(_ context.Context, _ io.Writer, path string) error {
		m.asked = append(m.asked, what)
		return os.WriteFile(path, []byte(script(version)), 0o600)
	}
}

// executable writes a command line that answers version with the text.
func (m *machine) executable(version string) string {
	m.Helper()
	path := filepath.Join(m.TempDir(), "cli")
	if err := os.WriteFile(path, []byte(script(version)), 0o755); err != nil {
		m.Fatal(err)
	}
	return path
}

func script(version string) string {
	return fmt.Sprintf("#!/bin/sh\ntest \"$1\" = version || exit 3\necho '%s'\necho on linux_amd64\n", version)
}

func (m *machine) finds(product, version, how string) {
	m.Helper()
	m.findsBy(m.first, product, version, how)
}

func (m *machine) findsBy(way func(context.Context) (CLI, error), product, version, how string) {
	m.Helper()
	cli, err := m.find(context.Background(), way)
	if err != nil {
		m.Fatal(err)
	}
	if cli.Product != product || cli.Version != version || cli.How != how {
		m.Errorf("found %s, want %s %s, %s", cli, product, version, how)
	}
	if _, err := os.Stat(cli.Path); err != nil || !filepath.IsAbs(cli.Path) {
		m.Errorf("path %q: %v", cli.Path, err)
	}
	if !strings.Contains(m.log.String(), cli.String()) {
		m.Errorf("the log does not say that %s is used:\n%s", cli, &m.log)
	}
}

func TestTerraformOnPathIsUsed(t *testing.T) {
	m := newMachine(t)
	m.onPath[Terraform] = m.executable("Terraform v1.13.2")
	m.onPath[OpenTofu] = m.executable("OpenTofu v1.12.6")
	m.finds(Terraform, "1.13.2", FromPath)
}

func TestOpenTofuOnPathIsUsedWhereTerraformIsNot(t *testing.T) {
	m := newMachine(t)
	m.onPath[OpenTofu] = m.executable("OpenTofu v1.12.6")
	m.finds(OpenTofu, "1.12.6", FromPath)
}

func TestTheVariableComesFirst(t *testing.T) {
	m := newMachine(t)
	m.onPath[Terraform] = m.executable("Terraform v1.13.2")
	m.variable = m.executable("OpenTofu v1.11.0-rc1")
	m.finds(OpenTofu, "1.11.0-rc1", FromVariable)
}

func TestAWrongVariableIsAnErrorNotPassedOver(t *testing.T) {
	m := newMachine(t)
	m.onPath[Terraform] = m.executable("Terraform v1.13.2")
	m.variable = filepath.Join(t.TempDir(), "missing")
	if cli, err := m.find(context.Background(), m.first); err == nil {
		t.Errorf("found %s", cli)
	}
}

func TestAnOldTerraformIsPassedOver(t *testing.T) {
	m := newMachine(t)
	m.onPath[Terraform] = m.executable("Terraform v1.5.7")
	m.onPath[OpenTofu] = m.executable("OpenTofu v1.12.6")
	m.finds(OpenTofu, "1.12.6", FromPath)
	if !strings.Contains(m.log.String(), "1.5.7") {
		t.Errorf("the log does not say why:\n%s", &m.log)
	}
}

func TestWhatOnlyHasTheNameIsPassedOver(t *testing.T) {
	m := newMachine(t)
	m.onPath[Terraform] = m.executable("tfenv: no version chosen")
	m.onPath[OpenTofu] = m.executable("OpenTofu v1.12.6")
	m.finds(OpenTofu, "1.12.6", FromPath)
}

func TestFetchedOnceThenTakenFromTheCache(t *testing.T) {
	m := newMachine(t)
	m.finds(Terraform, FetchedTerraform, Fetched)
	m.finds(Terraform, FetchedTerraform, FromCache)
	if !slices.Equal(m.asked, []string{"fetch"}) {
		t.Errorf("asked %v", m.asked)
	}
	m.leavesNothingHalf()
}

func TestBuiltOnceWhereNothingCanBeFetched(t *testing.T) {
	m := newMachine(t)
	m.offline()
	m.finds(OpenTofu, BuiltOpenTofu, Built)
	m.finds(OpenTofu, BuiltOpenTofu, FromCache)
	if !slices.Equal(m.asked, []string{"fetch", "build"}) {
		t.Errorf("asked %v", m.asked)
	}
	m.leavesNothingHalf()
}

func TestOpenTofuBesideTerraform(t *testing.T) {
	m := newMachine(t)
	m.variable, m.onPath[Terraform] = m.executable("Terraform v1.13.2"), m.executable("Terraform v1.13.2")
	m.findsBy(m.openTofu, OpenTofu, BuiltOpenTofu, Built)
	m.findsBy(m.openTofu, OpenTofu, BuiltOpenTofu, FromCache)
	m.onPath[OpenTofu] = m.executable("OpenTofu v1.13.0")
	m.findsBy(m.openTofu, OpenTofu, "1.13.0", FromPath)
	m.leavesNothingHalf()
}

func TestTheNewestTerraformBesideAnother(t *testing.T) {
	m := newMachine(t)
	m.onPath[Terraform] = m.executable("Terraform v1.13.2")
	m.findsBy(m.newest, Terraform, FetchedTerraform, Fetched)
	m.findsBy(m.newest, Terraform, FetchedTerraform, FromCache)
	offline := newMachine(t)
	offline.offline()
	offline.findsBy(offline.newest, Terraform, UnpackedTerraform, Unpacked)
	offline.findsBy(offline.newest, Terraform, UnpackedTerraform, FromCache)
	if !slices.Equal(offline.asked, []string{"fetch", "unpack"}) {
		t.Errorf("asked %v", offline.asked)
	}
	offline.leavesNothingHalf()
}

func TestTheOldestTerraformBesideAnother(t *testing.T) {
	m := newMachine(t)
	m.variable, m.onPath[Terraform] = m.executable("Terraform v1.13.2"), m.executable("Terraform v1.13.2")
	m.findsBy(m.oldest, Terraform, Minimum, Built)
	m.findsBy(m.oldest, Terraform, Minimum, FromCache)
	m.leavesNothingHalf()
}

func TestTheErrorSaysWhatWasTried(t *testing.T) {
	m := newMachine(t)
	m.offline()
	m.build = func(context.Context, io.Writer, string) error { return errors.New("no compiler") }
	_, err := m.find(context.Background(), m.first)
	for _, want := range []string{"no route to host", "no compiler", PathVariable} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	m.leavesNothingHalf()
}

// leavesNothingHalf looks for folders of unfinished installations.
func (m *machine) leavesNothingHalf() {
	m.Helper()
	left, err := filepath.Glob(filepath.Join(m.cache, "*", ".install-*"))
	if err != nil || len(left) > 0 {
		m.Errorf("left behind: %v %v", left, err)
	}
}

func TestTheUsersConfigurationIsNotLookedAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cli")
	body := "#!/bin/sh\n[ \"$TF_CLI_CONFIG_FILE\" = /dev/null ] && [ -z \"$TF_CLI_ARGS_version\" ] && echo Terraform v1.12.0\n"
	if err := os.WriteFile(path, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TF_CLI_CONFIG_FILE", "/nowhere/terraformrc")
	t.Setenv("TF_CLI_ARGS_version", "-json")
	if _, err := inspect(context.Background(), path, FromPath); err != nil {
		t.Error(err)
	}
}

func TestTestEnvironment(t *testing.T) {
	terraform := CLI{Path: "/bin/terraform", Product: Terraform}.TestEnvironment()
	if want := []string{"TF_ACC_TERRAFORM_PATH=/bin/terraform", "CHECKPOINT_DISABLE=1"}; !slices.Equal(terraform, want) {
		t.Errorf("terraform: %q", terraform)
	}
	tofu := CLI{Path: "/bin/tofu", Product: OpenTofu}.TestEnvironment()
	if !slices.Contains(tofu, "TF_ACC_PROVIDER_HOST=registry.opentofu.org") {
		t.Errorf("tofu: %q", tofu)
	}
}

// TestNoCache: without a folder of the user, none is taken that others can
// write to, and none of the ways looks at what lies there.
func TestNoCache(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	f := newFinder(io.Discard)
	if f.noCache == nil || strings.HasPrefix(f.cache, os.TempDir()) {
		t.Fatalf("the cache is %s, %v", f.cache, f.noCache)
	}
	m := newMachine(t)
	m.noCache = f.noCache
	for _, version := range []string{FetchedTerraform, UnpackedTerraform, Minimum} {
		planted := m.cached(Terraform, version)
		if err := os.MkdirAll(filepath.Dir(planted), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(planted, []byte(script("Terraform v"+version)), 0o700); err != nil { //nolint:gosec // it would be run
			t.Fatal(err)
		}
	}
	for name, way := range map[string]func(context.Context) (CLI, error){"first": m.first, "newest": m.newest, "oldest": m.oldest, "OpenTofu": m.openTofu} {
		if cli, err := m.find(t.Context(), way); err == nil || !strings.Contains(err.Error(), "set HOME or XDG_CACHE_HOME") {
			t.Errorf("%s: %v, %v", name, cli, err)
		}
	}
	if len(m.asked) > 0 {
		t.Errorf("it went on to %v", m.asked)
	}
}
