// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package rabbitmq_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq"
)

func check(t *testing.T, s settings.Settings, position string) (found string, ok bool) {
	t.Helper()
	src, err := rabbitmq.Make(s, source.Options{Memory: 16 << 20, Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close() //nolint:errcheck // it was not opened
	var raw json.RawMessage
	if position != "" {
		raw = json.RawMessage(position)
	}
	ok = true
	for _, f := range src.(source.Checker).Check(t.Context(), raw) {
		found += fmt.Sprintln(f.OK, f.Text)
		ok = ok && f.OK
	}
	return found, ok
}

// TestCheck: each thing that is missing is named, with its fix; and all is well
// if nothing is.
func TestCheck(t *testing.T) {
	n := startNode(t)
	control := func(args ...string) {
		t.Helper()
		if _, err := n.Control(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	control("add_user", "poor", "poor-secret")
	control("set_permissions", "poor", "^$", "^$", "^allowed$")
	for _, kind := range []string{"classic", "quorum", "stream"} {
		if err := n.Queue(kind, "check-"+kind, nil); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, n, "check-stream", "0", "1")
	queues := settingsOf(n)
	queues.RabbitMQ.Queues = []string{"check-classic", "check-quorum"}
	streams := ofStreams(n, "check-stream")
	with := func(s settings.Settings, change func(r *settings.RabbitMQ)) settings.Settings {
		change(&s.RabbitMQ)
		return s
	}
	poor := func(r *settings.RabbitMQ) { r.Username, r.Password = "poor", "poor-secret" }
	for name, test := range map[string]struct {
		s        settings.Settings
		position string
		ok       bool
		want     []string
	}{
		"queues":  {queues, "", true, []string{"RabbitMQ 3.", "queue check-classic: classic, 0 messages", "queue check-quorum: quorum"}},
		"streams": {streams, "", true, []string{"RabbitMQ 3.", "stream check-stream: led by ", "offsets 0 to 1; reading begins at first"}},
		"a position": {streams, `{"v":1,"vhost":"/","streams":{"check-stream":{"next":1,"at":0,"sum":0}}}`, true,
			[]string{"continues at offset 1"}},
		"beyond the end": {streams, `{"v":1,"vhost":"/","streams":{"check-stream":{"next":7,"at":0,"sum":0}}}`, false,
			[]string{"ends at offset 2, and messages up to 6 are in the output branch"}},
		"another node":   {with(queues, func(r *settings.RabbitMQ) { r.Addresses = []string{n.Host + ":1", n.AMQP()} }), "", false, []string{"refused; check the address", "queue check-classic: classic"}},
		"a password":     {with(queues, func(r *settings.RabbitMQ) { r.Password = "wrong" }), "", false, []string{"correct the user name and the password"}},
		"its password":   {with(streams, func(r *settings.RabbitMQ) { r.Password = "wrong" }), "", false, []string{"correct the user name and the password"}},
		"a vhost":        {with(queues, func(r *settings.RabbitMQ) { r.VHost = "none" }), "", false, []string{"correct SPOUT_RABBITMQ_VHOST"}},
		"its vhost":      {with(streams, func(r *settings.RabbitMQ) { r.VHost = "none" }), "", false, []string{"correct SPOUT_RABBITMQ_VHOST"}},
		"no queue":       {with(queues, func(r *settings.RabbitMQ) { r.Queues = []string{"none"} }), "", false, []string{"queue none does not exist in the virtual host /; make it"}},
		"no stream":      {with(streams, func(r *settings.RabbitMQ) { r.Streams = []string{"none"} }), "", false, []string{"stream none does not exist"}},
		"a queue":        {with(streams, func(r *settings.RabbitMQ) { r.Streams = []string{"check-classic"} }), "", false, []string{"stream check-classic does not exist in the virtual host /, or is a queue"}},
		"a stream":       {with(queues, func(r *settings.RabbitMQ) { r.Queues = []string{"check-stream"} }), "", false, []string{"queue check-stream is a stream"}},
		"no super":       {with(streams, func(r *settings.RabbitMQ) { r.SuperStreams = []string{"none"} }), "", false, []string{"super stream none does not exist"}},
		"rights":         {with(queues, poor), "", false, []string{"this user may not read it; allow it"}},
		"its rights":     {with(streams, poor), "", false, []string{"this user may not read it; allow it"}},
		"another's port": {with(queues, func(r *settings.RabbitMQ) { r.Addresses = []string{n.Stream()} }), "", false, []string{"check the address, its port"}},
		"other's port":   {with(streams, func(r *settings.RabbitMQ) { r.Addresses = []string{n.AMQP()} }), "", false, []string{"check the address, its port"}},
	} {
		found, ok := check(t, test.s, test.position)
		for _, want := range test.want {
			if !strings.Contains(found, want) || ok != test.ok {
				t.Errorf("%s: %v, without %q:\n%s", name, ok, want, found)
			}
		}
		if strings.Contains(found, "-secret") {
			t.Errorf("%s: a password is shown:\n%s", name, found)
		}
	}
	if got := waiting(t, n, "check-quorum"); got != 0 {
		t.Errorf("%d messages", got)
	}
}
