// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"net/netip"
	"regexp"
)

// HTTP says to whom the runner answers at HTTPPort.
type HTTP struct {
	Address string   `env:"SPOUT_HTTP_ADDRESS" doc:"IP address to listen on, for example 127.0.0.1 for kubectl port-forward and the other containers of the pod alone. Empty for all addresses of the pod, which Prometheus and the probes of Kubernetes need."`
	Hosts   []string `env:"SPOUT_HTTP_HOSTS" doc:"Names by which others call the runner, for example orders.pachyderm.svc, separated by commas. *.example.com stands for all names that end so, and * for any. Requests to IP addresses, to localhost and to the pod's own name are answered without it. All other names are refused, so that a page in somebody's browser cannot reach the runner by a name of its own (DNS rebinding)."`
	Token   string   `env:"SPOUT_HTTP_TOKEN" secret:"true" doc:"Token that requests must carry, as a bearer token or as the password of HTTP basic authentication. /healthz and /readyz are answered without it, the latter without its reasons."`
	TLSCert string   `env:"SPOUT_HTTP_TLS_CERT" secret:"true" doc:"Certificate in PEM. With it, the runner answers over HTTPS only."`
	TLSKey  string   `env:"SPOUT_HTTP_TLS_KEY" secret:"true" doc:"Key of that certificate in PEM."`
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

func (h HTTP) validateSecrets() (p Problems) {
	if (h.TLSCert == "") != (h.TLSKey == "") {
		p.add("SPOUT_HTTP_TLS_CERT, SPOUT_HTTP_TLS_KEY", "", "go together: set both or none", "SPOUT_HTTP_TLS_CERT", "SPOUT_HTTP_TLS_KEY")
	}
	return p
}
