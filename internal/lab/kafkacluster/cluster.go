// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
)

// Options say what to start.
type Options struct {
	Brokers  int               // 1 if it is 0
	Users    map[string]string // passwords by name; good for every mechanism of SASL
	Config   map[string]string // properties of the brokers, beside the defaults of this package
	Progress io.Writer         // gets lines about what is fetched; nil for none
}

// Cluster is a running cluster.
type Cluster struct {
	ID        string // as Kafka's own tools show it
	Authority *authority.Authority
	Tokens    *TokenServer

	options      Options
	users        map[string]string
	host         string
	dir          string
	installation installation
	brokers      []*Broker
	client       *kgo.Client
	admin        *kadm.Client
}

// Start starts a cluster and waits until it serves.
func Start(ctx context.Context, options Options) (_ *Cluster, err error) {
	options.Brokers = max(options.Brokers, 1)
	if options.Progress == nil {
		options.Progress = io.Discard
	}
	c := &Cluster{options: options, users: options.Users}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	if c.installation, err = findInstallation(ctx, options.Progress); err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	for _, b := range c.brokers {
		if err := b.launch(); err != nil {
			return nil, err
		}
	}
	for _, b := range c.brokers {
		if err := b.awaitServing(ctx); err != nil {
			return nil, err
		}
	}
	// A broker that is still coming up may close a connection before it answers.
	if c.client, err = kgo.NewClient(kgo.SeedBrokers(c.Addresses(Plaintext)...), kgo.MetadataMinAge(50*time.Millisecond), kgo.AlwaysRetryEOF()); err != nil {
		return nil, err
	}
	c.admin = kadm.NewClient(c.client)
	if err := c.AwaitBrokers(ctx, len(c.brokers)); err != nil {
		return nil, err
	}
	if err := c.addUsers(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, c.logTails())
	}
	return c, nil
}

// logTails returns the last warnings of all brokers.
func (c *Cluster) logTails() string {
	var tails []string
	for _, b := range c.brokers {
		tails = append(tails, b.LogTail())
	}
	return strings.Join(tails, "\n")
}

// prepare makes all that the brokers find when they start.
func (c *Cluster) prepare() (err error) {
	if c.dir, err = os.MkdirTemp("", "kafkacluster-"); err != nil {
		return err
	}
	if c.ID, err = newUUID(); err != nil {
		return err
	}
	if c.host, err = loopback(); err != nil {
		return err
	}
	if c.Authority, err = authority.New("kafkacluster"); err != nil {
		return err
	}
	own, err := c.Authority.Issue("broker", c.host)
	if err != nil {
		return err
	}
	if c.Tokens, err = startTokenServer(c.host, c.users); err != nil {
		return err
	}
	for name, text := range map[string]string{"broker.pem": own.Key + own.Chain, "authority.pem": c.Authority.PEM, "log4j2.xml": logging} {
		if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	for i := range c.options.Brokers {
		b := &Broker{ID: int32(i + 1), cluster: c}
		if b.ports, err = freePorts(c.host); err != nil {
			return err
		}
		c.brokers = append(c.brokers, b)
		if err := b.format(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }

// java returns a command that runs a class of Kafka.
func (c *Cluster) java(args ...string) *exec.Cmd {
	args = append([]string{"-cp", filepath.Join(c.installation.jars, "*"), "-Dlog4j2.configurationFile=" + c.path("log4j2.xml")}, args...)
	return exec.Command(c.installation.java, args...)
}

// Brokers returns the brokers in the order of their ids, those that were ended
// included.
func (c *Cluster) Brokers() []*Broker { return c.brokers }

// Broker returns the broker with an id.
func (c *Cluster) Broker(id int32) *Broker { return c.brokers[id-1] }

// Addresses lists HOST:PORT of a listener of every broker.
func (c *Cluster) Addresses(l Listener) (out []string) {
	for _, b := range c.brokers {
		out = append(out, b.Address(l))
	}
	return out
}

// Admin is a client with all rights.
func (c *Cluster) Admin() *kadm.Client { return c.admin }

// AwaitBrokers waits until so many brokers take part.
func (c *Cluster) AwaitBrokers(ctx context.Context, count int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return poll(ctx, func() error {
		list, err := c.admin.ListBrokers(ctx)
		if err == nil && len(list) != count {
			err = fmt.Errorf("%d of %d brokers take part", len(list), count)
		}
		return err
	})
}

// poll calls check until it succeeds or ctx ends.
func poll(ctx context.Context, check func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// addUsers makes the users known to SCRAM; the other mechanisms have them in
// the brokers' files.
func (c *Cluster) addUsers(ctx context.Context) error {
	if len(c.users) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} { // Kafka takes a user once per request
		var upserts []kadm.UpsertSCRAM
		for name, password := range c.users {
			upserts = append(upserts, kadm.UpsertSCRAM{User: name, Password: password, Mechanism: mechanism, Iterations: 4096})
		}
		err := poll(ctx, func() error { // an upsert may be sent again
			altered, err := c.admin.AlterUserSCRAMs(ctx, nil, upserts)
			if err == nil {
				err = altered.Error()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("add users: %w", err)
		}
	}
	return c.awaitUsers(ctx)
}

// awaitUsers waits until a broker knows both passwords of all users: brokers
// learn of them after the answer to the requests that made them.
func (c *Cluster) awaitUsers(ctx context.Context) error {
	names := slices.Collect(maps.Keys(c.users))
	return poll(ctx, func() error {
		described, err := c.admin.DescribeUserSCRAMs(ctx, names...)
		for _, user := range described {
			if err == nil && (user.Err != nil || len(user.CredInfos) < 2) {
				err = errors.Join(fmt.Errorf("the broker knows %d of 2 passwords of user %s", len(user.CredInfos), user.User), user.Err)
			}
		}
		return err
	})
}

// Stop ends the brokers and deletes what they stored.
func (c *Cluster) Stop() {
	if c.client != nil {
		c.client.Close()
	}
	for _, b := range c.brokers {
		b.Kill()
	}
	if c.Tokens != nil {
		c.Tokens.close()
	}
	_ = os.RemoveAll(c.dir) // what is left is in the folder for temporary files
}

// newUUID returns a random UUID as Kafka writes it.
func newUUID() (string, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(id), nil
}

// loopback returns a random address of the network 127.0.0.0/8, whose ports
// nobody else is likely to take while a broker is down.
func loopback() (string, error) {
	b := make([]byte, 3)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return net.IPv4(127, b[0]|1, b[1], b[2]%254+1).String(), nil
}

// freePorts chooses a port for each listener.
func freePorts(host string) (map[Listener]int, error) {
	ports := map[Listener]int{}
	for l := range protocols {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, fmt.Errorf("choose a port: %w", err)
		}
		defer listener.Close() //nolint:errcheck // nothing was sent; until all are chosen
		ports[l] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
