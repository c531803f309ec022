// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// said returns the statements about the images of an index, by the digest of
// the image and the type of what is said.
func said(t *testing.T, index v1.ImageIndex) map[string]map[string]statement {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]statement{}
	for _, m := range manifest.Manifests {
		if m.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
			continue
		}
		if m.Platform.OS != "unknown" || m.Platform.Architecture != "unknown" {
			t.Errorf("an attestation would be pulled for %s", m.Platform)
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		written, err := image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		of := m.Annotations["vnd.docker.reference.digest"]
		out[of] = map[string]statement{}
		for _, layer := range written.Layers {
			if layer.MediaType != statementMediaType {
				t.Errorf("a layer of %s", layer.MediaType)
			}
			held, err := image.LayerByDigest(layer.Digest)
			if err != nil {
				t.Fatal(err)
			}
			content, err := held.Compressed()
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(content)
			if err != nil {
				t.Fatal(err)
			}
			if sha256Of(raw) != layer.Digest.Hex {
				t.Errorf("%s has another content", layer.Digest)
			}
			var s statement
			if err := json.Unmarshal(raw, &s); err != nil {
				t.Fatal(err)
			}
			if s.PredicateType != layer.Annotations["in-toto.io/predicate-type"] {
				t.Errorf("a statement of %s is announced as %s", s.PredicateType, layer.Annotations["in-toto.io/predicate-type"])
			}
			out[of][s.PredicateType] = s
		}
	}
	return out
}

func TestTheIndexSaysWhatIsInEachImageAndHowItWasMade(t *testing.T) {
	m := image(t)
	index := m.index(t)
	statements := said(t, index)
	for architecture, image := range images(t, index) {
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		about := statements[digest.String()]
		for _, kind := range []string{spdxPredicate, provenancePredicate} {
			if s := about[kind]; len(s.Subject) != 1 || s.Subject[0].Digest["sha256"] != digest.Hex ||
				s.Subject[0].Name != "pkg:docker/spout-runner@1.2.3?platform=linux%2F"+architecture {
				t.Errorf("%s of %s is about %+v", kind, architecture, s.Subject)
			}
		}
		var contents spdxDocument
		if err := json.Unmarshal(about[spdxPredicate].Predicate, &contents); err != nil {
			t.Fatal(err)
		}
		if got, want := contents.Packages[0].Checksums[0].Value, sha256Of(files(t, image)["spout-runner"].content); got != want {
			t.Errorf("the list is of a runner with SHA-256 %s, not %s", got, want)
		}
		var how struct {
			BuildDefinition struct {
				ExternalParameters struct{ Revision, Version, Platform string }
				InternalParameters struct{ Flags, Environment []string }
			}
		}
		if err := json.Unmarshal(about[provenancePredicate].Predicate, &how); err != nil {
			t.Fatal(err)
		}
		if p := how.BuildDefinition.ExternalParameters; p.Revision != "0123abc" || p.Version != "1.2.3" || p.Platform != "linux/"+architecture {
			t.Errorf("made from %+v", p)
		}
		if !slices.Contains(how.BuildDefinition.InternalParameters.Environment, "GOARCH="+architecture) {
			t.Errorf("made with %+v", how.BuildDefinition.InternalParameters)
		}
		for _, kind := range []string{"spdx", "provenance"} {
			if !json.Valid(read(t, m.out, "spout-runner_1.2.3_linux_"+architecture+"."+kind+".json")) {
				t.Errorf("the file of %s is not JSON", kind)
			}
		}
	}
}

// The list for the real runner, which is made of many modules.
func TestTheListOfTheRunner(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the runner")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1790000000")
	module := filepath.Join("..", "..")
	made, err := build(t.Context(), source{module, "./runner", filepath.Join(module, "LICENSE")}, t.TempDir(), platforms[0],
		labels{version: "1.2.3", revision: "0123abc"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var document spdxDocument
	if err := json.Unmarshal(made.said.sbom, &document); err != nil {
		t.Fatal(err)
	}
	if document.Creation.Created != "2026-09-21T14:13:20Z" {
		t.Errorf("created %s", document.Creation.Created)
	}
	ids, names := map[string]bool{document.ID: true}, map[string]spdxPackage{}
	for _, p := range document.Packages {
		if ids[p.ID] || notInIDs.MatchString(strings.TrimPrefix(p.ID, "SPDXRef-")) {
			t.Errorf("identifier %s", p.ID)
		}
		if p.Concluded == "" || p.Concluded == notSaid || p.Version == "" || p.Version == notSaid {
			t.Errorf("%s: version %q, licence %q", p.Name, p.Version, p.Concluded)
		}
		ids[p.ID], names[p.Name] = true, p
	}
	for _, name := range []string{"spout-runner", "stdlib", "google.golang.org/grpc", rootsPath} {
		if names[name].Name == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if got := names["google.golang.org/grpc"].References[0].Locator; !strings.HasPrefix(got, "pkg:golang/google.golang.org/grpc@v1.") {
		t.Errorf("grpc is %s", got)
	}
	for _, r := range document.Relationships {
		if !ids[r.Element] || !ids[r.Related] {
			t.Errorf("a relation between packages that are not there: %+v", r)
		}
	}
	if strings.Count(string(made.said.provenance), "dirHash1") < 20 {
		t.Error("the provenance has no checksums of modules")
	}
}

func TestAnotherProgramThanListedIsNoticed(t *testing.T) {
	t.Parallel()
	if err := sameModules(nil, nil); err != nil {
		t.Error(err)
	}
	sums, err := sumsOf("/proc/self/exe") // this test, which is made of modules
	if err != nil {
		t.Fatal(err)
	}
	if err := sameModules(nil, sums); err == nil {
		t.Error("modules that nobody listed are not noticed")
	}
}
