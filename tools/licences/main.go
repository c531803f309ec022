// SPDX-License-Identifier: Apache-2.0

// Command licences lists the licence of each Go module that the given packages
// are made of, on every platform that a release is for, and fails where one is
// not known or not allowed.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
	"github.com/spoutworks/terraform-provider-pachyderm/tools/modules"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "licences: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run is the command with its arguments and streams.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("licences", flag.ContinueOnError)
	flags.SetOutput(stderr)
	module := flags.String("module", ".", "folder of the module")
	tags := flags.String("tags", "", "build tags")
	tests := flags.Bool("tests", false, "look at what tests are made of, too, on this platform only")
	quiet := flags.Bool("quiet", false, "print what is not allowed only")
	if err := flags.Parse(args); err != nil {
		return err
	}
	packages := flags.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	platforms := mirror.Platforms
	if *tests {
		platforms = []mirror.Platform{{}}
	}
	found := map[string]modules.Module{}
	var all []modules.Module
	for _, platform := range platforms {
		listed, err := modules.List(ctx, modules.Query{Dir: *module, Packages: packages, Platform: platform, Tags: *tags, Tests: *tests})
		if err != nil {
			return err
		}
		for _, m := range listed {
			if _, known := found[m.Path]; !known {
				all = append(all, m)
			}
			found[m.Path] = m
		}
	}
	slices.SortFunc(all, func(a, b modules.Module) int { return cmp.Compare(a.Path, b.Path) })
	var wrong []string
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, m := range all {
		switch {
		case m.Licence == "" && len(m.Files) == 0:
			wrong = append(wrong, fmt.Sprintf("%s %s has no licence file", m.Path, m.Version))
		case m.Licence == "":
			wrong = append(wrong, fmt.Sprintf("%s %s: its licence is not one that tools/modules/licence.go knows", m.Path, m.Version))
		case len(modules.Refused(m.Licence)) > 0:
			wrong = append(wrong, fmt.Sprintf("%s %s: %s is not among the allowed licences: %s", m.Path, m.Version,
				strings.Join(modules.Refused(m.Licence), ", "), strings.Join(modules.Allowed, ", ")))
		}
		if !*quiet {
			fmt.Fprintf(table, "%s\t%s\t%s\n", m.Path, m.Version, m.Licence)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d of %d modules must not be used:\n  %s", len(wrong), len(all), strings.Join(wrong, "\n  "))
	}
	return nil
}
