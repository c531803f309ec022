// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/tlsconfig"
)

// pingInterval is how often a connection is tried while it is quiet; it is lost
// when two pings in a row have no answer.
const pingInterval = 10 * time.Second

// connectOptions are those of the NATS client.
func (s *Source) connectOptions() ([]client.Option, error) {
	c := s.config
	options := []client.Option{
		client.Name(c.ClientName),
		client.CustomInboxPrefix(c.InboxPrefix),
		client.MaxReconnects(-1),
		client.IgnoreAuthErrorAbort(), // new credentials may come
		client.CustomReconnectDelay(func(attempts int) time.Duration { return delayAfter(attempts) }),
		client.PingInterval(pingInterval),
		client.MaxPingsOutstanding(2),
		client.Timeout(s.times.request),
		client.NoCallbacksAfterClientClose(),
		client.SetCustomDialer(dialer{s}),
		client.DisconnectErrHandler(func(_ *client.Conn, err error) { s.lostConnection(err) }),
		client.ReconnectHandler(func(conn *client.Conn) {
			s.log.Info("connected again", "server", conn.ConnectedAddr())
			s.linked()
		}),
		client.ErrorHandler(func(_ *client.Conn, _ *client.Subscription, err error) { s.asynchronous(err) }),
	}
	if c.TLS.Enabled {
		t, err := tlsconfig.Client(c.TLS.TLS, "SPOUT_NATS_TLS")
		if err != nil {
			return nil, err
		}
		s.tls = t
		options = append(options, client.Secure(t), client.SkipHostLookup()) // names are those of certificates
		if c.HandshakeFirst {
			options = append(options, client.TLSHandshakeFirst())
		}
	}
	if c.OnlyThisMachine() {
		options = append(options, client.IgnoreDiscoveredServers()) // they may be elsewhere
	}
	switch {
	case c.Login.Username != "":
		options = append(options, client.UserInfo(c.Login.Username, c.Login.Password))
	case c.Token.Token != "":
		options = append(options, client.Token(c.Token.Token))
	case c.NKey.Seed != "":
		option, err := nkeyOption(c.NKey.Seed)
		if err != nil {
			return nil, err
		}
		options = append(options, option)
	case c.User.Creds != "":
		if pair, err := nkeys.ParseDecoratedNKey([]byte(c.User.Creds)); err == nil {
			pair.Wipe()
		} else {
			return nil, errors.New("SPOUT_NATS_USER_CREDENTIALS is not a credentials file: it must have a JWT and a seed, as nsc generate creds writes it")
		}
		options = append(options, s.userOption(func() ([]byte, error) { return []byte(c.User.Creds), nil }))
	case c.UserFile != "":
		options = append(options, s.userOption(func() ([]byte, error) { return readCredentials(c.UserFile) }))
	}
	return options, nil
}

// nkeyOption logs in with a seed. No error says anything of it.
func nkeyOption(seed string) (client.Option, error) {
	bad := errors.New("SPOUT_NATS_NKEY_SEED is not a seed of a user's NKey, which begins with SU")
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(seed)))
	if err != nil {
		return nil, bad
	}
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return nil, bad
	}
	return client.Nkey(public, pair.Sign), nil
}

// dialer opens connections that end with the source.
type dialer struct{ s *Source }

// Dial implements [client.CustomDialer].
func (d dialer) Dial(network, to string) (net.Conn, error) {
	if d.s.config.OnlyThisMachine() && !address.IsLoopback(to) {
		return nil, errCleartext
	}
	d.s.exposed.Store(!address.IsLoopback(to))
	ctx, cancel := context.WithTimeout(d.s.running, d.s.times.request)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	guarded, err := d.guarded(ctx, conn, to)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &ending{Conn: guarded, forget: context.AfterFunc(d.s.running, func() {
		// The client may be in the middle of a handshake; one that reads is
		// closed by the client.
		conn.SetDeadline(time.Now().Add(closing)) //nolint:errcheck // it is closed soon
	})}, nil
}

// closing is how long acknowledgements may take to be sent when a source ends.
const closing = time.Second

type ending struct {
	net.Conn
	forget func() bool
}

func (e *ending) Close() error {
	e.forget()
	return e.Conn.Close()
}

// connect makes the connection. It is tried once.
func (s *Source) connect() error {
	if s.conn != nil {
		return nil
	}
	urls := make([]string, len(s.config.Servers))
	for i, server := range s.config.Servers {
		urls[i] = "nats://" + server
	}
	conn, err := client.Connect(strings.Join(urls, ","), s.options...)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if s.config.Domain != "" {
		s.js, err = jetstream.NewWithDomain(conn, s.config.Domain, jetstream.WithDefaultTimeout(s.times.request))
	} else {
		s.js, err = jetstream.New(conn, jetstream.WithDefaultTimeout(s.times.request))
	}
	if err != nil {
		conn.Close()
		return err
	}
	s.conn = conn
	s.linked()
	if !conn.IsConnected() { // the handler may have been called before
		s.lostConnection(nil)
	}
	s.log.Info("connected", "server", conn.ConnectedAddr(), "version", conn.ConnectedServerVersion(), "tls", s.config.TLS.Enabled)
	return nil
}

// prefix begins the subjects of JetStream's interface.
func (s *Source) prefix() string {
	if s.config.Domain != "" {
		return "$JS." + s.config.Domain + ".API."
	}
	return "$JS.API."
}

// linked notes that there is a connection.
func (s *Source) linked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlink()
	s.link, s.unlink = context.WithCancel(context.Background())
}

// asking is the context of a request: a server that is gone does not answer.
func (s *Source) asking(ctx context.Context) (context.Context, func()) {
	s.mu.Lock()
	link := s.link
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.times.request)
	stop := context.AfterFunc(link, cancel)
	return ctx, func() { stop(); cancel() }
}

// lostConnection has the session begin again: messages may have been lost on
// the way, and requests for others are.
func (s *Source) lostConnection(err error) {
	if err == nil {
		err = errors.New("the connection was lost")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlink()
	s.counters.reconnects.Add(1)
	if s.session != nil {
		s.session.end(fmt.Errorf("the connection was lost: %w", err))
	}
}

// asynchronous takes what the server says of requests that have no answer.
func (s *Source) asynchronous(err error) {
	err = s.quoted(err)
	if errors.Is(err, client.ErrPermissionViolation) || isDenied(err) {
		s.counters.refuse(err)
		s.complain.trouble(s.running, err.Error(), err, "the server refuses what the runner needs")
		return
	}
	s.log.Debug("the server reports an error", "error", err)
}
