// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// entry is a file or folder of the image.
type entry struct {
	name    string // no leading slash; a folder ends in one
	mode    fs.FileMode
	content []byte
}

// filesystem is everything in the image, parents before children.
//
// There is no /etc/passwd on purpose. Pachyderm's worker looks transform.user
// up there itself: a user that the file does not list is fatal to it, while a
// missing file is not (lookupDockerUser in src/server/worker/driver). So any
// user id works. There is no shell either.
func filesystem(binary, licence, notices string) ([]entry, error) {
	runner, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	terms, err := os.ReadFile(licence)
	if err != nil {
		return nil, err
	}
	return []entry{
		{"LICENSE", 0o644, terms},
		{"THIRD_PARTY_LICENSES", 0o644, []byte(notices)},
		{"etc/", 0o755, nil},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, certificates()},
		{"spout-runner", 0o755, runner},
		{"tmp/", 0o1777, nil},
	}, nil
}

// certificates returns Mozilla's root certificates in PEM. Roots that Mozilla
// trusts under conditions only are left out, since a PEM file cannot say so.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return out.Bytes()
}

// epoch is the time of everything in the image, so that it is reproducible.
var epoch = time.Unix(0, 0).UTC()

// layerOf packs entries, all owned by root, into one layer.
func layerOf(entries []entry) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, e := range entries {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: int64(e.mode), Size: int64(len(e.content)),
			ModTime: epoch, Format: tar.FormatUSTAR}
		if e.content == nil {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer),
		tarball.WithCompressionLevel(gzip.DefaultCompression), tarball.WithCompressedCaching)
}
