// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
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

//go:embed artifacts.lock
var lock string

// copyGoal is the goal of Maven that resolves a project's dependencies and
// puts their jars into a folder.
const copyGoal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

// artifact is a jar as Maven names it.
type artifact struct {
	group, name, version string
	sum                  string // SHA-256 in hexadecimal
}

func (a artifact) file() string { return a.name + "-" + a.version + ".jar" }

// artifacts reads the lock.
func artifacts(lock string) (out []artifact, err error) {
	for line := range strings.Lines(lock) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		coordinates, sum, _ := strings.Cut(line, " ")
		parts := strings.Split(coordinates, ":")
		if len(parts) != 3 || len(sum) != hex.EncodedLen(sha256.Size) {
			return nil, fmt.Errorf("artifacts.lock: %q is not GROUP:ARTIFACT:VERSION SHA-256", line)
		}
		out = append(out, artifact{parts[0], parts[1], parts[2], sum})
	}
	return out, nil
}

// fetch returns the folder with the jars of the lock. It is in the user's
// cache; if it isn't there, Maven brings them, from where its own settings say.
func fetch(ctx context.Context, progress io.Writer) (string, error) {
	wanted, err := artifacts(lock)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder for Apache Kafka: %w", err)
	}
	sum := sha256.Sum256([]byte(lock))
	dir := filepath.Join(cache, "terraform-provider-pachyderm", fmt.Sprintf("kafka-%s-%x", Version, sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	// Beside dir, so that dir is there only once it is complete, whoever else
	// fetches at the same time.
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), "fetching-kafka-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(unfinished) }() // nothing is left of it once renamed
	jars := filepath.Join(unfinished, "jars")
	if err := resolve(ctx, wanted, unfinished, jars, progress); err != nil {
		return "", err
	}
	for _, a := range wanted {
		if err := verify(filepath.Join(jars, a.file()), a.sum); err != nil {
			return "", err
		}
	}
	if err := os.Rename(jars, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, nil
}

// resolve has Maven copy artifacts into the folder jars.
func resolve(ctx context.Context, wanted []artifact, work, jars string, progress io.Writer) error {
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("fetching Apache Kafka takes Maven, and there is no mvn on PATH (Debian: apt-get install maven): %w", err)
	}
	project, err := projectFile(wanted)
	if err != nil {
		return err
	}
	pom := filepath.Join(work, "pom.xml")
	if err := os.WriteFile(pom, project, 0o644); err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(progress, "fetching Apache Kafka %s with Maven (once; %d jars, 45 MB)\n", Version, len(wanted))
	cmd := exec.CommandContext(ctx, maven, "-B", "-f", pom, copyGoal, "-DoutputDirectory="+jars)
	cmd.Dir = work
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
		return fmt.Errorf("maven could not fetch Apache Kafka: %w\n%s\nIt asks the repository that ~/.m2/settings.xml names, else Maven Central", err, complaints)
	}
	fmt.Fprintf(progress, "fetched Apache Kafka in %s\n", time.Since(began).Round(time.Second))
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
func projectFile(wanted []artifact) ([]byte, error) {
	type exclusion struct {
		Group string `xml:"groupId"`
		Name  string `xml:"artifactId"`
	}
	type dependency struct {
		Group      string      `xml:"groupId"`
		Name       string      `xml:"artifactId"`
		Version    string      `xml:"version"`
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
	}{Model: "4.0.0", Group: "spoutworks", Name: "kafkacluster", Version: Version, Packaging: "pom"}
	for _, a := range wanted {
		project.Dependencies = append(project.Dependencies, dependency{a.group, a.name, a.version, []exclusion{{"*", "*"}}})
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
		return fmt.Errorf("%s has the SHA-256 %s, artifacts.lock has %s: Maven brought something else than what was tested", filepath.Base(path), have, want)
	}
	return nil
}
