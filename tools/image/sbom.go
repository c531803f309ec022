// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spoutworks/terraform-provider-pachyderm/tools/modules"
)

// These are the parts of SPDX 2.3 that say what a program is made of. See
// https://spdx.github.io/spdx-spec/v2.3/.
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		DataLicence   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
		Licences      []spdxLicence      `json:"hasExtractedLicensingInfos,omitempty"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID         string          `json:"SPDXID"`
		Name       string          `json:"name"`
		Version    string          `json:"versionInfo"`
		Supplier   string          `json:"supplier"`
		Location   string          `json:"downloadLocation"`
		Analysed   bool            `json:"filesAnalyzed"`
		Concluded  string          `json:"licenseConcluded"`
		Declared   string          `json:"licenseDeclared"`
		Copyright  string          `json:"copyrightText"`
		Purpose    string          `json:"primaryPackagePurpose,omitempty"`
		Checksums  []spdxChecksum  `json:"checksums,omitempty"`
		References []spdxReference `json:"externalRefs,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxReference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
	spdxLicence struct {
		ID   string `json:"licenseId"`
		Text string `json:"extractedText"`
	}
)

const (
	notSaid    = "NOASSERTION"
	repository = "https://github.com/spoutworks/terraform-provider-pachyderm"
	rootsPath  = "golang.org/x/crypto/x509roots/fallback"
)

// sbom is the list of what is in the image of a platform: the runner, the
// modules that it is made of, and the certificates.
func sbom(binary string, made []modules.Module, platform v1.Platform, about labels) ([]byte, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	created, err := sourceTime()
	if err != nil {
		return nil, err
	}
	digest := sha256Of(program)
	document := spdxDocument{
		Version: "SPDX-2.3", DataLicence: "CC0-1.0", ID: "SPDXRef-DOCUMENT",
		Name:      imageName + "-" + about.version + "-" + platform.OS + "-" + platform.Architecture,
		Namespace: repository + "/spdx/" + imageName + "/" + digest,
		Creation:  spdxCreation{created.Format(time.RFC3339), []string{"Tool: " + strings.TrimPrefix(repository, "https://") + "/tools/image"}},
	}
	runner := spdxPackage{ID: "SPDXRef-spout-runner", Name: imageName, Version: about.version, Location: "git+" + repository,
		Supplier: notSaid, Concluded: "Apache-2.0", Declared: "Apache-2.0", Copyright: notSaid, Purpose: "APPLICATION",
		Checksums: []spdxChecksum{{"SHA256", digest}}}
	if about.revision != "" {
		runner.Location += "@" + about.revision
	}
	document.Packages = append(document.Packages, runner)
	document.relate(document.ID, "DESCRIBES", runner.ID)
	for _, m := range append(made, modules.Module{Path: rootsPath, Version: rootsVersion(), Licence: "BSD-3-Clause AND MPL-2.0"}) {
		p := modulePackage(m)
		document.Packages = append(document.Packages, p)
		if m.Path == rootsPath { // beside the runner in the image, not in it
			document.relate(document.ID, "DESCRIBES", p.ID)
		} else {
			document.relate(runner.ID, "CONTAINS", p.ID)
		}
		if strings.Contains(m.Licence, "LicenseRef-") {
			for _, f := range m.Files {
				document.Licences = append(document.Licences, spdxLicence{m.Licence, f.Text})
			}
		}
	}
	return json.MarshalIndent(document, "", " ")
}

func (d *spdxDocument) relate(element, how, related string) {
	d.Relationships = append(d.Relationships, spdxRelationship{element, how, related})
}

// notInIDs is what an identifier of SPDX cannot have.
var notInIDs = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// modulePackage describes a Go module, or Go's own packages.
func modulePackage(m modules.Module) spdxPackage {
	path, version, location := m.Path, m.Version, "https://proxy.golang.org/"+escaped(m.Path)+"/@v/"+escaped(m.Version)+".zip"
	if m.Path == modules.Standard {
		path, version, location = "stdlib", strings.TrimPrefix(m.Version, "go"), "https://go.dev/dl/"+m.Version+".src.tar.gz"
	}
	licence := cmp.Or(m.Licence, notSaid)
	return spdxPackage{
		ID: "SPDXRef-Go-" + notInIDs.ReplaceAllString(path+"-"+version, "-"), Name: path, Version: version, Supplier: notSaid,
		Location: location, Concluded: licence, Declared: licence, Copyright: notSaid, Purpose: "LIBRARY",
		References: []spdxReference{{"PACKAGE-MANAGER", "purl", purl(path, version)}},
	}
}

func purl(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}

// escaped is a path or version as module proxies want it: capitals are "!" and
// the small letter.
func escaped(path string) string {
	return regexp.MustCompile(`[A-Z]`).ReplaceAllStringFunc(path, func(capital string) string { return "!" + strings.ToLower(capital) })
}

// sourceTime is when the sources were made: SOURCE_DATE_EPOCH, by which builds
// that are to be reproducible agree on a time, or the epoch.
func sourceTime() (time.Time, error) {
	value := os.Getenv("SOURCE_DATE_EPOCH")
	if value == "" {
		return epoch, nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("invalid SOURCE_DATE_EPOCH %q: it must be a number of seconds since 1970", value)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// rootsVersion is the version of the module with Mozilla's certificates that
// this command is made with.
func rootsVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == rootsPath {
				return dep.Version
			}
		}
	}
	return notSaid
}

// sumsOf are the modules that an executable says it is made of, with the
// checksums that go.sum has for them.
func sumsOf(binary string) (map[string]*debug.Module, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	sums := map[string]*debug.Module{}
	for _, dep := range info.Deps {
		if dep.Replace != nil && dep.Replace.Version != "" {
			dep = &debug.Module{Path: dep.Path, Version: dep.Replace.Version, Sum: dep.Replace.Sum}
		}
		sums[dep.Path] = dep
	}
	return sums, nil
}

// sameModules is an error unless the list of modules is the executable's own.
func sameModules(made []modules.Module, sums map[string]*debug.Module) error {
	listed := 0
	for _, m := range made {
		if m.Path == modules.Standard {
			continue
		}
		listed++
		if sum := sums[m.Path]; sum == nil || sum.Version != m.Version {
			return fmt.Errorf("the executable does not hold %s %s, which go list names", m.Path, m.Version)
		}
	}
	if listed != len(sums) {
		return fmt.Errorf("the executable holds %d modules, of which go list names %d", len(sums), listed)
	}
	return nil
}
