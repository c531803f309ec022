// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// writer is one life of a runner.
type writer struct {
	name   string
	link   *link
	client *pachyderm.Client
	stop   context.CancelFunc
	ended  chan error
	alive  bool
	frozen bool // stopped by SIGSTOP: nothing of it moves
}

// startWriter starts a runner.
func (w *world) startWriter() {
	name := fmt.Sprintf("writer-%02d", len(w.writers)+1)
	l := &link{owner: name, server: w.server.Direct(pachtest.Sidecar, pachyderm.DefaultProject, pipeline), wake: w.wake, step: func() int { return int(w.steps.Load()) }}
	client := w.connect(l.send, l.upload)
	log := hclog.NewNullLogger()
	if w.trace {
		log = hclog.New(&hclog.LoggerOptions{Name: "        " + name, Output: os.Stdout, DisableTime: true})
	}
	metrics := ingest.NewMetrics()
	in, err := ingest.New(ingest.Config{
		Settings: w.settings, Client: client, Branch: client.Branch(pachyderm.DefaultProject, pipeline, "master"),
		NewSource: func() (source.Source, error) {
			if w.stream.kafka != nil {
				return w.stream.kafka.source(w.stream, ingest.SourceShare(w.settings)), nil
			}
			return &reader{stream: w.stream, chunk: w.chunk, link: l, budget: int(w.settings.MemoryBudget), over: func(held int) {
				w.problem("I8: %s holds %d bytes of records, may %d", name, held, w.settings.MemoryBudget)
			}}, nil
		},
		Writer: name, Log: log, Metrics: metrics, Random: rand.New(rand.NewPCG(uint64(len(w.writers)), 0)),
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := &writer{name: name, link: l, client: client, stop: cancel, ended: make(chan error, 1), alive: true}
	w.writers = append(w.writers, running)
	go func() { running.ended <- in.Run(ctx) }()
	w.say("start %s", name)
}

// kill ends a runner at once. What it has sent may still arrive.
func (w *world) kill(victim *writer) {
	w.say("kill %s", victim.name)
	victim.link.mu.Lock()
	victim.link.dead = true
	victim.link.mu.Unlock()
	w.disconnect(victim)
	victim.stop()
	victim.alive, victim.frozen = false, false
	if err := <-victim.ended; err == nil {
		w.problem("%s ended without an error", victim.name)
	}
}

// disconnect cuts a runner's connection. What was on its way to the server may
// still arrive, but no reply does.
func (w *world) disconnect(from *writer) {
	for _, e := range from.link.pending() {
		e.tell(errCut)
		if e.is(sent) && !e.middle && w.tape.happens(3) {
			w.say("  %s of %s is still on its way", e.name, from.name)
			continue
		}
		e.forget()
	}
}

// reap looks after runners that have ended by themselves: only one that was
// superseded may.
func (w *world) reap() {
	for _, ended := range w.alive() {
		select {
		case err := <-ended.ended:
			w.say("%s ends: %v", ended.name, err)
			ended.alive = false
			var superseded *ingest.SupersededError
			if !errors.As(err, &superseded) {
				w.problem("%s ended: %v", ended.name, err)
			} else if superseded.By == ended.name {
				w.problem("%s was superseded by itself", ended.name)
			}
		default:
		}
	}
}

// alive lists the runners that have not ended.
func (w *world) alive() (alive []*writer) {
	for _, candidate := range w.writers {
		if candidate.alive {
			alive = append(alive, candidate)
		}
	}
	return alive
}
