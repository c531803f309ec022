// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"net"
	"slices"
)

// Pachyderm's programs listen on all interfaces and cannot be told otherwise. Here nothing is authenticated, and whoever
// reaches pachd runs commands as the user who has started the cluster. So the programs are built with these lines of
// theirs changed, and with nothing else changed.
var onLoopback = []change{
	{"src/internal/grpcutil/server.go", `fmt.Sprintf("%s:%d", host, port)`, `fmt.Sprintf("127.0.0.1:%d", port)`},
	{"src/internal/pachd/prometheus.go", `fmt.Sprintf(":%v", ps.port)`, `fmt.Sprintf("127.0.0.1:%v", ps.port)`},
	{"src/internal/archiveserver/http.go", `fmt.Sprintf(":%d", port)`, `fmt.Sprintf("127.0.0.1:%d", port)`},
	{"src/server/auth/server/oidc.go", `fmt.Sprintf(":%v", a.env.Config.OidcPort)`, `fmt.Sprintf("127.0.0.1:%v", a.env.Config.OidcPort)`},
	{"src/server/identity/server/api_server.go", `Addr:    web.addr,`, `Addr:    "127.0.0.1" + web.addr,`},
	{"src/server/pfs/s3/s3.go", `fmt.Sprintf(":%d", port)`, `fmt.Sprintf("127.0.0.1:%d", port)`},
	{"src/server/worker/stats/stats.go", `fmt.Sprintf(":%v", PrometheusPort)`, `fmt.Sprintf("127.0.0.1:%v", PrometheusPort)`},
}

// errExposed says what it means that programs listen on all interfaces.
var errExposed = errors.New("whoever reaches this machine over the network could run commands on it as this user, without a password. " +
	"Run the cluster where there is no other interface, for example by unshare -rn sh -c 'ip link set lo up; COMMAND'")

// checkExposure returns an error if something of the cluster listens on more than the loopback address, and the machine
// has other addresses. Programs that were built elsewhere do so.
func checkExposure() error {
	addresses, err := net.InterfaceAddrs()
	if err == nil && !slices.ContainsFunc(addresses, reachable) {
		return nil
	}
	for _, socket := range listeningSockets() {
		if user := portUser(socket.port); user != "" && !socket.loopback {
			return fmt.Errorf("%s listens on all interfaces, at port %d: %w", user, socket.port, errExposed)
		}
	}
	return nil
}

func reachable(address net.Addr) bool {
	network, ok := address.(*net.IPNet)
	return !ok || !network.IP.IsLoopback()
}
