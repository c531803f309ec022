// SPDX-License-Identifier: Apache-2.0

// Command links finds links between the Markdown files of a repository that
// lead nowhere: to a file that is not there, or to a heading that no file has.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	flag.Parse()
	dir := "."
	if flag.NArg() > 0 {
		dir = flag.Arg(0)
	}
	broken, err := run(dir, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "links: %v\n", err)
		os.Exit(1)
	}
	if broken > 0 {
		os.Exit(1)
	}
}

// run prints the links that lead nowhere and returns how many there are.
func run(dir string, out io.Writer) (int, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md")
	cmd.Dir = dir
	listed, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("git ls-files: %w", err)
	}
	broken := 0
	for _, name := range strings.Split(strings.Trim(string(listed), "\x00"), "\x00") {
		if strings.HasPrefix(name, "templates/") { // checked as docs/, which they become
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return broken, err
		}
		for _, l := range linksIn(string(text)) {
			if why := follow(dir, name, l.target); why != "" {
				fmt.Fprintf(out, "%s:%d: %s %s\n", name, l.line, l.target, why)
				broken++
			}
		}
	}
	return broken, nil
}

type link struct {
	line   int
	target string
}

var (
	inline = regexp.MustCompile(`\]\(([^()\s]+(?:\([^()\s]*\))?)(?:\s+"[^"]*")?\)`)
	code   = regexp.MustCompile("`[^`]*`")
)

// linksIn returns the links of a text outside of code.
func linksIn(text string) []link {
	var links []link
	fenced := false
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		if fenced {
			continue
		}
		for _, m := range inline.FindAllStringSubmatch(code.ReplaceAllString(line, "`x`"), -1) {
			links = append(links, link{i + 1, m[1]})
		}
	}
	return links
}

// follow says why a link of a file leads nowhere, or nothing.
func follow(dir, from, target string) string {
	to, err := url.Parse(target)
	if err != nil {
		return "is not a link"
	}
	if to.Scheme != "" || to.Host != "" {
		return "" // elsewhere
	}
	file := filepath.Join(dir, from)
	if to.Path != "" {
		file = filepath.Join(filepath.Dir(file), filepath.FromSlash(to.Path))
		if strings.HasPrefix(to.Path, "/") {
			file = filepath.Join(dir, filepath.FromSlash(to.Path))
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		return "is not there"
	}
	if to.Fragment == "" || info.IsDir() || filepath.Ext(file) != ".md" {
		return ""
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if !slices.Contains(anchors(string(text)), to.Fragment) {
		return "is no heading there"
	}
	return ""
}

var (
	heading = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	given   = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	plain   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N}\s_-]`)
)

// anchors are the fragments by which the parts of a text can be reached.
func anchors(text string) []string {
	var found []string
	fenced := false
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		if fenced {
			continue
		}
		for _, m := range given.FindAllStringSubmatch(line, -1) {
			found = append(found, m[1])
		}
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := strings.ToLower(plain.ReplaceAllString(m[1], "$1"))
		name = strings.ReplaceAll(dropped.ReplaceAllString(name, ""), " ", "-")
		anchor := name
		for n := 1; slices.Contains(found, anchor); n++ {
			anchor = fmt.Sprintf("%s-%d", name, n)
		}
		found = append(found, anchor)
	}
	return found
}
