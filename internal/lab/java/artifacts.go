// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package java brings what tests take to run programs of Java: Java itself, and
// their artifacts by Maven, compared with checksums and kept in the user's cache.
package java

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// copyGoal is the goal of Maven that resolves a project's dependencies and
// puts their jars into a folder.
const copyGoal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

// Program is what is fetched.
type Program struct {
	Name, Version string
	// Lock lists the artifacts, one a line, with the SHA-256 of each in
	// hexadecimal: GROUP:ARTIFACT:VERSION SHA-256, or for what is no jar
	// GROUP:ARTIFACT:VERSION:TYPE:CLASSIFIER SHA-256. Nothing else is resolved.
	Lock string
	Size string // of the download, as "45 MB"
}

// folder is the program's name where the cache has it.
func (p Program) folder() string {
	sum := sha256.Sum256([]byte(p.Lock))
	return fmt.Sprintf("%s-%s-%x", p.Name, p.Version, sum[:6])
}

// Artifact is a file as Maven names it.
type Artifact struct {
	Group, Name, Version string
	Type, Classifier     string // empty for a jar
	sum                  string // SHA-256 in hexadecimal
}

// File is the artifact's name in the folder that Fetch returns.
func (a Artifact) File() string {
	if a.Type == "" {
		return a.Name + "-" + a.Version + ".jar"
	}
	return a.Name + "-" + a.Version + "-" + a.Classifier + "." + a.Type
}

// Artifacts reads the lock.
func (p Program) Artifacts() (out []Artifact, err error) {
	for line := range strings.Lines(p.Lock) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		coordinates, sum, _ := strings.Cut(line, " ")
		parts := strings.Split(coordinates, ":")
		if len(parts) != 3 && len(parts) != 5 || len(sum) != hex.EncodedLen(sha256.Size) {
			return nil, fmt.Errorf("the lock of %s: %q is not GROUP:ARTIFACT:VERSION[:TYPE:CLASSIFIER] SHA-256", p.Name, line)
		}
		parts = append(parts, "", "")
		out = append(out, Artifact{Group: parts[0], Name: parts[1], Version: parts[2], Type: parts[3], Classifier: parts[4], sum: sum})
	}
	return out, nil
}

// ErrNotFetched is in the errors of [Fetch] if Maven cannot be run or cannot
// bring what it is asked for.
var ErrNotFetched = errors.New("not fetched")

// Fetch returns the folder with the program's artifacts. It is in the user's
// cache; if it isn't there, Maven brings them, from where its own settings say.
func Fetch(ctx context.Context, p Program, progress io.Writer) (string, error) {
	wanted, err := p.Artifacts()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder for %s: %w", p.Name, err)
	}
	dir := filepath.Join(cache, "terraform-provider-pachyderm", p.folder())
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	// Beside dir, so that dir is there only once it is complete, whoever else
	// fetches at the same time.
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), "fetching-"+p.Name+"-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(unfinished) }() // nothing is left of it once renamed
	files := filepath.Join(unfinished, "files")
	if err := resolve(ctx, p, wanted, files, progress); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotFetched, err)
	}
	for _, a := range wanted {
		if err := verify(filepath.Join(files, a.File()), a.sum); err != nil {
			return "", err
		}
	}
	if err := os.Rename(files, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, nil
}

// resolve has Maven copy artifacts into a folder, beside which it works.
func resolve(ctx context.Context, p Program, wanted []Artifact, folder string, progress io.Writer) error {
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("fetching %s takes Maven, and there is no mvn on PATH (Debian: apt-get install maven): %w", p.Name, err)
	}
	project, err := projectFile(p, wanted)
	if err != nil {
		return err
	}
	pom := filepath.Join(filepath.Dir(folder), "pom.xml")
	if err := os.WriteFile(pom, project, 0o644); err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(progress, "fetching %s %s with Maven (once; %d files, %s)\n", p.Name, p.Version, len(wanted), p.Size)
	cmd := exec.CommandContext(ctx, maven, "-B", "-f", pom, copyGoal, "-DoutputDirectory="+folder)
	cmd.Dir = filepath.Dir(folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting Maven: %w", err)
	}
	complaints := follow(out, progress)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("maven could not fetch %s: %w\n%s\nIt asks the repository that ~/.m2/settings.xml names, else Maven Central", p.Name, err, complaints)
	}
	fmt.Fprintf(progress, "fetched %s in %s\n", p.Name, time.Since(began).Round(time.Second))
	return nil
}

// follow tells now and then how many files Maven has downloaded, and returns
// its errors once its output ends.
func follow(out io.Reader, progress io.Writer) (complaints string) {
	const interval, most = 5 * time.Second, 10
	downloaded, reported := 0, time.Now()
	var errs []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		if strings.Contains(line, "Downloaded from") {
			downloaded++
		}
		if strings.Contains(line, "[ERROR]") && len(errs) < most {
			errs = append(errs, line)
		}
		if time.Since(reported) > interval {
			reported = time.Now()
			fmt.Fprintf(progress, "  %d files downloaded\n", downloaded)
		}
	}
	return strings.Join(errs, "\n")
}

// projectFile is a Maven project that depends on artifacts and on nothing that
// these depend on.
func projectFile(p Program, wanted []Artifact) ([]byte, error) {
	type exclusion struct {
		Group string `xml:"groupId"`
		Name  string `xml:"artifactId"`
	}
	type dependency struct {
		Group      string      `xml:"groupId"`
		Name       string      `xml:"artifactId"`
		Version    string      `xml:"version"`
		Type       string      `xml:"type,omitempty"`
		Classifier string      `xml:"classifier,omitempty"`
		Exclusions []exclusion `xml:"exclusions>exclusion"`
	}
	project := struct {
		XMLName      xml.Name     `xml:"http://maven.apache.org/POM/4.0.0 project"`
		Model        string       `xml:"modelVersion"`
		Group        string       `xml:"groupId"`
		Name         string       `xml:"artifactId"`
		Version      string       `xml:"version"`
		Packaging    string       `xml:"packaging"`
		Dependencies []dependency `xml:"dependencies>dependency"`
	}{Model: "4.0.0", Group: "spoutworks", Name: p.Name, Version: p.Version, Packaging: "pom"}
	for _, a := range wanted {
		project.Dependencies = append(project.Dependencies, dependency{a.Group, a.Name, a.Version, a.Type, a.Classifier, []exclusion{{"*", "*"}}})
	}
	return xml.MarshalIndent(project, "", "  ")
}

// verify fails unless a file has a SHA-256.
func verify(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("maven did not bring it: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if have := hex.EncodeToString(sum.Sum(nil)); have != want {
		return fmt.Errorf("%s has the SHA-256 %s, should have %s: Maven brought something else than what was tested", filepath.Base(path), have, want)
	}
	return nil
}
