// SPDX-License-Identifier: Apache-2.0

// Command image makes the OCI image of spout-runner for linux/amd64 and
// linux/arm64, without a Docker daemon.
//
// It writes an OCI layout folder and the same layout as a tarball, and prints
// the digest of the image's index. The same sources and Go release give the
// same digest. The index holds, for each platform, what is in the image (SPDX)
// and how it was made (SLSA provenance); both are written as files, too.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
	"github.com/spoutworks/terraform-provider-pachyderm/tools/modules"
)

// Names of what is written in the output folder.
const (
	layoutName  = "image"
	archiveName = "spout-runner-image.tar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run is the command with its arguments and streams.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(stderr)
	module := flags.String("module", ".", "folder of the module that holds the runner")
	pkg := flags.String("package", "./runner", "package of the runner in that module")
	licence := flags.String("licence", "", "licence to put into the image (default LICENSE in the module's folder)")
	out := flags.String("out", "dist", "folder to write to")
	check := flags.String("check", "", "digest that the image must have, for example sha256:...; another is an error, and is not pushed")
	push := flags.String("push", "", "reference to push to as well, as registry.example/spout-runner:1.2.3; logs in as docker and podman do")
	var about labels
	flags.StringVar(&about.version, "version", "dev", "version of the runner")
	flags.StringVar(&about.revision, "revision", "", "commit that the runner is built from")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	if *licence == "" {
		*licence = filepath.Join(*module, "LICENSE")
	}

	scratch, err := os.MkdirTemp("", "spout-runner-image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()

	var images []platformImage
	for _, platform := range platforms {
		_, _ = fmt.Fprintf(stderr, "building %s for %s\n", *pkg, platform)
		image, err := build(ctx, source{*module, *pkg, *licence}, scratch, platform, about, stderr)
		if err != nil {
			return fmt.Errorf("image for %s: %w", platform, err)
		}
		images = append(images, image)
	}
	index, err := indexOf(images, about)
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	if *check != "" && *check != digest.String() {
		return fmt.Errorf("these sources and this release of Go give %s, not %s", digest, *check)
	}
	layout, archive := filepath.Join(*out, layoutName), filepath.Join(*out, archiveName)
	if err := writeLayout(layout, index, about.version); err != nil {
		return fmt.Errorf("writing %s: %w", layout, err)
	}
	if err := writeArchive(archive, layout, images, about.version); err != nil {
		return fmt.Errorf("writing %s: %w", archive, err)
	}
	for _, i := range images {
		for kind, content := range map[string][]byte{"spdx": i.said.sbom, "provenance": i.said.provenance} {
			name := fmt.Sprintf("%s_%s_%s_%s.%s.json", imageName, about.version, i.platform.OS, i.platform.Architecture, kind)
			if err := os.WriteFile(filepath.Join(*out, name), content, 0o644); err != nil {
				return err
			}
		}
	}
	_, _ = fmt.Fprintf(stderr, "wrote %s, %s, and beside them what is said about them\n", layout, archive)
	if *push != "" {
		if err := pushIndex(ctx, *push, index); err != nil {
			return fmt.Errorf("pushing to %s: %w", *push, err)
		}
		_, _ = fmt.Fprintf(stderr, "pushed to %s\n", *push)
	}
	_, err = fmt.Fprintln(stdout, digest)
	return err
}

// source is what the runner is built from.
type source struct{ module, pkg, licence string }

// build makes the image of one platform.
func build(ctx context.Context, from source, scratch string, platform v1.Platform, about labels, log io.Writer) (platformImage, error) {
	binary := filepath.Join(scratch, "spout-runner-"+platform.Architecture)
	if err := compile(ctx, from.module, from.pkg, about.version, platform, binary, log); err != nil {
		return platformImage{}, err
	}
	made, err := modules.List(ctx, modules.Query{Dir: from.module, Packages: []string{from.pkg},
		Platform: mirror.Platform{OS: platform.OS, Arch: platform.Architecture}})
	if err != nil {
		return platformImage{}, err
	}
	sums, err := sumsOf(binary)
	if err != nil {
		return platformImage{}, err
	}
	if err := sameModules(made, sums); err != nil {
		return platformImage{}, err
	}
	image, err := runnerImage(binary, from.licence, modules.Notices(imageName, made), platform, about)
	if err != nil {
		return platformImage{}, err
	}
	var said attested
	if said.sbom, err = sbom(binary, made, platform, about); err != nil {
		return platformImage{}, err
	}
	if said.provenance, err = provenance(from.pkg, made, sums, platform, about); err != nil {
		return platformImage{}, err
	}
	return platformImage{platform, image, said}, nil
}

// platforms are those that Pachyderm itself is released for.
var platforms = []v1.Platform{
	{OS: "linux", Architecture: "amd64"},
	{OS: "linux", Architecture: "arm64"},
}
