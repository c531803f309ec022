// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// elsewhere are commands that nothing here runs, and what they need.
var elsewhere = map[string]string{
	"cosign":      "a release that was published",
	"curl":        "a spout in a Kubernetes cluster; webhook.TestTheGuidesRequest sends the same",
	"docker":      "Docker and a registry",
	"git":         "the repository's host",
	"gpg":         "a release: release-dry-run makes one, and tools/release checks its signature",
	"gpgv":        "a release, as gpg",
	"jq":          "jq and the figures of make bench",
	"kubectl":     "a Kubernetes cluster; make test-kubernetes does the same",
	"nats":        "a NATS server",
	"openssl":     "openssl; see curl",
	"rabbitmqctl": "a RabbitMQ node",
	"sha256sum":   "a release, as gpg",
}

// shell are commands of the shell itself.
var shell = []string{"cd", "cut", "eval", "export", "printf"}

// TestEveryCommand fails for a command of a page that no test knows: those of
// this repository are looked up here, those of the runner are parsed by its own
// tests, those of pachctl by the acceptance tests, and the rest is listed with
// what it needs.
func TestEveryCommand(t *testing.T) {
	t.Parallel()
	commands, err := Commands(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(commands) < 50 {
		t.Fatalf("there are %d commands only", len(commands))
	}
	unused := map[string]bool{}
	for name := range elsewhere {
		unused[name] = true
	}
	for _, c := range commands {
		delete(unused, c.Name())
		problem := ""
		switch name := c.Name(); {
		case name == "make":
			problem = wrongMake(t, c.Words[1:])
		case name == "go":
			problem = wrongGo(c.Words[1:])
		case name == "bash" || name == "sh":
			if _, err := os.Stat(filepath.Join(root, c.Words[1])); err != nil {
				problem = "there is no such script"
			}
		case name == "terraform" || name == "tofu":
			if len(c.Words) < 2 || !slices.Contains([]string{"init", "plan", "apply", "destroy", "query", "test"}, c.Words[1]) {
				problem = "terraform has no such command"
			}
		case name == "spout-runner": // runner.TestCommandsOfThePages
		case name == "pachctl": // acceptance.TestPachctlOfThePages
		case strings.HasPrefix(name, "terraform-provider-pachyderm_v"): // tools/release runs it with -image
		case slices.Contains(shell, name), elsewhere[name] != "":
		default:
			problem = "no test knows this command: run it in one, or say in elsewhere what it needs"
		}
		if problem != "" {
			t.Errorf("%s: %s", c, problem)
		}
	}
	for name := range unused {
		t.Errorf("no page has %s: take it off elsewhere", name)
	}
}

func wrongMake(t *testing.T, words []string) string {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(root, "GNUmakefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range words {
		if strings.HasPrefix(word, "-") || assignment.MatchString(word) {
			continue
		}
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(word) + `: .*## `).Match(makefile) {
			return "there is no target " + word
		}
	}
	return ""
}

// wrongGo checks packages, and that there are tests for -run.
func wrongGo(words []string) string {
	var packages []string
	run := ""
	for i, word := range words {
		if strings.HasPrefix(word, "./") {
			packages = append(packages, word)
		}
		if words[0] == "test" && i > 0 && words[i-1] == "-run" {
			run, _, _ = strings.Cut(word, "/")
		}
	}
	for _, dir := range packages {
		files, _ := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if len(files) == 0 {
			return "there is no package " + dir
		}
		if run == "" || strings.HasPrefix(run, "TestMaxDeadLetters") { // that of the change that CONTRIBUTING describes
			continue
		}
		found := false
		for _, file := range files {
			text, _ := os.ReadFile(file)
			for _, test := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
				found = found || regexp.MustCompile(run).Match(test[1])
			}
		}
		if !found {
			return "no test of " + dir + " is called " + run
		}
	}
	return ""
}

func TestParse(t *testing.T) {
	t.Parallel()
	is := Parse(`make demo   # all of it
export A=b C='d e' && cd "x y"
eval "$(make -s cluster-up)"; pod=$(kubectl get pod -l "a=b,c=d" -o name)
A=1 cosign verify "$image" --x y \
  --z 'it''s' | cut -d' ' -f1 &
`)
	want := [][]string{{"make", "demo"}, {"export", "A=b", "C=d e"}, {"cd", "x y"}, {"make", "-s", "cluster-up"}, {"eval", "$(…)"},
		{"kubectl", "get", "pod", "-l", "a=b,c=d", "-o", "name"}, {"cosign", "verify", "$image", "--x", "y", "--z", "its"}, {"cut", "-d ", "-f1"}}
	if !reflect.DeepEqual(is, want) {
		t.Errorf("%q\n%q", is, want)
	}
}
