// SPDX-License-Identifier: Apache-2.0

package main

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is the one that the image runs as where nothing else is asked for.
//
// In a spout's pod Pachyderm starts its own worker from an init container's
// volume in this image, as this user, and the worker starts the runner
// (src/server/pps/server/worker_rc.go and src/server/worker/driver, 2.6.0):
//
//   - with ENABLE_WORKER_SECURITY_CONTEXTS off, or on with no transform.user,
//     the pod names no user and the image's holds;
//   - on, and transform.user a number: that user and group, a read-only root
//     file system, and no root allowed;
//   - on, and WORKER_USES_ROOT: user 0.
//
// So the image has to work as any user on a read-only file system, and does:
// the worker writes to /pfs, /pach-bin and /tmp only, which are volumes open
// to all, and the runner to none but /tmp. A number rather than a name
// is what Kubernetes needs to see that the image is not root's.
const user = "65532:65532"

// labels are what differs between the images of two releases.
type labels struct{ version, revision string }

func (l labels) all() map[string]string {
	out := map[string]string{
		"org.opencontainers.image.title":       "spout-runner",
		"org.opencontainers.image.description": "Ingests streams into Pachyderm, exactly once",
		"org.opencontainers.image.source":      "https://github.com/spoutworks/terraform-provider-pachyderm",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     l.version,
	}
	if l.revision != "" {
		out["org.opencontainers.image.revision"] = l.revision
	}
	return out
}

type platformImage struct {
	platform v1.Platform
	image    v1.Image
	said     attested
}

// runnerImage is the image around one executable, with the terms of all that it
// is made of.
func runnerImage(binary, licence, notices string, platform v1.Platform, about labels) (v1.Image, error) {
	entries, err := filesystem(binary, licence, notices)
	if err != nil {
		return nil, err
	}
	layer, err := layerOf(entries)
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{
		Layer:   layer,
		History: v1.History{CreatedBy: "tools/image", Created: v1.Time{Time: epoch}},
	})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform.OS, platform.Architecture
	config.Created = v1.Time{Time: epoch}
	config.Config = v1.Config{
		User:       user,
		Entrypoint: []string{"/spout-runner"}, // Pachyderm does not look at it: transform.cmd says the same
		WorkingDir: "/",
		Env:        []string{"PATH=/"},
		Labels:     about.all(),
	}
	return mutate.ConfigFile(image, config)
}

// indexOf lists the images under their platforms, and after them what is said
// about each.
func indexOf(images []platformImage, about labels) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, i := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: i.image, Descriptor: v1.Descriptor{Platform: &i.platform}})
	}
	for _, i := range images {
		addendum, err := attestation(i, about, i.said)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, addendum)
	}
	return index, nil
}
