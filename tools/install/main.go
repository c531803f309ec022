// SPDX-License-Identifier: Apache-2.0

// Command install puts a provider that was built here where Terraform and
// OpenTofu find it, as if it came from a registry: "terraform init" works, and
// so do modules and lock files.
//
// That place is a filesystem mirror: the one in the user's folder that both
// look into by themselves, or the one that -dir names.
//
// A build gets a version of its own, 0.0.TIME, because a lock file holds the
// checksum of a version: another program under the same version would be
// refused. Earlier such versions are removed. The same program again is left
// as it is.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
)

func main() {
	if err := run(os.Args[1:], time.Now, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "install: %v\n", err)
		os.Exit(1)
	}
}

// builtVersion is a version that this command has chosen.
var builtVersion = regexp.MustCompile(`^0\.0\.\d{14}$`)

// releaseVersion is one that a command line takes without being asked for it
// by name, as it does not a pre-release.
var releaseVersion = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$`)

// run is the command with its arguments and streams.
func run(args []string, now func() time.Time, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	flags.SetOutput(stderr)
	provider := flags.String("provider", "build/"+mirror.Name, "the program to install")
	dir := flags.String("dir", "", "folder of the mirror (default the one where Terraform and OpenTofu look by themselves)")
	version := flags.String("version", "", "version to install it as, such as 1.2.3 (default 0.0.TIME)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *version == "0.0.0" || *version != "" && !releaseVersion.MatchString(*version) {
		return fmt.Errorf("invalid -version %q: it must be three numbers, such as 1.2.3, and not all 0", *version)
	}
	implied := *dir == ""
	if implied {
		var err error
		if *dir, err = mirror.Implied(); err != nil {
			return fmt.Errorf("where Terraform looks for providers: %w; say where to install with -dir", err)
		}
	}
	mirrored, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	program, err := os.ReadFile(*provider)
	if err != nil {
		return err
	}

	if *version == "" {
		if *version, err = versionOf(program, mirrored, now); err != nil {
			return err
		}
	}
	for _, host := range mirror.Hosts {
		if err := write(mirror.Unpacked(mirrored, host, *version, mirror.Local()), program); err != nil {
			return err
		}
		if err := removeEarlier(mirrored, host, *version); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "Installed version %s of spoutworks/pachyderm in %s.\n", *version, mirrored)
	if !implied {
		fmt.Fprintf(stdout, "\nTo have it used, write these lines into ~/.terraformrc (OpenTofu: ~/.tofurc):\n\n"+
			"provider_installation {\n  filesystem_mirror {\n    path    = %q\n    include = [\"spoutworks/pachyderm\"]\n  }\n"+
			"  direct {\n    exclude = [\"spoutworks/pachyderm\"]\n  }\n}\n\n", mirrored)
	}
	fmt.Fprintln(stdout, `Run "terraform init -upgrade" in folders that have used an earlier one, and "terraform init" in others.`)
	return nil
}

// versionOf is the version under which the program is in the mirror already,
// or else a new one.
func versionOf(program []byte, dir string, now func() time.Time) (string, error) {
	installed, err := builtVersions(dir, mirror.Hosts[0])
	if err != nil {
		return "", err
	}
	for _, version := range installed {
		held, err := os.ReadFile(mirror.Unpacked(dir, mirror.Hosts[0], version, mirror.Local()))
		if err == nil && bytes.Equal(held, program) {
			return version, nil
		}
	}
	return "0.0." + now().UTC().Format("20060102150405"), nil
}

// builtVersions are the versions in the mirror that this command has chosen.
func builtVersions(dir, host string) ([]string, error) {
	entries, err := os.ReadDir(mirror.Folder(dir, host))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var versions []string
	for _, entry := range entries {
		if entry.IsDir() && builtVersion.MatchString(entry.Name()) {
			versions = append(versions, entry.Name())
		}
	}
	return versions, nil
}

// removeEarlier removes the programs that were built before the one of a version.
func removeEarlier(dir, host, version string) error {
	installed, err := builtVersions(dir, host)
	if err != nil || !builtVersion.MatchString(version) {
		return err
	}
	for _, earlier := range slices.DeleteFunc(installed, func(v string) bool { return v == version }) {
		if err := os.RemoveAll(filepath.Join(mirror.Folder(dir, host), earlier)); err != nil {
			return err
		}
	}
	return nil
}

// write writes a program in one step: it may be running.
func write(name string, program []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	unfinished, err := os.CreateTemp(filepath.Dir(filepath.Dir(name)), ".install-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(unfinished.Name())
		}
	}()
	_, err = unfinished.Write(program)
	if err := cmp.Or(err, unfinished.Chmod(0o755), unfinished.Close()); err != nil {
		return err
	}
	return os.Rename(unfinished.Name(), name)
}
