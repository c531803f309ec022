// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
)

// clock returns times a minute apart.
func clock() func() time.Time {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Minute)
		return now
	}
}

// program writes a file that stands for a provider.
func program(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), mirror.Name)
	if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func install(t *testing.T, now func() time.Time, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(args, now, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestABuildGetsAVersionOfItsOwn(t *testing.T) {
	dir, now := t.TempDir(), clock()
	versions := func() []string {
		t.Helper()
		var held [][]string
		for _, host := range mirror.Hosts {
			found, err := builtVersions(dir, host)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, found)
		}
		if strings.Join(held[0], " ") != strings.Join(held[1], " ") {
			t.Errorf("the hosts' folders differ: %v", held)
		}
		return held[0]
	}
	for _, step := range []struct{ build, want string }{
		{"first", "0.0.20261130080100"},
		{"first", "0.0.20261130080100"}, // nothing has changed: the lock files hold
		{"second", "0.0.20261130080200"},
	} {
		install(t, now, "-provider", program(t, step.build), "-dir", dir)
		if got := versions(); len(got) != 1 || got[0] != step.want {
			t.Errorf("after %s the mirror holds %v, not %s", step.build, got, step.want)
		}
	}
	install(t, now, "-provider", program(t, "release"), "-dir", dir, "-version", "1.2.3")
	if got := versions(); len(got) != 1 {
		t.Errorf("a version that was asked for has removed others: %v", got)
	}
	held, err := os.ReadFile(mirror.Unpacked(dir, mirror.Hosts[0], "1.2.3", mirror.Local()))
	if err != nil || string(held) != "release" {
		t.Errorf("version 1.2.3 is %q, %v", held, err)
	}
}

func TestVersionsThatNobodyGetsAreRefused(t *testing.T) {
	for _, version := range []string{"dev", "v1.2.3", "1.2", "1.2.3-rc1", "01.2.3", "0.0.0"} {
		err := run([]string{"-provider", program(t, "x"), "-dir", t.TempDir(), "-version", version}, time.Now, t.Output(), t.Output())
		if err == nil || !strings.Contains(err.Error(), version) {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// configuration uses the provider in a module, too.
var configuration = map[string]string{
	"main.tf": `terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

provider "pachyderm" {
  address = "grpc://127.0.0.1:1"
}

module "team" {
  source = "./team"
}
`,
	"team/main.tf": `terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

resource "pachyderm_project" "team" {
  name = "team"
}
`,
}

// A configuration with a module is initialised and understood, and goes on
// with the next build.
func TestTheCommandLineFindsTheProvider(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the provider")
	}
	clis := map[string]string{}
	for _, name := range []string{os.Getenv("TF_ACC_TERRAFORM_PATH"), "terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			clis[filepath.Base(path)] = path
		}
	}
	if len(clis) == 0 {
		t.Skip("neither terraform nor tofu is here: make test brings one")
	}
	build := func(version string) string {
		name := filepath.Join(t.TempDir(), mirror.Name)
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", name, ".")
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		return name
	}
	first, second := build("first"), build("second")
	for name, cli := range clis {
		for where, implied := range map[string]bool{"implied": true, "configured": false} {
			t.Run(name+"/"+where, func(t *testing.T) {
				home, work, now := t.TempDir(), t.TempDir(), clock()
				for _, variable := range []string{"HOME", "AppData"} {
					t.Setenv(variable, home)
				}
				for _, variable := range []string{"TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR", "TF_CLI_ARGS", "XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
					t.Setenv(variable, "") // which counts as not set
				}
				t.Setenv("CHECKPOINT_DISABLE", "1")
				for name, text := range configuration {
					name = filepath.Join(work, name)
					if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				terraform := func(args ...string) (string, error) {
					cmd := exec.Command(cli, args...)
					cmd.Dir = work
					out, err := cmd.CombinedOutput()
					return string(out), err
				}
				must := func(args ...string) {
					t.Helper()
					if out, err := terraform(args...); err != nil {
						t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
					}
				}
				var flags []string
				if !implied {
					flags = []string{"-dir", filepath.Join(home, "mirror")}
				}
				said := install(t, now, append(flags, "-provider", first)...)
				if !implied {
					// What the command says to write, in a file that both read.
					_, lines, _ := strings.Cut(said, "provider_installation")
					lines, _, _ = strings.Cut(lines, "Run ")
					if err := os.WriteFile(filepath.Join(home, "rc"), []byte("provider_installation"+lines), 0o644); err != nil {
						t.Fatal(err)
					}
					t.Setenv("TF_CLI_CONFIG_FILE", filepath.Join(home, "rc"))
				}
				must("init", "-input=false")
				must("validate")
				install(t, now, append(flags, "-provider", first)...)
				must("init", "-input=false", "-lockfile=readonly")
				install(t, now, append(flags, "-provider", second)...)
				if out, err := terraform("init", "-input=false"); err == nil || !strings.Contains(out, "no longer available") {
					t.Errorf("an earlier build: %v\n%s", err, out)
				}
				must("init", "-input=false", "-upgrade")
				must("validate")
			})
		}
	}
}
