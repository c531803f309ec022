// SPDX-License-Identifier: Apache-2.0

// Package examples_test checks that every configuration below this folder is
// formatted, and that Terraform accepts it with the provider as it is now.
package examples_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-version"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
)

func TestExamplesAreFormatted(t *testing.T) {
	terraform(t, find(t), os.DevNull, ".", "fmt", "-check", "-diff", "-recursive") // make generate formats them
}

// Queries are HCL, too, which command lines before 1.14 do not look for.
func TestQueriesAreFormatted(t *testing.T) {
	queries, err := filepath.Glob("list-resources/*/*.tfquery.hcl")
	if err != nil || len(queries) == 0 {
		t.Fatal("there are no queries", err)
	}
	dir, cli := t.TempDir(), find(t)
	for n, query := range queries {
		text, err := os.ReadFile(query)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("query%d.tf", n)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	terraform(t, cli, os.DevNull, dir, "fmt", "-check", "-diff")
}

func TestExamplesAreValid(t *testing.T) {
	cli := find(t)
	cliConfig := overrideProvider(t)
	for _, c := range configurations(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !knows(cli, c.name) {
				t.Skipf("%s %s does not know this", cli.Product, cli.Version)
			}
			validate(t, cli, cliConfig, c)
		})
	}
}

func TestTheReadmesExampleIsFormattedAndValid(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```terraform\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no configuration")
	}
	cli := find(t)
	cliConfig := overrideProvider(t)
	for _, block := range blocks {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "main.tf"), block[1], 0o644); err != nil {
			t.Fatal(err)
		}
		terraform(t, cli, cliConfig, dir, "fmt", "-check", "-diff")
		terraform(t, cli, cliConfig, dir, "validate", "-no-color")
	}
}

// needs says from which version on the command lines know what some examples
// are about; "" stands for never so far.
var needs = []struct {
	name            *regexp.Regexp // of a configuration
	terraform, tofu string
}{
	{regexp.MustCompile(`^actions/`), "1.14.0", ""},
	{regexp.MustCompile(`^resources/pachyderm_secret/`), "1.11.0", "1.11.0"}, // write-only
	{regexp.MustCompile(`^ephemeral-resources/`), "1.11.0", "1.11.0"},        // and write-only
	{regexp.MustCompile(`^functions/`), "1.8.0", "1.7.0"},
	{regexp.MustCompile(`import-by-identity\.tf$`), "1.12.0", "1.12.0"},
}

func knows(cli terraformcli.CLI, name string) bool {
	for _, n := range needs {
		if !n.name.MatchString(name) {
			continue
		}
		minimum := n.terraform
		if cli.Product == terraformcli.OpenTofu {
			minimum = n.tofu
		}
		have, err := version.NewVersion(cli.Version)
		if err != nil || minimum == "" || have.LessThan(version.Must(version.NewVersion(minimum))) {
			return false
		}
	}
	return true
}

// configuration is what Terraform sees at once.
type configuration struct {
	name, dir string
	files     []string // base names
}

// snippets are the folders whose files are shown one by one in the
// documentation, as tfplugindocs lays them out.
var snippets = []string{"provider", "resources", "data-sources", "ephemeral-resources", "functions", "actions"}

// configurations finds all below this folder. A snippet is one by itself, and
// one that imports also needs what it imports to; any other folder is one.
func configurations(t *testing.T) []configuration {
	t.Helper()
	var out []configuration
	err := filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		paths, err := filepath.Glob(filepath.Join(dir, "*.tf"))
		if err != nil || len(paths) == 0 {
			return err
		}
		whole := configuration{name: filepath.ToSlash(dir), dir: dir}
		kind, _, _ := strings.Cut(whole.name, "/")
		for _, path := range paths {
			file := filepath.Base(path)
			whole.files = append(whole.files, file)
			if slices.Contains(snippets, kind) {
				one := configuration{name: whole.name + "/" + file, dir: dir, files: []string{file}}
				if strings.HasPrefix(file, "import") {
					one.files = append(one.files, "resource.tf")
				}
				out = append(out, one)
			}
		}
		if !slices.Contains(snippets, kind) {
			out = append(out, whole)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("there are no examples")
	}
	return out
}

// validate has Terraform validate the configuration in a copy of all examples,
// so that modules are found and nothing is left behind here.
func validate(t *testing.T, cli terraformcli.CLI, cliConfig string, c configuration) {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, c.dir)
	copied, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range copied {
		if !slices.Contains(c.files, filepath.Base(path)) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	terraform(t, cli, cliConfig, dir, "get")
	terraform(t, cli, cliConfig, dir, "validate", "-no-color")
}

// terraform runs the command line, which has to succeed.
func terraform(t *testing.T, cli terraformcli.CLI, cliConfig, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), cli.Path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+cliConfig, "CHECKPOINT_DISABLE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", cli.Product, args[0], err, out)
	}
}

func find(t *testing.T) terraformcli.CLI {
	t.Helper()
	cli, err := terraformcli.Find(context.Background(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return cli
}

// overrideProvider builds the provider and returns a CLI configuration by
// which Terraform uses it without init. Examples of single objects have no
// required_providers, so that Terraform takes the provider for HashiCorp's.
func overrideProvider(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := artifacts.Provider(t.Context(), dir, "0.0.0"); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    %q = %q\n    %q = %q\n  }\n}\n",
		terraformcli.ProviderSource, dir, "hashicorp/pachyderm", dir)
	file := filepath.Join(dir, "terraform.rc")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
