// SPDX-License-Identifier: Apache-2.0

// terraform-provider-pachyderm is the Terraform provider for Pachyderm. It is
// started by Terraform, and not by hand.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

// These are set when a release is built.
var (
	version      = "dev"
	runnerDigest = "" // of the runner's image
)

func main() {
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), "terraform-provider-pachyderm is a plugin of Terraform, which starts it itself.\n"+
			"See https://registry.terraform.io/providers/spoutworks/pachyderm\n\nFlags:\n")
		flag.PrintDefaults()
	}
	attach := flag.Bool("debug", false, "run on its own, to attach a debugger: prints the TF_REATTACH_PROVIDERS that Terraform needs to find it")
	show := flag.Bool("version", false, "print the version and exit")
	image := flag.Bool("image", false, "print the image that spouts with kafka take by default, and exit")
	flag.Parse()
	switch {
	case *show:
		fmt.Fprintln(os.Stdout, version)
		return
	case *image:
		fmt.Fprintln(os.Stdout, provider.RunnerImage(version, runnerDigest))
		return
	}
	var options []provider.Option
	var serving []tf6server.ServeOpt
	if *attach {
		serving = append(serving, tf6server.WithManagedDebug())
	} else {
		options = economize()
		go endWithParent(time.Second)
	}
	options = append(options, provider.WithRunnerDigest(runnerDigest))
	if err := tf6server.Serve("registry.terraform.io/spoutworks/pachyderm", provider.Server(version, options...), serving...); err != nil {
		log.Fatal(err)
	}
}

// endWithParent ends this process after the one that started it, which else
// only a Terraform does that is not killed itself. The calls that it was
// waiting for are cancelled by then; what remains is to finish what must not
// be left half done.
func endWithParent(look time.Duration) {
	parent := os.Getppid()
	for os.Getppid() == parent { // Windows never tells
		time.Sleep(look)
	}
	cleanUp(provider.Busy, time.Sleep, look)
	os.Exit(1)
}

// cleanUp returns when nothing is in progress any more, or has no right to be:
// after what an operation may do beyond its time, and a margin.
func cleanUp(busy func() bool, sleep func(time.Duration), look time.Duration) {
	const atMost = 2*provider.CleanUp + 5*time.Second
	for waited := time.Duration(0); busy() && waited < atMost; waited += look {
		sleep(look)
	}
}

// isLogged says whether Terraform was told to write a log. Programs that start
// it, such as those made with terraform-exec, set the variables to nothing.
func isLogged(environ []string) bool {
	return slices.ContainsFunc(environ, func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "TF_LOG") && value != ""
	})
}

// economize saves CPU time, of which Terraform and its providers need much
// more than of anything else when a state holds many objects. It returns what
// the provider has to be told for it.
func economize() []provider.Option {
	var options []provider.Option
	// Nobody reads the log unless Terraform was told to write one; without
	// this, all of it is written, and parsed by Terraform.
	if !isLogged(os.Environ()) {
		for _, name := range []string{"TF_LOG_PROVIDER", "TF_LOG_SDK"} {
			_ = os.Setenv(name, "OFF") // without which it is slower
		}
		options = append(options, provider.WithoutLog())
	}
	// What lives on from call to call is small, and so the heap: collected at
	// twice of that, garbage takes half of the time.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800)
	}
	return options
}
