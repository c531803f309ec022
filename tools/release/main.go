// SPDX-License-Identifier: Apache-2.0

// Command release makes the files of a release of the provider, as the
// registries of Terraform and OpenTofu want them: a zip for each platform, the
// registry's manifest, the checksums of both, and the signature of the
// checksums.
//
// Making a release and trying how it would be differ in the key only: the
// armored private key in GPG_PRIVATE_KEY, or one that is made and thrown away.
//
// The same sources and release of Go give the same zips, byte by byte, and
// -check builds them twice to see that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// semantic is a version as the registries want it, without a "v" in front.
var semantic = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

// digests are those of images.
var digests = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// run is the command with its arguments and streams.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var r release
	flags.StringVar(&r.module, "module", ".", "folder of the provider's module")
	flags.StringVar(&r.version, "version", "", "version of the release, such as 1.2.3")
	flags.StringVar(&r.runnerDigest, "runner-digest", "", "digest of the runner's image of this release, for example sha256:...")
	flags.StringVar(&r.out, "out", "dist/release", "folder to write to; what is in it is removed")
	platforms := flags.String("platforms", "", "platforms to build for, such as linux_amd64,darwin_arm64 (default all)")
	check := flags.String("check", "", "platforms to build a second time, from a copy of the sources and with an empty cache; or all")
	throwAway := flags.Bool("throw-away-key", false, "sign with a new key, whose public half is written beside the release, instead of GPG_PRIVATE_KEY")
	mirrored := flags.String("mirror", "", "folder to lay the zips out in as a filesystem mirror, for terraform init")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case r.version == "0.0.0":
		return errors.New("invalid -version 0.0.0: Terraform takes it for no version at all")
	case !semantic.MatchString(r.version):
		return fmt.Errorf("invalid -version %q: it must be a semantic version without a leading v, such as 1.2.3", r.version)
	case !digests.MatchString(r.runnerDigest):
		return fmt.Errorf("invalid -runner-digest %q: it must be what tools/image prints, such as sha256:0123 and so on", r.runnerDigest)
	}
	if r.platforms, err = parsePlatforms(*platforms); err != nil {
		return fmt.Errorf("-platforms: %w", err)
	}
	if r.time, err = sourceTime(); err != nil {
		return err
	}
	key, err := signingKey(*throwAway)
	if err != nil {
		return err
	}

	if err := r.make(ctx, stderr); err != nil {
		return err
	}
	if err := key.sign(filepath.Join(r.out, r.sums())); err != nil {
		return err
	}
	if *throwAway {
		if err := key.writePublic(filepath.Join(r.out, "throw-away-key.asc")); err != nil {
			return err
		}
	}
	if *mirrored != "" {
		if err := r.layOut(*mirrored); err != nil {
			return fmt.Errorf("laying out %s: %w", *mirrored, err)
		}
	}
	if *check != "" {
		again, err := parsePlatforms(strings.TrimPrefix(*check, "all"))
		if err != nil {
			return fmt.Errorf("-check: %w", err)
		}
		scratch, err := os.MkdirTemp("", "release-check-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(scratch) }()
		if err := r.check(ctx, again, scratch, filepath.Join(scratch, "cache"), stderr); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fmt.Fprintln(stdout, filepath.Join(r.out, entry.Name()))
	}
	return nil
}

// parsePlatforms reads a list; an empty one stands for all.
func parsePlatforms(list string) ([]mirror.Platform, error) {
	if list == "" {
		return mirror.Platforms, nil
	}
	var platforms []mirror.Platform
	for _, name := range strings.Split(list, ",") {
		platform, err := mirror.ParsePlatform(name)
		if err != nil {
			return nil, err
		}
		platforms = append(platforms, platform)
	}
	return platforms, nil
}

var errDiffers = errors.New("two builds of the same sources differ")
