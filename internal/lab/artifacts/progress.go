// SPDX-License-Identifier: Apache-2.0

package artifacts

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// progressInterval is the least time between two reports of a build.
const progressInterval = 5 * time.Second

// Progress counts the packages that some builds compile, one build after the
// other.
type Progress struct {
	total      int // packages to compile; 0 if that is not known
	compiled   int
	downloaded int
	began      time.Time // the first package was compiled
	now        func() time.Time
}

// CountFormat is the format of "go list -deps" that [Count] understands.
const CountFormat = "{{if .Stale}}{{.StaleReason}}{{end}}"

// inCache is what "go list" says of a package that need not be compiled, since
// an earlier build has left it.
const inCache = "available in build cache"

// Count asks "go list -deps -f CountFormat" how many packages there are to
// compile. If it does not know, progress has no estimate.
func Count(list *exec.Cmd) *Progress {
	p := &Progress{now: time.Now}
	out, err := list.Output()
	if err != nil {
		return p // the build says what is wrong
	}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, inCache) {
			p.total++
		}
	}
	return p
}

// Watch runs "go build -v" and reports now and then how far it is. Its error has
// the last lines that the build has said.
func (p *Progress) Watch(build *exec.Cmd, report func(state string)) error {
	out, err := build.StderrPipe()
	if err != nil {
		return err
	}
	if err := build.Start(); err != nil {
		return err
	}
	var last []string
	reported := p.now()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading"):
			p.downloaded++
		case !strings.Contains(line, " "): // go build -v names each package it compiles
			if p.compiled++; p.compiled == 1 {
				p.began = p.now()
			}
		default:
			last = append(last, line)
		}
		if p.now().Sub(reported) > progressInterval {
			reported = p.now()
			report(p.String())
		}
	}
	if err := build.Wait(); err != nil {
		return errors.Join(err, errors.New(strings.Join(last[max(0, len(last)-20):], "\n")))
	}
	return nil
}

// String says how far the builds are, and about how long they still take.
func (p *Progress) String() string {
	var parts []string
	if p.downloaded > 0 {
		parts = append(parts, fmt.Sprintf("%d modules downloaded", p.downloaded))
	}
	if p.total == 0 || p.compiled > p.total {
		return strings.Join(append(parts, fmt.Sprintf("%d packages compiled", p.compiled)), ", ")
	}
	parts = append(parts, fmt.Sprintf("%d of %d packages compiled", p.compiled, p.total))
	const least = 20 // packages, before which an estimate says nothing
	if p.compiled >= least {
		left := p.now().Sub(p.began) * time.Duration(p.total-p.compiled) / time.Duration(p.compiled)
		parts = append(parts, "about "+left.Round(10*time.Second).String()+" left")
	}
	return strings.Join(parts, ", ")
}
