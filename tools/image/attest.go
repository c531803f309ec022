// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/spoutworks/terraform-provider-pachyderm/tools/modules"
)

// Types of what is said about an image.
const (
	spdxPredicate       = "https://spdx.dev/Document"
	provenancePredicate = "https://slsa.dev/provenance/v1"
	statementMediaType  = "application/vnd.in-toto+json"
)

// statement says something about an image. See
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md.
type statement struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// attested is what is said about the image of a platform.
type attested struct{ sbom, provenance []byte }

// attestation is a manifest beside an image's own in the index, in the form
// that BuildKit has made common: "docker buildx imagetools inspect" shows what
// it says, and who pulls the image does not pull it. Being in the index, it is
// covered by the index's digest and signature.
func attestation(image platformImage, about labels, said attested) (mutate.IndexAddendum, error) {
	digest, err := image.image.Digest()
	if err != nil {
		return mutate.IndexAddendum{}, err
	}
	about.version = strings.ReplaceAll(about.version, "+", "%2B")
	of := subject{
		Name:   fmt.Sprintf("pkg:docker/%s@%s?platform=%s%%2F%s", imageName, about.version, image.platform.OS, image.platform.Architecture),
		Digest: map[string]string{digest.Algorithm: digest.Hex},
	}
	manifest := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, s := range []statement{
		{PredicateType: spdxPredicate, Predicate: said.sbom},
		{PredicateType: provenancePredicate, Predicate: said.provenance},
	} {
		s.Type, s.Subject = "https://in-toto.io/Statement/v1", []subject{of}
		encoded, err := json.Marshal(s)
		if err != nil {
			return mutate.IndexAddendum{}, err
		}
		manifest, err = mutate.Append(manifest, mutate.Addendum{
			Layer:       static.NewLayer(encoded, statementMediaType),
			Annotations: map[string]string{"in-toto.io/predicate-type": s.PredicateType},
		})
		if err != nil {
			return mutate.IndexAddendum{}, err
		}
	}
	config, err := manifest.ConfigFile()
	if err != nil {
		return mutate.IndexAddendum{}, err
	}
	config = &v1.ConfigFile{OS: "unknown", Architecture: "unknown", RootFS: config.RootFS}
	if manifest, err = mutate.ConfigFile(manifest, config); err != nil {
		return mutate.IndexAddendum{}, err
	}
	return mutate.IndexAddendum{Add: manifest, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
		Annotations: map[string]string{
			"vnd.docker.reference.type":   "attestation-manifest",
			"vnd.docker.reference.digest": digest.String(),
		},
	}}, nil
}

// dependency is something that a build was made of.
type dependency struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest,omitempty"`
}

// provenance says how the image of a platform was made, so that anybody can
// make it again: see https://slsa.dev/spec/v1.0/provenance. It does not say who
// has made it: that is what the signature of the index is for.
func provenance(pkg string, made []modules.Module, sums map[string]*debug.Module, platform v1.Platform, about labels) ([]byte, error) {
	source := dependency{URI: "git+" + repository}
	if about.revision != "" {
		source.Digest = map[string]string{"gitCommit": about.revision}
	}
	dependencies := []dependency{source}
	toolchain := ""
	for _, m := range made {
		if m.Path == modules.Standard {
			toolchain = m.Version
			continue
		}
		d := dependency{URI: purl(m.Path, m.Version)}
		if sum, ok := strings.CutPrefix(sums[m.Path].Sum, "h1:"); ok {
			raw, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return nil, fmt.Errorf("checksum of %s: %w", m.Path, err)
			}
			d.Digest = map[string]string{"dirHash1": hex.EncodeToString(raw)}
		}
		dependencies = append(dependencies, d)
	}
	return json.MarshalIndent(map[string]any{
		"buildDefinition": map[string]any{
			"buildType": repository + "/tree/main/tools/image",
			"externalParameters": map[string]any{
				"source": source.URI, "revision": about.revision, "version": about.version, "package": pkg, "platform": platform.String(),
			},
			"internalParameters": map[string]any{
				"go": toolchain, "flags": buildFlags(about.version), "environment": buildEnvironment(platform),
			},
			"resolvedDependencies": dependencies,
		},
		"runDetails": map[string]any{"builder": map[string]any{"id": repository + "/tree/main/tools/image"}},
	}, "", " ")
}

func sha256Of(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
