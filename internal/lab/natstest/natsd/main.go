// SPDX-License-Identifier: Apache-2.0

// Command natsd is the NATS server that this module's tests have in their
// process, in one of its own. It takes the flags of nats-server.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	flags := flag.NewFlagSet("natsd", flag.ExitOnError)
	options, err := server.ConfigureOptions(flags, os.Args[1:], server.PrintServerAndExit, flags.Usage, server.PrintTLSHelpAndDie)
	var s *server.Server
	if err == nil {
		s, err = server.NewServer(options)
	}
	if err == nil {
		s.ConfigureLogger()
		err = server.Run(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "natsd:", err)
		os.Exit(1)
	}
	s.WaitForShutdown()
}
