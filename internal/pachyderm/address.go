// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// DefaultPort is the port of addresses that name none, for every scheme, as
// in Pachyderm's own clients (src/internal/grpcutil/addr.go).
const DefaultPort = 30650

// Address says where a pachd listens.
type Address struct {
	Host   string // host name or IP address
	Port   int
	Secure bool // TLS
}

// ParseAddress parses an address as pachctl does: [SCHEME://]HOST[:PORT] with
// the schemes grpc, http (plain), grpcs and https (TLS). The default scheme is
// grpc and the default port 30650, also for TLS.
func ParseAddress(s string) (Address, error) {
	s = strings.TrimSpace(s)
	text, shown := s, address.Redacted(s)
	if !strings.Contains(text, "://") {
		text = "grpc://" + text
	}
	if address.HasLogin(s) {
		return Address{}, fmt.Errorf("address %q must not hold a user or password; use auth_token", shown)
	}
	u, err := url.Parse(text)
	if err != nil {
		return Address{}, fmt.Errorf("address %q must be written as grpcs://HOST:PORT", shown)
	}
	a := Address{Host: u.Hostname(), Port: DefaultPort}
	switch u.Scheme {
	case "grpc", "http":
	case "grpcs", "https":
		a.Secure = true
	default:
		return Address{}, fmt.Errorf("address %q has the scheme %q; write grpc://, grpcs://, http:// or https://", shown, u.Scheme)
	}
	switch {
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return Address{}, fmt.Errorf("address %q must end after the port, without a path or slash", shown)
	case a.Host == "":
		return Address{}, fmt.Errorf("address %q names no host", shown)
	}
	if port := u.Port(); port != "" {
		if a.Port, err = strconv.Atoi(port); err != nil || a.Port < 1 || a.Port > 65535 {
			return Address{}, fmt.Errorf("address %q has the port %s; it must be from 1 to 65535", shown, port)
		}
	}
	return a, nil
}

// Exposed says whether others can read what is sent there: it leads out of this
// machine without TLS.
func (a Address) Exposed() bool { return !a.Secure && !address.IsLoopback(a.Host) }

// HostPort returns HOST:PORT.
func (a Address) HostPort() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

func (a Address) String() string {
	if a.Secure {
		return "grpcs://" + a.HostPort()
	}
	return "grpc://" + a.HostPort()
}
