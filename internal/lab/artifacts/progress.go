// SPDX-License-Identifier: Apache-2.0

package artifacts

import (
	"bufio"
	"errors"
	"os/exec"
	"strings"
	"time"
)

// progressInterval is the least time between two reports of a build.
const progressInterval = 5 * time.Second

// Watch runs "go build -v" and reports now and then how far it is. Its error has
// the last lines that the build has said.
func Watch(build *exec.Cmd, report func(downloaded, compiled int)) error {
	out, err := build.StderrPipe()
	if err != nil {
		return err
	}
	if err := build.Start(); err != nil {
		return err
	}
	var last []string
	compiled, downloaded, reported := 0, 0, time.Now()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading"):
			downloaded++
		case !strings.Contains(line, " "): // go build -v names each package it compiles
			compiled++
		default:
			last = append(last, line)
		}
		if time.Since(reported) > progressInterval {
			reported = time.Now()
			report(downloaded, compiled)
		}
	}
	if err := build.Wait(); err != nil {
		return errors.Join(err, errors.New(strings.Join(last[max(0, len(last)-20):], "\n")))
	}
	return nil
}
