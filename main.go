// SPDX-License-Identifier: Apache-2.0

// terraform-provider-pachyderm is the Terraform provider for Pachyderm. It is
// started by Terraform, and not by hand.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

// version is set when a release is built.
var version = "dev"

func main() {
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), "terraform-provider-pachyderm is a plugin of Terraform, which starts it itself.\n"+
			"See https://registry.terraform.io/providers/spoutworks/pachyderm\n\nFlags:\n")
		flag.PrintDefaults()
	}
	debug := flag.Bool("debug", false, "run on its own, to attach a debugger: prints the TF_REATTACH_PROVIDERS that Terraform needs to find it")
	show := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *show {
		fmt.Fprintln(os.Stdout, version)
		return
	}
	err := providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{
		Address: "registry.terraform.io/spoutworks/pachyderm",
		Debug:   *debug,
	})
	if err != nil {
		log.Fatal(err)
	}
}
