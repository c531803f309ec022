// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

var readOnce = spoutcommit.Description{Source: "postgres", Writer: "pod/1", Epoch: 1, Reason: spoutcommit.ReasonStart, Position: json.RawMessage(`{}`)}

// A spout whose source leaves something is destroyed after its runner has given
// that up, whether the spout ran or was paused.
func TestDestroyReleases(t *testing.T) {
	t.Parallel()
	for name, paused := range map[string]bool{"running": false, "paused": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pachtest.New(t)
			i := newInstance(t, s)
			i.must(i.apply(postgresSpout(nil)))
			commitAs(t, s, orders, readOnce)
			i.must(i.apply(postgresSpout(object{"paused": paused})))
			answered := make(chan bool, 1)
			go func() {
				for range 10_000 {
					p, err := client(t, s).InspectPipeline(t.Context(), orders)
					if err != nil {
						break
					}
					if slices.Equal(p.Spec.Cmd, []string{"/spout-runner", "release", "--commit"}) && !p.Stopped && p.Spec.Env["SPOUT_POSTGRES_SLOT"] == "orders" {
						released := readOnce
						released.Epoch, released.Reason = 2, spoutcommit.ReasonReleased
						commitAs(t, s, orders, released)
						answered <- true
						return
					}
					time.Sleep(time.Millisecond)
				}
				answered <- false
			}()
			diagnostics := i.destroy()
			i.must(diagnostics)
			if !<-answered || len(diagnostics) > 0 {
				t.Errorf("the runner was not asked, or there are warnings: %v", diagnostics)
			}
			if len(s.Pipelines("")) > 0 {
				t.Error("the spout is still there")
			}
		})
	}
}

// A destroy that the runner does not answer warns of what may be left, and how
// to remove it.
func TestDestroyThatReleasesNothing(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	deadlines := newDeadlines()
	i := newInstance(t, s, WithDeadlines(deadlines.within))
	i.must(i.apply(postgresSpout(nil)))
	commitAs(t, s, orders, readOnce)
	update := s.Inject(pachtest.Fault{Method: "CreatePipeline"})
	destroyed := make(chan []*tfprotov6.Diagnostic, 1)
	go func() { destroyed <- i.destroy() }()
	<-update.Reached()
	<-s.Inject(pachtest.Fault{Method: "InspectPipeline"}).Reached() // the update was answered
	deadlines.pass(releaseTime)
	said := <-destroyed
	var text strings.Builder
	for _, d := range said {
		text.WriteString(d.Summary + "\n" + d.Detail + "\n")
	}
	if err := contains(text.String(), "no commit that says so within 2m0s", "replication slot orders of the database shop at 127.0.0.1", "SELECT pg_drop_replication_slot('orders'); DROP PUBLICATION IF EXISTS \"orders\""); err != nil {
		t.Error(err)
	}
	if len(s.Pipelines("")) > 0 || errorsIn(said) != "" {
		t.Errorf("the spout is still there: %s", errorsIn(said))
	}
}

// What never had a position has left nothing, and what leaves nothing is not
// started again.
func TestDestroyWithoutRelease(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	for _, config := range []object{postgresSpout(nil), kafkaSpout(nil)} {
		i := newInstance(t, s)
		i.must(i.apply(config))
		if config["kafka"] != nil {
			d := readOnce
			d.Source = "kafka"
			commitAs(t, s, orders, d)
		}
		updates := count(s, "CreatePipeline")
		i.must(i.destroy())
		if count(s, "CreatePipeline") != updates {
			t.Error("the spout was updated")
		}
	}
}
