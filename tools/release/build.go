// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
	"github.com/spoutworks/terraform-provider-pachyderm/tools/modules"
)

// release is what is made, and where.
type release struct {
	module       string // folder of the sources
	version      string
	runnerDigest string
	out          string
	platforms    []mirror.Platform
	time         time.Time // of all files
}

// manifestFile is what the registries want to know, in the module's folder.
const manifestFile = "terraform-registry-manifest.json"

func (r release) sums() string     { return mirror.Name + "_" + r.version + "_SHA256SUMS" }
func (r release) manifest() string { return mirror.Name + "_" + r.version + "_manifest.json" }

// make writes the zips, the manifest and their checksums.
func (r release) make(ctx context.Context, log io.Writer) error {
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(r.module, manifestFile))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.out, r.manifest()), manifest, 0o644); err != nil {
		return err
	}
	sums := []string{sum(manifest, r.manifest())}
	for _, platform := range r.platforms {
		fmt.Fprintf(log, "building the provider for %s\n", platform)
		packed, err := r.build(ctx, platform, "", log)
		if err != nil {
			return err
		}
		name := platform.Zip(r.version)
		if err := os.WriteFile(filepath.Join(r.out, name), packed, 0o644); err != nil {
			return err
		}
		sums = append(sums, sum(packed, name))
	}
	slices.SortFunc(sums, func(a, b string) int { return strings.Compare(a[64:], b[64:]) }) // by name
	return os.WriteFile(filepath.Join(r.out, r.sums()), []byte(strings.Join(sums, "")), 0o644)
}

// sum is a line of the checksums, as sha256sum reads it.
func sum(content []byte, name string) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:]) + "  " + name + "\n"
}

// build returns the zip of a platform. cache is a folder for what Go compiles,
// or empty for the user's.
func (r release) build(ctx context.Context, platform mirror.Platform, cache string, log io.Writer) ([]byte, error) {
	scratch, err := os.MkdirTemp("", "release-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	program := filepath.Join(scratch, platform.Executable(r.version))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+r.version+" -X main.runnerDigest="+r.runnerDigest, "-o", program, ".")
	cmd.Dir = r.module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0",
		"GOOS="+platform.OS, "GOARCH="+platform.Arch)
	if cache != "" {
		cmd.Env = append(cmd.Env, "GOCACHE="+cache)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go build for %s: %w", platform, err)
	}
	if platform == mirror.Local() {
		if err := r.runs(ctx, program); err != nil {
			return nil, err
		}
	}
	made, err := modules.List(ctx, modules.Query{Dir: r.module, Packages: []string{"."}, Platform: platform})
	if err != nil {
		return nil, err
	}
	return r.pack(program, modules.Notices(mirror.Name, made))
}

// runs starts the program, which must be of the release and take the image of
// the same release.
func (r release) runs(ctx context.Context, program string) error {
	for flag, want := range map[string]string{"-version": r.version, "-image": ":" + r.version + "@" + r.runnerDigest} {
		out, err := exec.CommandContext(ctx, program, flag).Output()
		if err != nil {
			return fmt.Errorf("%s %s: %w", filepath.Base(program), flag, err)
		}
		if got := strings.TrimSpace(string(out)); !strings.HasSuffix(got, want) {
			return fmt.Errorf("%s %s prints %q, not %q", filepath.Base(program), flag, got, want)
		}
	}
	return nil
}

// pack zips a program with its terms. Nothing of the machine gets in.
func (r release) pack(program, notices string) ([]byte, error) {
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	licence, err := os.ReadFile(filepath.Join(r.module, "LICENSE"))
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, f := range []struct {
		name    string
		mode    fs.FileMode
		content []byte
	}{
		{"LICENSE", 0o644, licence},
		{"THIRD_PARTY_LICENSES", 0o644, []byte(notices)},
		{filepath.Base(program), 0o755, binary},
	} {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: r.time}
		header.SetMode(f.mode)
		file, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := file.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// layOut makes dir a filesystem mirror that holds the zips. Where the zips can
// be linked, they take no room.
func (r release) layOut(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, host := range mirror.Hosts {
		folder := mirror.Folder(dir, host)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		for _, platform := range r.platforms {
			from, to := filepath.Join(r.out, platform.Zip(r.version)), filepath.Join(folder, platform.Zip(r.version))
			if os.Link(from, to) == nil {
				continue
			}
			content, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			if err := os.WriteFile(to, content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// sourceTime is when the sources were made: SOURCE_DATE_EPOCH, by which builds
// that are to be reproducible agree on a time, or the first that a zip knows.
func sourceTime() (time.Time, error) {
	value := os.Getenv("SOURCE_DATE_EPOCH")
	if value == "" {
		return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("invalid SOURCE_DATE_EPOCH %q: it must be a number of seconds since 1970", value)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
