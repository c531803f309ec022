// SPDX-License-Identifier: Apache-2.0

// Command gendoc writes what the documentation is generated from, and the part
// of it that is not about Terraform:
//
//	gendoc schema FILE       the provider's schema, as "terraform providers schema -json"
//	gendoc runner FILE       the guide to the runner, with every SPOUT_* variable
//	gendoc monitoring FILE   the guide to what the runner tells, with every metric
//
// The schema is made in process rather than by a Terraform command line, so
// that the documentation is the same whichever version is installed: older
// ones leave out list resources, actions and identities.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "gendoc: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: gendoc schema|runner|monitoring FILE")
	}
	var content bytes.Buffer
	var err error
	switch what := args[0]; what {
	case "schema":
		err = writeSchema(ctx, &content)
	case "runner":
		err = writeRunnerGuide(&content)
	case "monitoring":
		err = writeMonitoringGuide(&content)
	default:
		err = fmt.Errorf("nothing is called %q", what)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(args[1]), 0o755); err != nil {
		return err
	}
	return os.WriteFile(args[1], content.Bytes(), 0o644)
}
