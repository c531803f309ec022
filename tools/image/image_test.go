// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// made is one run of the command, with testdata/witness as the runner.
type made struct {
	out    string // folder
	digest string
}

var (
	witnessOnce sync.Once
	witness     made
	witnessErr  error
)

// image runs the command once for all tests.
func image(t *testing.T) made {
	t.Helper()
	witnessOnce.Do(func() {
		out, err := os.MkdirTemp("", "image-test-")
		if err != nil {
			witnessErr = err
			return
		}
		witness, witnessErr = makeImage(out)
	})
	if witnessErr != nil {
		t.Fatal(witnessErr)
	}
	return witness
}

func TestMain(m *testing.M) {
	code := m.Run()
	if witness.out != "" {
		_ = os.RemoveAll(witness.out)
	}
	os.Exit(code)
}

func makeImage(out string, more ...string) (made, error) {
	args := append([]string{"-package", "./testdata/witness", "-licence", filepath.Join("..", "..", "LICENSE"),
		"-out", out, "-version", "1.2.3", "-revision", "0123abc"}, more...)
	var stdout, stderr bytes.Buffer
	if err := run(context.Background(), args, &stdout, &stderr); err != nil {
		return made{}, fmt.Errorf("%w\n%s", err, &stderr)
	}
	return made{out: out, digest: strings.TrimSpace(stdout.String())}, nil
}

// index opens the layout and returns the index of the image in it.
func (m made) index(t *testing.T) v1.ImageIndex {
	t.Helper()
	path, err := layout.FromPath(filepath.Join(m.out, layoutName))
	if err != nil {
		t.Fatal(err)
	}
	top, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("the layout holds %d images", len(manifest.Manifests))
	}
	if got := manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; got != "1.2.3" {
		t.Errorf("the image in the layout is called %q", got)
	}
	index, err := top.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// images returns the images of an index by architecture.
func images(t *testing.T, index v1.ImageIndex) map[string]v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]v1.Image{}
	for _, m := range manifest.Manifests {
		if m.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
			continue
		}
		if m.Platform == nil || m.Platform.OS != "linux" {
			t.Fatalf("%s is for platform %v", m.Digest, m.Platform)
		}
		if out[m.Platform.Architecture], err = index.Image(m.Digest); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// valid fails the test if an image of the index is not what it says, or what
// is said about it. (validate.Index knows no manifests without file systems.)
func valid(t *testing.T, index v1.ImageIndex) {
	t.Helper()
	for architecture, image := range images(t, index) {
		if err := validate.Image(image); err != nil {
			t.Errorf("%s: %v", architecture, err)
		}
	}
	if statements := said(t, index); len(statements) != len(platforms) {
		t.Errorf("statements about %d images", len(statements))
	}
}

// file is what the image holds under one name.
type file struct {
	header  *tar.Header
	content []byte
}

func files(t *testing.T, image v1.Image) map[string]file {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 1 {
		t.Fatalf("%d layers", len(layers))
	}
	packed, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	out := map[string]file{}
	for r := tar.NewReader(packed); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[header.Name] = file{header, content}
	}
}

func TestTheImageIsAValidIndexOfBothPlatforms(t *testing.T) {
	m := image(t)
	index := m.index(t)
	valid(t, index)
	if digest, err := index.Digest(); err != nil || digest.String() != m.digest {
		t.Errorf("printed %s for an index with digest %s (%v)", m.digest, digest, err)
	}
	if mediaType, err := index.MediaType(); err != nil || mediaType != types.OCIImageIndex {
		t.Errorf("media type %s, %v", mediaType, err)
	}
	byArchitecture := images(t, index)
	if len(byArchitecture) != 2 || byArchitecture["amd64"] == nil || byArchitecture["arm64"] == nil {
		t.Errorf("architectures %v", byArchitecture)
	}
}

func TestTheConfiguration(t *testing.T) {
	for architecture, image := range images(t, image(t).index(t)) {
		t.Run(architecture, func(t *testing.T) {
			config, err := image.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if config.OS != "linux" || config.Architecture != architecture {
				t.Errorf("platform %s/%s", config.OS, config.Architecture)
			}
			if config.Config.User != "65532:65532" {
				t.Errorf("user %q", config.Config.User)
			}
			if !slices.Equal(config.Config.Entrypoint, []string{"/spout-runner"}) {
				t.Errorf("entrypoint %q", config.Config.Entrypoint)
			}
			for label, want := range map[string]string{"version": "1.2.3", "revision": "0123abc", "licenses": "Apache-2.0", "title": "spout-runner"} {
				if got := config.Config.Labels["org.opencontainers.image."+label]; got != want {
					t.Errorf("label %s is %q, want %q", label, got, want)
				}
			}
			if manifest, err := image.Manifest(); err != nil || manifest.Config.MediaType != types.OCIConfigJSON || manifest.MediaType != types.OCIManifestSchema1 {
				t.Errorf("not an OCI manifest: %+v, %v", manifest, err)
			}
		})
	}
}

func TestTheFiles(t *testing.T) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for architecture, image := range images(t, image(t).index(t)) {
		t.Run(architecture, func(t *testing.T) {
			held := files(t, image)
			want := map[string]int64{
				"LICENSE":                           0o644,
				"THIRD_PARTY_LICENSES":              0o644,
				"etc/":                              0o755,
				"etc/ssl/":                          0o755,
				"etc/ssl/certs/":                    0o755,
				"etc/ssl/certs/ca-certificates.crt": 0o644,
				"spout-runner":                      0o755,
				"tmp/":                              0o1777,
			}
			for name, f := range held {
				if mode, ok := want[name]; !ok || f.header.Mode != mode || f.header.Uid != 0 || f.header.Gid != 0 || !f.header.ModTime.Equal(epoch) {
					t.Errorf("%s: mode %o, owner %d:%d, time %s; wanted %v, mode %o", name, f.header.Mode, f.header.Uid, f.header.Gid, f.header.ModTime, ok, mode)
				}
			}
			if len(held) != len(want) {
				t.Errorf("%d files, want %d", len(held), len(want))
			}
			binary, err := elf.NewFile(bytes.NewReader(held["spout-runner"].content))
			if err != nil {
				t.Fatal(err)
			}
			if binary.Machine != machines[architecture] {
				t.Errorf("the executable is for %s", binary.Machine)
			}
			if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
				t.Errorf("not static: %v, %v", libraries, err)
			}
		})
	}
}

func TestTheCertificates(t *testing.T) {
	rest := files(t, images(t, image(t).index(t))["amd64"])["etc/ssl/certs/ca-certificates.crt"].content
	names := map[string]bool{}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !certificate.IsCA {
			t.Errorf("%s is not an authority's", certificate.Subject)
		}
		names[certificate.Subject.CommonName] = true
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("%d bytes are no certificates", len(rest))
	}
	for _, known := range []string{"ISRG Root X1", "Amazon Root CA 1", "DigiCert Global Root G2", "GTS Root R1"} {
		if !names[known] {
			t.Errorf("%s is missing among %d certificates", known, len(names))
		}
	}
}

func TestTheSameSourcesGiveTheSameDigest(t *testing.T) {
	again, err := makeImage(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if first := image(t); first.digest != again.digest {
		t.Errorf("%s, then %s", first.digest, again.digest)
	}
	first, second := read(t, image(t).out, archiveName), read(t, again.out, archiveName)
	if !bytes.Equal(first, second) {
		t.Error("the tarballs differ")
	}
}

// An image that is not what it is said to be is neither written nor pushed.
func TestTheDigestIsChecked(t *testing.T) {
	if _, err := makeImage(t.TempDir(), "-check", image(t).digest); err != nil {
		t.Error(err)
	}
	other := "sha256:" + strings.Repeat("0", 64)
	out := t.TempDir()
	if _, err := makeImage(out, "-check", other, "-push", "127.0.0.1:1/none:1"); err == nil || !strings.Contains(err.Error(), other) {
		t.Error(err)
	}
	if entries, err := os.ReadDir(out); err != nil || len(entries) > 0 {
		t.Error(entries, err)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestTheArchiveHoldsTheLayout(t *testing.T) {
	m := image(t)
	unpacked := t.TempDir()
	unpack(t, bytes.NewReader(read(t, m.out, archiveName)), unpacked)
	inArchive := made{out: t.TempDir()}
	if err := os.Rename(unpacked, filepath.Join(inArchive.out, layoutName)); err != nil {
		t.Fatal(err)
	}
	if digest, err := inArchive.index(t).Digest(); err != nil || digest.String() != m.digest {
		t.Errorf("the archive's index has digest %s, %v", digest, err)
	}
}

// Loaders that know no OCI layout find the images by manifest.json.
func TestTheArchiveCanBeLoadedPerPlatform(t *testing.T) {
	m := image(t)
	for architecture, want := range images(t, m.index(t)) {
		tag, err := name.NewTag("spout-runner:1.2.3-" + architecture)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := tarball.ImageFromPath(filepath.Join(m.out, archiveName), &tag)
		if err != nil {
			t.Fatal(err)
		}
		got, err := loaded.ConfigName()
		wanted, _ := want.ConfigName()
		if err != nil || got != wanted {
			t.Errorf("%s: loads config %s, want %s (%v)", architecture, got, wanted, err)
		}
	}
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/team/spout-runner:1.2.3"
	m, err := makeImage(t.TempDir(), "-push", reference)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := remote.Index(parsed)
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := pushed.Digest(); err != nil || digest.String() != m.digest {
		t.Errorf("pushed %s, made %s (%v)", digest, m.digest, err)
	}
	valid(t, pushed)
}

// The image is the only file system that the executable sees, as any of the
// users that Pachyderm may choose.
func TestTheExecutableRunsInTheImageAsAnyUser(t *testing.T) {
	root := rootFolder(t, images(t, image(t).index(t))[runtime.GOARCH])
	for _, uid := range []uint32{0, 1000, 65532, 1000650000} {
		out, err := inside(root, uid, "/spout-runner").Output()
		if err != nil {
			t.Fatalf("as %d: %v", uid, err)
		}
		if got, want := strings.TrimSpace(string(out)), fmt.Sprintf(`{"uid":%d,"version":"1.2.3"}`, uid); got != want {
			t.Errorf("as %d: the witness says %s, want %s", uid, got, want)
		}
	}
}

// The real runner, for this machine's platform only: its first compilation takes long.
func TestTheRunnerRunsInTheImage(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the runner")
	}
	at := slices.IndexFunc(platforms, func(p v1.Platform) bool { return p.Architecture == runtime.GOARCH })
	if at < 0 {
		t.Skip("no image for " + runtime.GOARCH)
	}
	module := filepath.Join("..", "..")
	made, err := build(t.Context(), source{module, "./runner", filepath.Join(module, "LICENSE")}, t.TempDir(), platforms[at], labels{version: "1.2.3"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	image := made.image
	out, err := inside(rootFolder(t, image), 65532, "/spout-runner", "version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1.2.3") {
		t.Errorf("spout-runner version: %v: %s", err, out)
	}
}

// rootFolder unpacks the image.
func rootFolder(t *testing.T, image v1.Image) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("only root can change the root folder, on Linux")
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	root := t.TempDir()
	unpack(t, packed, root)
	return root
}

func unpack(t *testing.T, packed io.Reader, dir string) {
	t.Helper()
	for r := tar.NewReader(packed); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(header.Name))
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, content, 0o600)
			}
		}
		if err == nil {
			err = os.Chmod(path, header.FileInfo().Mode()) // not subject to the umask
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, fs.FileMode(0o755)); err != nil {
		t.Fatal(err)
	}
}
