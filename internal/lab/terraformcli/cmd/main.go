// SPDX-License-Identifier: Apache-2.0

// Command cmd prints the path of the Terraform command line to use, and says
// on standard error where it comes from.
//
// With -opentofu, -newest or -oldest it is OpenTofu, or the newest or oldest
// Terraform that is tested, whatever else is installed. With -env it prints, for
// a shell's eval, the variables that make terraform-plugin-testing use it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
)

func main() {
	env := flag.Bool("env", false, "print variables for eval instead of the path")
	opentofu := flag.Bool("opentofu", false, "bring OpenTofu")
	newest := flag.Bool("newest", false, "bring the newest Terraform that the provider is tested with")
	oldest := flag.Bool("oldest", false, "bring the oldest Terraform that the provider works with")
	flag.Parse()
	find := terraformcli.Find
	switch {
	case *opentofu:
		find = terraformcli.FindOpenTofu
	case *newest:
		find = terraformcli.FindNewest
	case *oldest:
		find = terraformcli.FindOldest
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cli, err := find(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
	if !*env {
		fmt.Println(cli.Path)
		return
	}
	for _, entry := range cli.TestEnvironment() {
		name, value, _ := strings.Cut(entry, "=")
		fmt.Printf("export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
}
