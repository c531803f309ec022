// SPDX-License-Identifier: Apache-2.0

//go:build linux

package java

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// oldest is the oldest Java that Apache Kafka 4 and Apicurio Registry 2 run on.
const oldest = 17

// Find returns the java of $JAVA_HOME, else of PATH.
func Find(ctx context.Context) (string, error) {
	advice := fmt.Sprintf("this takes Java %d or newer (Debian: apt-get install default-jre-headless)", oldest)
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
	if version := javaVersion(string(out)); version < oldest {
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
