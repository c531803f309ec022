// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"net/netip"
	"regexp"
)

// HTTP says to whom the runner answers at HTTPPort.
type HTTP struct {
	Address string      `env:"SPOUT_HTTP_ADDRESS" attribute:"http_address" doc:"IP address to listen on, for example ´127.0.0.1´ for ´kubectl port-forward´ and the other containers of the pod alone. Left out, all addresses of the pod, which Prometheus and the probes of Kubernetes need."`
	Hosts   []string    `env:"SPOUT_HTTP_HOSTS" attribute:"http_hosts" doc:"Names by which others call the runner, for example ´orders.pachyderm.svc´. ´*.example.com´ stands for all names that end so, and ´*´ for any. Requests to IP addresses, to localhost and to the pod's own name are answered without it. The runner refuses all other names, so that a page in somebody's browser cannot reach it by a name of its own (DNS rebinding)."`
	Token   string      `env:"SPOUT_HTTP_TOKEN" attribute:"http_token_secret.key" secret:"token" filled:"true" doc:"Token that requests to SPOUT_HTTP_PORT must carry, as a bearer token or as the password of HTTP basic authentication. ´/healthz´ and ´/readyz´ are answered without it, the latter without its reasons."`
	TLS     Certificate `attribute:"http_tls_secret" prefix:"SPOUT_HTTP_TLS" doc:"Kubernetes secret with a certificate, with which the runner answers at SPOUT_HTTP_PORT over HTTPS only."`
}

// Loopback says whether only the pod itself reaches the runner.
func (h HTTP) Loopback() bool {
	address, err := netip.ParseAddr(h.Address)
	return err == nil && address.IsLoopback()
}

// hostName is a name without a port, * or *.NAME.
var hostName = regexp.MustCompile(`^(\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?)$`)

func (h HTTP) validate() (p Problems) {
	if _, err := netip.ParseAddr(h.Address); err != nil && h.Address != "" {
		p.add("SPOUT_HTTP_ADDRESS", h.Address, "must be an IP address, for example 127.0.0.1, or empty for all")
	}
	for _, host := range h.Hosts {
		if !hostName.MatchString(host) {
			p.add("SPOUT_HTTP_HOSTS", host, "must be a name without a port, for example orders.pachyderm.svc or *.pachyderm.svc")
		}
	}
	return p
}
