// SPDX-License-Identifier: Apache-2.0

// Command validators checks JSON values with a library, to compare the runner
// with: internal/proof/bench starts it. Nothing that is released depends on
// these libraries.
package main

import (
	"bufio"
	"bytes"
	stdjson "encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/bytedance/sonic"
	goccy "github.com/goccy/go-json"
	"github.com/minio/simdjson-go"
)

// libraries say whether data is JSON, by their names.
func libraries() map[string]func(data []byte) bool {
	var parsed *simdjson.ParsedJson
	return map[string]func([]byte) bool{
		"encoding/json": stdjson.Valid,
		"minio/simdjson-go": func(data []byte) bool { // it has nothing that only checks
			var err error
			parsed, err = simdjson.Parse(data, parsed, simdjson.WithCopyStrings(false))
			return err == nil
		},
		"bytedance/sonic": sonic.Valid,
		"goccy/go-json":   goccy.Valid,
	}
}

func main() {
	library := flag.String("library", "", "library to use")
	input := flag.String("values", "", "file with a value a line")
	warmUp := flag.Duration("warm-up", 0, "how long to work before the first turn")
	turn := flag.Duration("turn", 0, "how long a turn is; each is begun by a line on the input")
	flag.Parse()
	if err := run(*library, *input, *warmUp, *turn); err != nil {
		fmt.Fprintln(os.Stderr, "validators:", err)
		os.Exit(1)
	}
}

// used is what this process has used since it was started.
type used struct {
	Records     int
	Processor   time.Duration // the kernel's included
	Allocations uint64
}

func run(library, input string, warmUp, turn time.Duration) error {
	valid, ok := libraries()[library]
	if !ok {
		return fmt.Errorf("no library %q", library)
	}
	if library == "minio/simdjson-go" && !simdjson.SupportedCPU() {
		return fmt.Errorf("%s does not run on this processor", library)
	}
	text, err := os.ReadFile(input)
	if err != nil {
		return fmt.Errorf("values: %w", err)
	}
	values := bytes.Split(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'})
	turns, answers := bufio.NewScanner(os.Stdin), stdjson.NewEncoder(os.Stdout)
	records := 0
	for long := warmUp; ; long = turn {
		for until := time.Now().Add(long); time.Now().Before(until); records += len(values) {
			for _, v := range values {
				if !valid(v) {
					return fmt.Errorf("%s refuses %s", library, v)
				}
			}
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			return fmt.Errorf("processor time: %w", err)
		}
		if err := answers.Encode(used{records, time.Duration(r.Utime.Nano() + r.Stime.Nano()), m.Mallocs}); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		if !turns.Scan() {
			return nil
		}
	}
}
