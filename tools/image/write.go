// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const imageName = "spout-runner"

// writeLayout writes index as the one image of a new OCI layout folder.
func writeLayout(dir string, index v1.ImageIndex, version string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	written, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return written.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": version,
		"io.containerd.image.name":          imageName + ":" + version,
	}))
}

// writeArchive packs the layout folder into a tarball. A manifest.json is
// added, which loaders that know no OCI layout read: it names the image of
// each platform <version>-<architecture>.
func writeArchive(file, dir string, images []platformImage, version string) (err error) {
	type loadable struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var manifest []loadable
	for _, i := range images {
		m, err := i.image.Manifest()
		if err != nil {
			return err
		}
		l := loadable{Config: blob(m.Config.Digest), RepoTags: []string{imageName + ":" + version + "-" + i.platform.Architecture}}
		for _, layer := range m.Layers {
			l.Layers = append(l.Layers, blob(layer.Digest))
		}
		manifest = append(manifest, l)
	}
	encoded, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	if err := addFile(w, "manifest.json", encoded); err != nil {
		return err
	}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error { // in the order of names
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return addFile(w, filepath.ToSlash(name), content)
	})
	if err != nil {
		return err
	}
	return w.Close()
}

func blob(digest v1.Hash) string { return path.Join("blobs", digest.Algorithm, digest.Hex) }

func addFile(w *tar.Writer, name string, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: epoch, Format: tar.FormatUSTAR}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// pushIndex uploads the image to a registry, with the credentials that docker
// login or podman login has stored for it.
func pushIndex(ctx context.Context, reference string, index v1.ImageIndex) error {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	return remote.WriteIndex(ref, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
}
