// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/verify"
)

type verifyCommand struct {
	branchTarget
	Last    int           `default:"0" help:"How many of the newest commits with records are compared; 0 for all (default: ${default})."`
	To      string        `placeholder:"COMMIT" help:"Compare up to this commit (default: the newest)."`
	Timeout time.Duration `default:"30m" help:"Give up after this time (default: ${default})."`
	JSON    bool          `help:"Print the result as JSON."`
}

// Exit codes of verify, as those of diff.
const (
	exitDiffers    = 1
	exitUncompared = 2
)

// Help adds to --help what the flags do not say.
func (verifyCommand) Help() string {
	return "The source is reached as the pipeline's own settings say. SPOUT_* variables of the environment go before them, and have to\n" +
		"hold what is secret. \"spout-runner settings\" says which those are."
}

// Run compares, and ends with an error unless all is the same.
func (c verifyCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	client, pipeline, branch, err := c.open(ctx)
	if err != nil {
		return &exitError{err, exitUncompared}
	}
	defer client.Close() //nolint:errcheck // only read
	result, err := c.compare(ctx, pipeline, branch)
	if err != nil {
		return &exitError{err, exitUncompared}
	}
	if err := c.print(os.Stdout, branch, result); err != nil {
		return &exitError{err, exitUncompared}
	}
	return verdict(result)
}

func (c verifyCommand) compare(ctx context.Context, pipeline *pachyderm.Pipeline, branch *pachyderm.Branch) (*verify.Result, error) {
	s, err := settingsOf(pipeline.Spec.Env, os.Environ())
	if err != nil {
		return nil, err
	}
	before, commits, err := verify.Range(ctx, branch, c.To, c.Last)
	if err != nil {
		return nil, err
	}
	return verify.Run(ctx, verify.Config{Branch: branch, Settings: s, Reread: sources[s.Source].Reread, Log: newLogger("error", os.Stderr), Progress: func(done, of int) {
		fmt.Fprintf(os.Stderr, "%d of %d commits compared\n", done, of)
	}}, before, commits)
}

// settingsOf reads the pipeline's settings, overlaid by the environment's.
func settingsOf(env map[string]string, environ []string) (settings.Settings, error) {
	all := make([]string, 0, len(env)+len(environ))
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	all = append(all, environ...) // the last of a name counts
	s, err := settings.Parse(all)
	if err == nil {
		err = s.ValidateSecrets()
	}
	if err != nil {
		return s, fmt.Errorf("settings of the pipeline and of the environment:\n%w", err)
	}
	return s, nil
}

// verdict is nil if all is the same.
func verdict(r *verify.Result) error {
	switch {
	case !r.OK():
		return &exitError{errors.New("the files and the source differ"), exitDiffers}
	case r.Uncompared > 0:
		return &exitError{fmt.Errorf("%d commits could not be compared: %s", r.Uncompared, r.Because), exitUncompared}
	}
	return nil
}

func (c verifyCommand) print(out io.Writer, branch *pachyderm.Branch, r *verify.Result) error {
	if c.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		problems := r.Problems
		if problems == nil {
			problems = []string{}
		}
		return encoder.Encode(map[string]any{"branch": branch.String(), "same": r.OK() && r.Uncompared == 0, "first_commit": r.First, "last_commit": r.Last,
			"commits": r.Commits, "rolled_back": r.RolledBack, "records": r.Records, "filtered": r.Filtered, "dead_lettered": r.DeadLettered,
			"lost": r.Lost, "duplicated": r.Duplicated, "reordered": r.Reordered, "problems": problems,
			"uncompared_commits": r.Uncompared, "uncompared_because": r.Because})
	}
	word := "the same"
	if !r.OK() {
		word = "DIFFERS"
	}
	lines := []string{fmt.Sprintf("%s: %s", branch, word), r.String()}
	if r.Uncompared > 0 {
		lines = append(lines, fmt.Sprintf("not compared: %d commits (%s)", r.Uncompared, r.Because))
	}
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}
