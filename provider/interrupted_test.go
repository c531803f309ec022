// SPDX-License-Identifier: Apache-2.0

//go:build linux

package provider

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// moments of the creation of a spout. Each returns a channel to close.
func moments() map[string]func(held chan struct{}) pachtest.Fault {
	return map[string]func(chan struct{}) pachtest.Fault{
		"created, without reply": func(held chan struct{}) pachtest.Fault {
			return pachtest.Fault{Method: "CreatePipeline", StallReply: held}
		},
		// The first look is before the creation.
		"waiting": func(held chan struct{}) pachtest.Fault {
			return pachtest.Fault{Method: "InspectPipeline", Nth: 2, Stall: held}
		},
	}
}

// Whatever ends an apply, and whenever, the spout that the server has made is
// in the state afterwards, or the next apply takes it over.
func TestInterruptedCreate(t *testing.T) {
	t.Parallel()
	blows := map[string]struct {
		strike  func(p *cliProcess, r *running)
		inState bool // afterwards
	}{
		"SIGINT": {func(p *cliProcess, r *running) { signal(p, r.cmd.Process, os.Interrupt) }, true},
		"SIGKILL of Terraform": {func(p *cliProcess, r *running) {
			left := p.providers(r)
			signal(p, r.cmd.Process, syscall.SIGKILL)
			p.Cleanup(func() { awaitEnd(p, left) })
		}, false},
		"SIGKILL of the provider": {func(p *cliProcess, r *running) {
			for _, provider := range p.providers(r) {
				signal(p, provider, syscall.SIGKILL)
			}
		}, false},
	}
	for when, fault := range moments() {
		for what, blow := range blows {
			t.Run(when+"/"+what, func(t *testing.T) {
				t.Parallel()
				s := pachtest.New(t)
				made := make(chan struct{})
				s.OnPipeline(func(e pachtest.PipelineEvent) {
					if e.Kind == pachtest.PipelineCreated {
						close(made)
					}
				})
				held := make(chan struct{})
				stop := s.Inject(fault(held))
				p := newProcess(t, s, spoutConfig(`force_destroy = true`), nil)
				apply := p.start("apply", "-auto-approve")
				<-stop.Reached()
				<-made
				blow.strike(p, apply)
				said, code := apply.wait(t)
				close(held)
				if code == 0 {
					t.Errorf("the apply does not say that it was interrupted: %s", said)
				}
				if said := p.run(0, "apply", "-auto-approve"); !blow.inState {
					if err := contains(said, "is taken over", "1 added, 0 changed"); err != nil {
						t.Fatal(err)
					}
				}
				p.run(0, "plan", "-detailed-exitcode")
				if created, deleted := count(s, "CreatePipeline"), count(s, "DeletePipeline"); created != 1 || deleted != 0 {
					t.Errorf("%d creations, %d deletions", created, deleted)
				}
			})
		}
	}
}

// An update and a deletion that the server has done are not done again.
func TestInterruptedUpdateAndDelete(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	p := newProcess(t, s, spoutConfig(`wait_for = "created"`, `description = var.description`)+"variable \"description\" {}\n", nil)
	p.run(0, "apply", "-auto-approve", "-var=description=one")
	done := make(chan struct{}, 1)
	s.OnPipeline(func(pachtest.PipelineEvent) { done <- struct{}{} })
	interrupted := func(method string, args ...string) {
		t.Helper()
		held := make(chan struct{})
		stop := s.Inject(pachtest.Fault{Method: method, StallReply: held})
		cmd := p.start(append(args, "-auto-approve", "-var=description=two")...)
		<-stop.Reached()
		<-done
		signal(p, cmd.cmd.Process, syscall.SIGKILL)
		if said, code := cmd.wait(t); code == 0 {
			t.Errorf("it does not say that it was interrupted: %s", said)
		}
		close(held)
	}
	interrupted("CreatePipeline", "apply")
	if err := contains(p.run(0, "apply", "-auto-approve", "-var=description=two"), "0 added, 0 changed, 0 destroyed"); err != nil {
		t.Error(err)
	}
	interrupted("DeletePipeline", "destroy")
	if err := contains(p.run(0, "destroy", "-auto-approve", "-var=description=two"), "0 destroyed"); err != nil {
		t.Error(err)
	}
	if sent, deleted := count(s, "CreatePipeline"), count(s, "DeletePipeline"); sent != 2 || deleted != 1 {
		t.Errorf("%d times created and updated, %d times deleted", sent, deleted)
	}
}

// A spout that was stopped for its update runs again after an interrupt.
func TestInterruptedUpdateOfStopped(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithVersion(pachtest.Version26))
	i := newInstance(t, s)
	i.must(i.apply(kafkaSpout(nil)))
	readOrders(t, s)
	ctx, interrupt := context.WithCancel(t.Context())
	i.ctx = ctx
	start := s.Inject(pachtest.Fault{Method: "StartPipeline", Stall: make(chan struct{})})
	go func() {
		<-start.Reached()
		interrupt()
	}()
	if err := contains(errorsIn(i.apply(kafkaSpout(object{"description": "x"}))), "Cannot start spout default/orders"); err != nil {
		t.Error(err)
	}
	if p := inspect(t, s, orders); p.Stopped || p.Version != 2 {
		t.Errorf("stopped: %t, version %d", p.Stopped, p.Version)
	}
}

// A connection that breaks between request and reply costs nothing but time.
func TestConnectionLostInApply(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	p := newProcess(t, s, spoutConfig(`wait_for = "created"`), nil)
	s.Inject(pachtest.Fault{Method: "CreatePipeline", Cut: true})
	p.run(0, "apply", "-auto-approve")
	p.run(0, "plan", "-detailed-exitcode")
	s.Inject(pachtest.Fault{Method: "DeletePipeline", Cut: true})
	p.run(0, "destroy", "-auto-approve")
	if created := count(s, "CreatePipeline"); created != 1 || len(s.Repos("")) != 0 {
		t.Errorf("%d creations; there are %v", created, s.Repos(""))
	}
}

// Two applies at once: of one state, the second is told to wait; of two
// states, the second is told whose the spout is.
func TestTwoApplies(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	config := spoutConfig(`wait_for = "created"`, `description = var.description`) + "variable \"description\" {\n  default = \"\"\n}\n"
	first, second := newProcess(t, s, config, nil), newProcess(t, s, config, nil)
	// Both have looked, and found nothing, before either creates.
	held := make(chan struct{})
	arrived := []*pachtest.Injected{s.Inject(pachtest.Fault{Method: "CreatePipeline", Stall: held}), s.Inject(pachtest.Fault{Method: "CreatePipeline", Nth: 2, Stall: held})}
	applies := []*running{first.start("apply", "-auto-approve"), second.start("apply", "-auto-approve")}
	for _, a := range arrived {
		<-a.Reached()
	}
	if err := contains(first.run(1, "apply", "-auto-approve"), "state lock"); err != nil {
		t.Error(err)
	}
	close(held)
	said := map[int]string{}
	states := map[int]*cliProcess{}
	for i, p := range []*cliProcess{first, second} {
		text, code := applies[i].wait(t)
		said[code], states[code] = text, p
	}
	if err := contains(said[1], "exists already", "terraform import", "default/orders"); err != nil || states[0] == nil {
		t.Fatalf("%v: %v", err, said)
	}
	winner, loser := states[0], states[1]
	winner.run(0, "plan", "-detailed-exitcode")
	loser.run(0, "import", spoutAddress, "default/orders")

	// Both update what each believes to be at version 1.
	held = make(chan struct{})
	arrived = []*pachtest.Injected{s.Inject(pachtest.Fault{Method: "CreatePipeline", Stall: held}), s.Inject(pachtest.Fault{Method: "CreatePipeline", Nth: 2, Stall: held})}
	one, other := winner.start("apply", "-auto-approve", "-var=description=one"), loser.start("apply", "-auto-approve", "-var=description=other")
	for _, a := range arrived {
		<-a.Reached()
	}
	close(held)
	one.wait(t)
	other.wait(t)
	if p := inspect(t, s, orders); p.Version != 3 || p.Spec.Description != "one" && p.Spec.Description != "other" {
		t.Errorf("version %d, %q", p.Version, p.Spec.Description)
	}
	if count(s, "DeletePipeline") != 0 {
		t.Error("something was deleted")
	}
	winner.run(0, "apply", "-auto-approve", "-var=description=one")
	winner.run(0, "plan", "-detailed-exitcode", "-var=description=one")
}

func signal(p *cliProcess, process *os.Process, s os.Signal) {
	p.Helper()
	if err := process.Signal(s); err != nil {
		p.Fatal(err)
	}
}

// awaitEnd waits for processes that are not this one's children.
func awaitEnd(p *cliProcess, processes []*os.Process) {
	p.Helper()
	for _, process := range processes {
		fd, err := unix.PidfdOpen(process.Pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			p.Fatal(err)
		}
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		}
		if err := errors.Join(err, unix.Close(fd)); err != nil {
			p.Fatal(err)
		}
	}
}
