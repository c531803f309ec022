// SPDX-License-Identifier: Apache-2.0

// Command spout-runner ingests a stream into the output repo of a Pachyderm
// spout. It is what the image of the same name runs in the spout's pod, with
// its settings in SPOUT_* variables.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// version is set at build time.
var version = "dev"

const about = `Ingests a stream into the output repo of a Pachyderm spout, exactly once.

It runs in the spout's pod, where Pachyderm tells it the pipeline and the
address of the sidecar, and takes its settings from SPOUT_* variables, which
the pachyderm_spout resource of Terraform writes. "spout-runner settings"
lists them.`

type commands struct {
	Run      runCommand      `cmd:"" default:"withargs" help:"Ingest. Never ends by itself, and never with exit code 0: Pachyderm would not start it again. (default)"`
	Position positionCommand `cmd:"" help:"What an output branch holds, from anywhere with access to the cluster."`
	Check    checkCommand    `cmd:"" help:"Check the settings, the way to Pachyderm and the way to the source, without writing anything."`
	Release  releaseCommand  `cmd:"" help:"Give up what the source has made at the other side and that outlives the spout, such as a replication slot. Nothing can be read on from the spout's position afterwards."`
	Settings settingsCommand `cmd:"" help:"List the SPOUT_* variables with their defaults."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

func main() {
	var c commands
	parser := kong.Must(&c, kong.Name("spout-runner"), kong.Description(about), kong.UsageOnError(),
		kong.Vars{"podConfig": podConfigDefault()})
	selected, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	selected.BindTo(ctx, (*context.Context)(nil))
	if err := selected.Run(); err != nil {
		if !errors.Is(err, errLogged) {
			fmt.Fprintf(os.Stderr, "spout-runner: %v\n", err)
		}
		os.Exit(exitCode(err))
	}
}

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

func exitCode(err error) int {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return 1
}

type settingsCommand struct{}

// Run prints the contract.
func (settingsCommand) Run() error {
	for _, v := range settings.Variables() {
		fmt.Printf("%s", v.Name)
		switch {
		case v.Secret:
			fmt.Printf(" (from a Kubernetes secret)")
		case v.Default != "":
			fmt.Printf(" = %s", v.Default)
		}
		fmt.Printf("\n    %s\n", strings.ReplaceAll(v.Documentation(), "\n", "\n      "))
	}
	return nil
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println("spout-runner", version)
	return nil
}
