// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package rabbitmq_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// TestTLS: by both protocols, with a password and with a client certificate, in
// a virtual host of its own; and with nobody else's certificate.
func TestTLS(t *testing.T) {
	trusted := authority.ForTest(t, "rabbitmq")
	host, err := rabbitmqcluster.Loopback()
	if err != nil {
		t.Fatal(err)
	}
	own, client := trusted.IssueForTest(t, "node", host), trusted.IssueForTest(t, "orders-spout")
	n, err := rabbitmqcluster.Start(t.Context(), rabbitmqcluster.Options{Host: host, Authority: trusted.PEM, Certificate: own.Chain, Key: own.Key})
	if errors.Is(err, rabbitmqcluster.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	for _, args := range [][]string{{"add_user", "orders-spout", "unused"}, {"set_permissions", "orders-spout", "^$", "^$", ".*"}} {
		if _, err := n.Control(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	queue, stream := "tls-queue", "tls-stream"
	for kind, name := range map[string]string{"classic": queue, "stream": stream} {
		if err := n.Queue(kind, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, n, stream, "x")
	for _, mechanism := range []string{"plain", "external"} {
		for _, kind := range []string{queue, stream} {
			s := settingsOf(n)
			s.RabbitMQ.Addresses, s.RabbitMQ.Queues = []string{n.AMQPTLS()}, []string{queue}
			if kind == stream {
				s = ofStreams(n, stream)
				s.RabbitMQ.Addresses = []string{n.StreamTLS()}
			} else {
				send(t, n, queue, bodies("x")...)
			}
			s.RabbitMQ.TLS = settings.OptionalTLS{Enabled: true, TLS: settings.TLS{CA: trusted.PEM}}
			if s.RabbitMQ.Mechanism = mechanism; mechanism == "external" {
				s.RabbitMQ.Username, s.RabbitMQ.Password = "", ""
				s.RabbitMQ.TLS.Cert, s.RabbitMQ.TLS.Key = client.Chain, client.Key
			}
			if found, ok := check(t, s, ""); !ok {
				if kind == stream && mechanism == "external" && strings.Contains(found, "before June 2023") {
					t.Log(found) // it has a bug, and is told of
					continue
				}
				t.Errorf("%s %s: %s", mechanism, kind, found)
				continue
			}
			src := opened(t, s, nil)
			mustRead(t, src, 1)
			if err := src.Close(); err != nil { // or it would get the next message, too
				t.Fatal(err)
			}

			s.RabbitMQ.TLS.CA = ""
			if found, ok := check(t, s, ""); ok || !strings.Contains(found, "certificate") {
				t.Errorf("%s %s, a certificate of nobody: %s", mechanism, kind, found)
			}
		}
	}
	// Without TLS the password goes nowhere but to this machine.
	s := settingsOf(n)
	s.RabbitMQ.Addresses, s.RabbitMQ.Queues = []string{"192.0.2.1:5672"}, []string{queue}
	if found, ok := check(t, s, ""); ok || !strings.Contains(found, "would get the password without TLS") {
		t.Error(found)
	}
}
