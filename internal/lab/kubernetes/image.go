// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubernetes

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Image is a container image of one layer, or one that another program made.
type Image struct {
	digest, mediaType string
	architecture      string
	manifest          []byte
	blobs             map[string]blob // by digest
}

// blob is what a digest names: bytes, or those of a file.
type blob struct {
	content []byte
	path    string
	size    int64
}

// ImageConfig says how containers of an image run.
type ImageConfig struct {
	User       string
	Env        []string
	Entrypoint []string
	WorkingDir string
	// Architecture is this machine's if it is not set.
	Architecture string
}

const (
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// NewImage makes an image of files of this machine: their names in the image, with those on the machine. A folder brings
// all that is in it. The layer is written below dir.
func NewImage(dir string, files map[string]string, config ImageConfig) (*Image, error) {
	f, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // what counts is Close of the archive
	sum := sha256.New()
	archive := &layer{tar: tar.NewWriter(io.MultiWriter(f, sum)), folders: map[string]bool{"/": true}}
	for _, target := range slices.Sorted(maps.Keys(files)) {
		if err := archive.add(target, files[target]); err != nil {
			return nil, fmt.Errorf("image with %s: %w", files[target], err)
		}
	}
	if err := archive.folder("/tmp", 0o1777); err != nil {
		return nil, err
	}
	if err := archive.tar.Close(); err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	layerDigest := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	architecture := config.Architecture
	if architecture == "" {
		architecture = runtime.GOARCH
	}
	about, err := json.Marshal(map[string]any{
		"architecture": architecture, "os": "linux",
		"config": map[string]any{"User": config.User, "Env": config.Env, "Entrypoint": config.Entrypoint, "WorkingDir": config.WorkingDir},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layerDigest}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ociManifest,
		"config": map[string]any{"mediaType": ociConfig, "digest": digestOf(about), "size": len(about)},
		"layers": []any{map[string]any{"mediaType": ociLayer, "digest": layerDigest, "size": size}},
	})
	if err != nil {
		return nil, err
	}
	return &Image{architecture: architecture, digest: digestOf(manifest), mediaType: ociManifest, manifest: manifest, blobs: map[string]blob{
		digestOf(about):    {content: about, size: int64(len(about))},
		layerDigest:        {path: f.Name(), size: size},
		digestOf(manifest): {content: manifest, size: int64(len(manifest))},
	}}, nil
}

// NewIndex makes an image that holds, for each of its platforms, one of the images.
func NewIndex(images ...*Image) (*Image, error) {
	index := &Image{mediaType: ociIndex, blobs: map[string]blob{}}
	var manifests []any
	for _, i := range images {
		maps.Copy(index.blobs, i.blobs)
		manifests = append(manifests, map[string]any{"mediaType": i.mediaType, "digest": i.digest, "size": len(i.manifest),
			"platform": map[string]string{"os": "linux", "architecture": i.architecture}})
	}
	var err error
	index.manifest, err = json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": manifests})
	index.digest = digestOf(index.manifest)
	index.blobs[index.digest] = blob{content: index.manifest, size: int64(len(index.manifest))}
	return index, err
}

// ImageFromLayout returns the image that an OCI layout folder holds, as make image writes one.
func ImageFromLayout(dir string) (*Image, error) {
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, err
	}
	var index struct {
		Manifests []struct {
			MediaType string `json:"mediaType"`
			Digest    string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if len(index.Manifests) != 1 {
		return nil, fmt.Errorf("%s holds %d images, not one", dir, len(index.Manifests))
	}
	image := &Image{digest: index.Manifests[0].Digest, mediaType: index.Manifests[0].MediaType, blobs: map[string]blob{}}
	err = filepath.WalkDir(filepath.Join(dir, "blobs", "sha256"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		image.blobs["sha256:"+d.Name()] = blob{path: path, size: info.Size()}
		return nil
	})
	if err != nil {
		return nil, err
	}
	image.manifest, err = os.ReadFile(image.blobs[image.digest].path)
	return image, err
}

// Digest names what is in the image, as sha256:….
func (i *Image) Digest() string { return i.digest }

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// layer writes a layer, each folder once.
type layer struct {
	tar     *tar.Writer
	folders map[string]bool
}

func (l *layer) folder(name string, mode int64) error {
	if l.folders[name] {
		return nil
	}
	if parent := filepath.Dir(name); !l.folders[parent] {
		if err := l.folder(parent, 0o755); err != nil {
			return err
		}
	}
	l.folders[name] = true
	return l.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(name, "/") + "/", Mode: mode})
}

// add adds a file, link or folder of this machine as target.
func (l *layer) add(target, source string) error {
	info, err := os.Lstat(source)
	if err != nil {
		return err
	}
	target = filepath.Join("/", target)
	if info.IsDir() {
		return l.addFolder(target, source)
	}
	if err := l.folder(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	name := strings.TrimPrefix(target, "/")
	if info.Mode()&fs.ModeSymlink != 0 {
		link, err := os.Readlink(source)
		return errors.Join(err, l.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: link}))
	}
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if err := l.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(info.Mode().Perm() | 0o444), Size: int64(len(content))}); err != nil {
		return err
	}
	_, err = io.Copy(l.tar, bytes.NewReader(content))
	return err
}

func (l *layer) addFolder(target, source string) error {
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	if target != "/" {
		if err := l.folder(target, 0o755); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if err := l.add(filepath.Join(target, e.Name()), filepath.Join(source, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
