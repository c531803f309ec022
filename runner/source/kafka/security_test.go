// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/logtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

const secret = "a-Secret-that-nobody-may-see"

func TestSASLAndTLS(t *testing.T) {
	t.Parallel()
	certificate, trusted := authority.Localhost(t)
	for _, mechanism := range []string{"", "plain", "scram-sha-256", "scram-sha-512"} {
		for _, withTLS := range []bool{false, true} {
			name := "mechanism " + mechanism
			if withTLS {
				name += " TLS"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var opts []kfake.Opt
				var clientOpts []kgo.Opt
				switch mechanism {
				case "plain":
					clientOpts = append(clientOpts, kgo.SASL(plain.Auth{User: "me", Pass: secret}.AsMechanism()))
				case "scram-sha-256":
					clientOpts = append(clientOpts, kgo.SASL(scram.Auth{User: "me", Pass: secret}.AsSha256Mechanism()))
				case "scram-sha-512":
					clientOpts = append(clientOpts, kgo.SASL(scram.Auth{User: "me", Pass: secret}.AsSha512Mechanism()))
				}
				if mechanism != "" {
					opts = append(opts, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "me", secret))
				}
				if withTLS {
					opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}))
					roots := x509.NewCertPool()
					roots.AppendCertsFromPEM(trusted)
					clientOpts = append(clientOpts, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
				}
				c := startCluster(t, opts...)
				createTopic(t, c, "t", 2)
				produce(t, client(t, c, clientOpts...), numbered("t", 1, 0, 10)...)
				k := config(c, "t")
				k.SASL.Mechanism, k.SASL.Username, k.SASL.Password = mechanism, "me", secret
				if withTLS {
					k.TLS.Enabled, k.TLS.CA = true, string(trusted)
				}
				s, _ := open(t, k, nil)
				wantValues(t, read(t, s, 10), 0, 10)

				if mechanism != "" {
					k.SASL.Password = secret + "-wrong"
					refuses(t, func() (*Source, *logtest.Log) { return newTestSource(t, k) }, "error=")
				}
				if withTLS {
					k.SASL.Password, k.TLS.CA = secret, ""
					refuses(t, func() (*Source, *logtest.Log) { return newTestSource(t, k) }, "TLS handshake")
				}
			})
		}
	}
}

// refuses expects that a source cannot be opened, complains at level error,
// does not give up and names no secret.
func refuses(t *testing.T, make func() (*Source, *logtest.Log), text string) {
	t.Helper()
	s, l := make()
	ctx, cancel := testCancel(t)
	opened := goOpen(ctx, s)
	l.Await(t, "[ERROR] cannot reach Kafka")
	select {
	case err := <-opened:
		t.Fatalf("it gave up: %v", err)
	default:
	}
	cancel()
	if err := <-opened; err == nil {
		t.Error("it was opened")
	}
	if all := l.String(); strings.Contains(all, secret) || !strings.Contains(all, text) {
		t.Errorf("the log does not say %q, or says the secret:\n%s", text, all)
	}
	checked, _ := make()
	_, err := checked.survey(testContext(t), nil)
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Check returned %v", err)
	}
}

// TestNoPasswordInClear: brokers tell of others, and a broker of this machine
// may name one that is elsewhere. No password goes there without TLS.
func TestNoPasswordInClear(t *testing.T) {
	t.Parallel()
	elsewhere := "kafka.example.com:9092"
	dialed, me := errors.New("dialed"), settings.Credentials{Username: "me", Password: secret}
	for name, test := range map[string]struct {
		k    settings.Kafka
		want error
	}{
		"plain":       {settings.Kafka{SASL: settings.SASL{Mechanism: "plain", Credentials: me}}, errCleartext},
		"oauthbearer": {settings.Kafka{SASL: settings.SASL{Mechanism: "oauthbearer", Credentials: me, TokenURL: "https://login"}}, errCleartext},
		"allowed":     {settings.Kafka{SASL: settings.SASL{Mechanism: "plain", Credentials: me, AllowCleartext: true}}, dialed},
		"TLS":         {settings.Kafka{SASL: settings.SASL{Mechanism: "plain", Credentials: me}, TLS: settings.OptionalTLS{Enabled: true}}, dialed},
		"scram":       {settings.Kafka{SASL: settings.SASL{Mechanism: "scram-sha-256", Credentials: me}}, dialed},
		"none":        {settings.Kafka{}, dialed},
	} {
		d, err := newDialer(test.k, nil, func(context.Context, string, string) (net.Conn, error) { return nil, dialed })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.open(testContext(t), elsewhere); !errors.Is(err, test.want) || isDenied(err) != errors.Is(test.want, errCleartext) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := d.open(testContext(t), "127.0.0.1:9092"); !errors.Is(err, dialed) {
			t.Errorf("%s, this machine: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(2))
	createTopic(t, c, "t", 2)
	produce(t, client(t, c), numbered("t", 1, 0, 10)...)
	k := config(c, "t")
	k.Start = "latest"
	s, _ := newTestSource(t, k)
	lines, err := s.survey(testContext(t), nil)
	if report := strings.Join(lines, "\n"); err != nil || !strings.Contains(report, "partition 1: led by broker") || !strings.Contains(report, "reading begins at offset 10") {
		t.Errorf("%v\n%s", err, report)
	}
	s, _ = newTestSource(t, k)
	lines, err = s.survey(testContext(t), []byte(`{"topics":{"t":{"partitions":{"1":[7,-1]}}}}`))
	if report := strings.Join(lines, "\n"); err != nil || !strings.Contains(report, "reading continues at offset 7") || !strings.Contains(report, "reading begins at offset 0") {
		t.Errorf("%v\n%s", err, report)
	}
	k.Topics = []string{"t", "u"}
	s, _ = newTestSource(t, k)
	if lines, err := s.survey(testContext(t), nil); err == nil || !strings.Contains(err.Error(), "topic u does not exist") {
		t.Errorf("%v\n%s", err, strings.Join(lines, "\n"))
	}
}
