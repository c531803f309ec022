// SPDX-License-Identifier: Apache-2.0

// Package mirror knows how Terraform and OpenTofu want a filesystem mirror:
//
//	HOST/NAMESPACE/TYPE/VERSION/OS_ARCH/terraform-provider-TYPE_vVERSION   unpacked
//	HOST/NAMESPACE/TYPE/terraform-provider-TYPE_VERSION_OS_ARCH.zip        packed
//
// See https://developer.hashicorp.com/terraform/cli/config/config-file#filesystem_mirror.
package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Hosts are the registries that "spoutworks/pachyderm" may mean: Terraform's,
// and OpenTofu's. A mirror has a folder for each.
var Hosts = []string{"registry.terraform.io", "registry.opentofu.org"}

// Name is what files of the provider are called.
const Name = "terraform-provider-pachyderm"

// Platform is what a program is built for.
type Platform struct{ OS, Arch string }

// Platforms are those that a release is for.
var Platforms = []Platform{
	{"darwin", "amd64"}, {"darwin", "arm64"},
	{"freebsd", "amd64"}, {"freebsd", "arm64"},
	{"linux", "amd64"}, {"linux", "arm64"},
	{"windows", "amd64"}, {"windows", "arm64"},
}

// Local is this machine's platform.
func Local() Platform { return Platform{runtime.GOOS, runtime.GOARCH} }

func (p Platform) String() string { return p.OS + "_" + p.Arch }

// ParsePlatform reads what String has made.
func ParsePlatform(s string) (Platform, error) {
	system, arch, ok := strings.Cut(s, "_")
	if !ok || system == "" || arch == "" {
		return Platform{}, fmt.Errorf("invalid platform %q: it must be OS_ARCH, such as linux_amd64", s)
	}
	return Platform{system, arch}, nil
}

// Executable is the name of a version's program.
func (p Platform) Executable(version string) string {
	name := Name + "_v" + version
	if p.OS == "windows" {
		name += ".exe"
	}
	return name
}

// Zip is the name of a version's package.
func (p Platform) Zip(version string) string {
	return fmt.Sprintf("%s_%s_%s.zip", Name, version, p)
}

// Folder is where the mirror in dir keeps the provider of a host.
func Folder(dir, host string) string {
	return filepath.Join(dir, host, "spoutworks", "pachyderm")
}

// Unpacked is where the mirror in dir keeps a version's program.
func Unpacked(dir, host, version string, p Platform) string {
	return filepath.Join(Folder(dir, host), version, p.String(), p.Executable(version))
}

// Implied is the folder in which both command lines look for providers
// without being told, unless their configuration says where to look.
func Implied() (string, error) {
	if runtime.GOOS == "windows" {
		data, err := os.UserConfigDir() // %AppData%
		return filepath.Join(data, "terraform.d", "plugins"), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".terraform.d", "plugins"), err
}
