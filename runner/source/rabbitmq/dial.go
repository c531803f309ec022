// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq/wire"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/tlsconfig"
)

// connectTimeout is how long a node may take until it has logged the runner in.
const connectTimeout = 20 * time.Second

// dialer opens connections to nodes.
type dialer struct {
	config settings.RabbitMQ
	tls    *tls.Config // nil for none
}

func newDialer(config settings.RabbitMQ) (*dialer, error) {
	d := &dialer{config: config}
	if !config.TLS.Enabled {
		return d, nil
	}
	var err error
	d.tls, err = tlsconfig.Client(config.TLS.TLS, "SPOUT_RABBITMQ_TLS")
	return d, err
}

// dial opens a connection, with TLS if there is to be some.
func (d *dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	if !d.config.MayLogin(address) {
		return nil, fmt.Errorf("%s would get the password without TLS; use TLS, or set SPOUT_RABBITMQ_ALLOW_CLEARTEXT_CREDENTIALS where the network is trusted", address)
	}
	conn, err := (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil || d.tls == nil {
		return conn, err
	}
	config := d.tls.Clone()
	if config.ServerName == "" {
		config.ServerName, _, err = net.SplitHostPort(address)
	}
	secure := tls.Client(conn, config)
	if err == nil {
		err = secure.HandshakeContext(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return secure, nil
}

// openStream logs in at a node by the stream protocol.
func (d *dialer) openStream(ctx context.Context, address string, largest int64) (*wire.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := d.dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", address, err)
	}
	login := wire.Login{Mechanism: "PLAIN", VHost: d.config.VHost, Name: connectionName}
	if d.config.Mechanism == "external" {
		login.Mechanism = "EXTERNAL"
	} else {
		login.Response = []byte("\x00" + d.config.Username + "\x00" + d.config.Password)
	}
	c, err := wire.Open(ctx, conn, login, int(largest))
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", address, err)
	}
	return c, nil
}

// connectionName is what nodes show in their lists of connections.
const connectionName = "spout-runner"
