// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// oldestJava is the oldest Java that Kafka 4 runs on.
const oldestJava = 17

// installation is what programs of Kafka are run with.
type installation struct {
	java string // the command
	jars string // folder
}

// findInstallation finds Java and fetches Kafka.
func findInstallation(ctx context.Context, progress io.Writer) (i installation, err error) {
	if i.java, err = findJava(ctx); err != nil {
		return i, err
	}
	i.jars, err = fetch(ctx, progress)
	return i, err
}

// findJava returns the java of $JAVA_HOME, else of PATH.
func findJava(ctx context.Context) (string, error) {
	const advice = "Apache Kafka takes Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)"
	java := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	}
	java, err := exec.LookPath(java)
	if err != nil {
		return "", fmt.Errorf("%s: %w", advice, err)
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %s -version: %w\n%s", advice, java, err, out)
	}
	if version := javaVersion(string(out)); version < oldestJava {
		return "", fmt.Errorf("%s, and %s is:\n%s", advice, java, out)
	}
	return java, nil
}

// javaVersion returns the first number in what java -version prints, 0 if
// there is none. Before Java 9 it is 1.
func javaVersion(text string) int {
	match := regexp.MustCompile(`version "(\d+)`).FindStringSubmatch(text)
	if match == nil {
		return 0
	}
	version, _ := strconv.Atoi(match[1])
	return version
}
