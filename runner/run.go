// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/web"
)

// errLogged is an error that the log has told of already.
var errLogged = errors.New("see the log")

type runCommand struct{ target }

// Run ingests; it never returns nil.
func (c runCommand) Run(ctx context.Context) error {
	s, err := readSettings()
	log := newLogger(s.LogLevel, os.Stderr)
	state := newLogger("info", os.Stderr) // Terraform waits for its lines
	if err != nil {
		return logged(log, err)
	}
	for _, warning := range s.Warnings() {
		log.Warn("not encrypted", "variable", warning.Variable, "value", warning.Value, "problem", warning.Fix)
	}
	client, err := c.connect()
	if err != nil {
		return logged(log, err)
	}
	defer client.Close() //nolint:errcheck // the process ends
	limitMemory(s.MemoryBudget)
	in, err := c.ingester(s, client, log, state.Named("ingest"))
	if err != nil {
		return logged(log, err)
	}
	serve(s, in, log.Named("http"))
	state.Info(spoutlog.Starts, "version", version, "writer", in.Writer, "branch", in.Branch.String(), "source", s.Source)
	err = in.Run(ctx)
	if s.HTTPPort != 0 {
		stay(ctx, log, err)
	}
	return logged(log, err)
}

// logged says in the log why the runner ends, each problem with the settings
// on a line of its own.
func logged(log hclog.Logger, err error) error {
	var problems settings.Problems
	if errors.As(err, &problems) {
		for _, problem := range problems {
			log.Error(spoutlog.WrongSetting, "variable", problem.Variable, "value", problem.Value, "problem", problem.Fix)
		}
		err = fmt.Errorf("%d wrong settings", len(problems))
	}
	log.Error(spoutlog.Ends, "reason", err)
	return errLogged
}

// limitMemory has the garbage collector keep the process near the budget: it
// would else let the heap grow to twice what is in use.
func limitMemory(budget settings.Bytes) {
	const fixed = 12 << 20 // the program itself and its connections
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(budget)/8*9 + fixed)
	}
}

func newLogger(level string, out io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "spout-runner", Level: hclog.LevelFromString(level), Output: out, JSONFormat: true, TimeFn: func() time.Time { return time.Now().UTC() }})
}

// writerName names this process: two lives of one pod are two writers.
func writerName() string {
	name := os.Getenv("PPS_POD_NAME")
	if name == "" {
		name, _ = os.Hostname()
	}
	id := make([]byte, 4)
	rand.Read(id) //nolint:errcheck // it never fails
	return name + "/" + hex.EncodeToString(id)
}

// serve answers over HTTP in the background; see package web. A port that
// cannot be had is no reason not to ingest.
func serve(s settings.Settings, in *ingest.Ingester, log hclog.Logger) {
	if s.HTTPPort == 0 {
		return
	}
	server, err := web.Listen(s, in, in.Metrics.Handler(), log)
	if err != nil {
		log.Error("no health checks, metrics and status page: choose another SPOUT_HTTP_PORT or SPOUT_HTTP_ADDRESS, or mend what the reason says", "port", s.HTTPPort, "reason", err)
		return
	}
	log.Info("answering over HTTP", "address", server.Addr().String())
	go func() {
		log.Error("no health checks, metrics and status page any more", "reason", server.Serve()) // it serves until the process ends
	}()
}

// stoppedFor is how long a runner that only an operator can help stays, so
// that /readyz, the status page and the metrics can tell why. Then Pachyderm
// starts it again.
const stoppedFor = time.Minute

// stay keeps the process for a while after an error that calls for an operator.
func stay(ctx context.Context, log hclog.Logger, err error) {
	if !source.IsStop(err) || ctx.Err() != nil {
		return
	}
	log.Error(spoutlog.Stopped, "reason", err, "trying_again_in", stoppedFor.String())
	select {
	case <-ctx.Done():
	case <-time.After(stoppedFor):
	}
}
