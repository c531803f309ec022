// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/tlsconfig"
)

// Check implements [source.Checker]: it looks at secrets, certificates and the
// port. Whether senders reach it, only they can find out.
func (s *Source) Check(ctx context.Context, position json.RawMessage) (found []source.Finding) {
	add := func(ok bool, format string, args ...any) {
		found = append(found, source.Finding{OK: ok, Text: fmt.Sprintf(format, args...)})
	}
	for _, e := range s.endpoints {
		if err := e.load(); err != nil {
			add(false, "endpoint %s: %v", e.name, err)
			continue
		}
		add(true, "endpoint %s at %s takes %s, with %d secrets that can be read", e.name, e.URLPath(e.name), e.Auth, len(e.SecretFiles))
	}
	config, err := tlsconfig.Listener(s.config.TLS, s.config.CertFile, s.config.KeyFile, s.config.ClientCA, s.config.ClientCAFile, "SPOUT_WEBHOOK")
	switch {
	case err != nil:
		add(false, "%v", err)
	case config == nil:
		add(true, "requests come over plain HTTP: an ingress or a load balancer must end TLS")
	default:
		add(checkCertificate(config))
	}
	add(s.checkPort(ctx))
	if err := s.restore(position); err != nil {
		add(false, "%v", err)
	}
	return found
}

func checkCertificate(config *tls.Config) (ok bool, text string) {
	certificate, err := config.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return false, err.Error()
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return false, fmt.Sprintf("the certificate cannot be read: %v", err)
	}
	if time.Now().After(leaf.NotAfter) {
		return false, fmt.Sprintf("the certificate of %s is good until %s only; renew it", leaf.Subject, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return true, fmt.Sprintf("the certificate of %s is good until %s", leaf.Subject, leaf.NotAfter.UTC().Format(time.RFC3339))
}

// checkPort finds out whether the port can be had, or is that of a runner which
// runs already, as in a pod where the check is run by hand.
func (s *Source) checkPort(ctx context.Context) (ok bool, text string) {
	at := net.JoinHostPort(s.config.Address, strconv.Itoa(s.config.Port))
	port, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
	if err == nil {
		port.Close() //nolint:errcheck // nobody has asked for it
		return true, fmt.Sprintf("port %d is free", s.config.Port)
	}
	conn, dialed := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(s.config.Address, strconv.Itoa(s.config.Port)))
	if dialed != nil {
		return false, fmt.Sprintf("port %d cannot be had: %v. Choose another SPOUT_WEBHOOK_PORT or SPOUT_WEBHOOK_ADDRESS", s.config.Port, err)
	}
	conn.Close() //nolint:errcheck // only tried
	return true, fmt.Sprintf("port %d is taken: the runner of this pod listens there already, or somebody else", s.config.Port)
}
