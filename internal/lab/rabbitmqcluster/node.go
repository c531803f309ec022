// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rabbitmqcluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// User and password that may do all in every virtual host.
const (
	User     = "spout"
	Password = "lab-secret"
)

// What a node listens for.
const (
	portAMQP = iota
	portAMQPTLS
	portStream
	portStreamTLS
	portEPMD
	portCluster
	ports
)

// startTimeout is how long a node may take to serve. On a machine with nothing
// else to do it takes 6 seconds.
const startTimeout = 3 * time.Minute

// Options say what to start.
type Options struct {
	// ConsumerTimeout is the node's consumer_timeout; 0 for its default. The node
	// looks at it once a second then.
	ConsumerTimeout time.Duration
	// Authority, Certificate and Key are those of TLS, in PEM; all empty for none.
	Authority, Certificate, Key string
	// Host is the loopback address to listen at; "" for a random one.
	Host string
}

// Node is a node that runs, or has run. Its methods are not for concurrent use.
type Node struct {
	Host    string
	options Options
	ports   [ports]string
	dir     string
	epmd    *child.Server
	server  *child.Server
}

// ErrMissing says that the machine has no RabbitMQ.
var ErrMissing = errors.New("RabbitMQ is not installed: install the package rabbitmq-server")

// tool is the path of one of RabbitMQ's own programs, which run as this user.
func tool(name string) (string, error) {
	for _, pattern := range []string{"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/", "/opt/rabbitmq/sbin/"} {
		found, err := filepath.Glob(pattern + name)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", ErrMissing
}

// Loopback returns a random address of the network 127.0.0.0/8, whose ports
// nobody else is likely to have.
func Loopback() (string, error) {
	b := make([]byte, 3)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return net.IPv4(127, b[0]|1, b[1], b[2]%254+1).String(), nil
}

// Start starts a node and waits until it serves.
func Start(ctx context.Context, o Options) (_ *Node, err error) {
	if _, err := tool("rabbitmq-server"); err != nil {
		return nil, err
	}
	n := &Node{options: o, Host: o.Host}
	if n.Host == "" {
		if n.Host, err = Loopback(); err != nil {
			return nil, err
		}
	}
	if err := n.choosePorts(); err != nil {
		return nil, err
	}
	if n.dir, err = os.MkdirTemp("", "rabbitmqcluster-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.Stop()
		}
	}()
	if err := n.configure(); err != nil {
		return nil, err
	}
	// Erlang would start one that stays.
	epmd, err := exec.LookPath("epmd")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	cmd := exec.Command(epmd, "-port", n.ports[portEPMD], "-address", n.Host)
	cmd.Env = n.environment()
	if n.epmd, err = child.StartServer(cmd, n.path("epmd.log")); err != nil {
		return nil, err
	}
	if err := n.awaitEPMD(ctx); err != nil {
		return nil, err
	}
	return n, n.Restart(ctx)
}

// choosePorts takes ports that are free: a service of the system may have its
// own at all addresses.
func (n *Node) choosePorts() error {
	for i := range n.ports {
		listener, err := net.Listen("tcp", net.JoinHostPort(n.Host, "0"))
		if err != nil {
			return fmt.Errorf("choose a port: %w", err)
		}
		defer listener.Close() //nolint:errcheck // nothing was sent; until all are chosen
		_, n.ports[i], err = net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitEPMD waits for the daemon that nodes register with: one that does not
// find it starts another one, or ends.
func (n *Node) awaitEPMD(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", net.JoinHostPort(n.Host, n.ports[portEPMD]))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-n.epmd.Ended():
			return fmt.Errorf("epmd has ended: %w\n%s", n.epmd.Err(), n.epmd.LogTail(10))
		case <-ctx.Done():
			return fmt.Errorf("epmd does not serve: %w", errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (n *Node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *Node) configure() error {
	lines := []string{
		"listeners.tcp.1 = " + n.Host + ":" + n.ports[portAMQP],
		"stream.listeners.tcp.1 = " + n.Host + ":" + n.ports[portStream],
		"stream.advertised_host = " + n.Host,
		"stream.advertised_port = " + n.ports[portStream],
		"default_user = " + User,
		"default_pass = " + Password,
		"loopback_users = none",
		"log.console.level = warning",
		"vm_memory_high_watermark.absolute = 1GiB",
		"disk_free_limit.absolute = 50MB",
	}
	advanced := "[]."
	if t := n.options.ConsumerTimeout; t > 0 {
		lines = append(lines, fmt.Sprintf("consumer_timeout = %d", t.Milliseconds()))
		advanced = "[{rabbit, [{channel_tick_interval, 1000}]}]."
	}
	files := map[string]string{"enabled_plugins": "[rabbitmq_stream,rabbitmq_auth_mechanism_ssl].", "advanced.config": advanced}
	if n.options.Certificate != "" {
		files["authority.pem"], files["node.pem"], files["node.key"] = n.options.Authority, n.options.Certificate, n.options.Key
		lines = append(lines,
			"listeners.ssl.1 = "+n.Host+":"+n.ports[portAMQPTLS],
			"stream.listeners.ssl.1 = "+n.Host+":"+n.ports[portStreamTLS],
			"stream.advertised_tls_port = "+n.ports[portStreamTLS],
			"ssl_options.cacertfile = "+n.path("authority.pem"),
			"ssl_options.certfile = "+n.path("node.pem"),
			"ssl_options.keyfile = "+n.path("node.key"),
			"ssl_options.verify = verify_peer",
			"ssl_options.fail_if_no_peer_cert = false",
			"ssl_cert_login_from = common_name",
			"auth_mechanisms.1 = PLAIN",
			"auth_mechanisms.2 = EXTERNAL")
	}
	files["rabbitmq.conf"] = strings.Join(lines, "\n") + "\n"
	for name, text := range files {
		if err := os.WriteFile(n.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// environment is that of the node and of its tools.
func (n *Node) environment() []string {
	return append(os.Environ(),
		"HOME="+n.dir,
		"RABBITMQ_NODENAME=rabbit@"+n.Host,
		"RABBITMQ_USE_LONGNAME=true",
		"RABBITMQ_MNESIA_BASE="+n.path("data"),
		"RABBITMQ_LOG_BASE="+n.path("log"),
		"RABBITMQ_LOGS=-",
		"RABBITMQ_DIST_PORT="+n.ports[portCluster],
		"RABBITMQ_ENABLED_PLUGINS_FILE="+n.path("enabled_plugins"),
		"RABBITMQ_CONFIG_FILE="+n.path("rabbitmq"),
		"RABBITMQ_ADVANCED_CONFIG_FILE="+n.path("advanced.config"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"ERL_EPMD_PORT="+n.ports[portEPMD],
		"ERL_EPMD_ADDRESS="+n.Host,
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes the node
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {"+strings.ReplaceAll(n.Host, ".", ",")+"}",
	)
}

// Restart starts a node that was ended, and waits until it serves.
func (n *Node) Restart(ctx context.Context) error {
	program, err := tool("rabbitmq-server")
	if err != nil {
		return err
	}
	cmd := exec.Command(program)
	cmd.Env, cmd.Dir = n.environment(), n.dir // where a crash leaves its dump
	if n.server, err = child.StartServer(cmd, n.path("log.txt")); err != nil {
		return fmt.Errorf("start RabbitMQ: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		c, err := n.Dial()
		if err == nil {
			return c.Close()
		}
		select {
		case <-n.server.Ended():
			return fmt.Errorf("RabbitMQ has ended: %w\n%s", n.server.Err(), n.LogTail())
		case <-ctx.Done():
			return fmt.Errorf("RabbitMQ does not serve: %w\n%s", errors.Join(ctx.Err(), err), n.LogTail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// RestartWith starts a node that was ended, and waits until it serves streams.
// A node that was killed may find that a stream runs already, and leave it
// alone (RabbitMQ 3.10, "already_started" in its log): it is restarted then, as
// an operator would.
func (n *Node) RestartWith(ctx context.Context, streams ...string) error {
	const patience = 15 * time.Second
	for try := 0; ; try++ {
		if err := n.Restart(ctx); err != nil {
			return err
		}
		err := n.awaitStreams(ctx, patience, streams)
		if err == nil && len(streams) > 0 {
			time.Sleep(2 * time.Second) // a node that has just started may start them once more
			err = n.awaitStreams(ctx, patience, streams)
		}
		if err == nil || ctx.Err() != nil || try == 5 {
			return err
		}
		n.Shutdown()
	}
}

func (n *Node) awaitStreams(ctx context.Context, patience time.Duration, streams []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, stream := range streams {
		p, err := n.AwaitPublisher(ctx, stream)
		if err != nil {
			return fmt.Errorf("stream %s is not there: %w", stream, err)
		}
		p.Close()
	}
	return nil
}

// Dial connects as the user that may do all.
func (n *Node) Dial() (*amqp.Connection, error) {
	return amqp.DialConfig("amqp://"+User+":"+Password+"@"+n.AMQP()+"/", amqp.Config{Heartbeat: 10 * time.Second, Dial: amqp.DefaultDial(20 * time.Second)})
}

// AMQP is HOST:PORT of AMQP 0.9.1.
func (n *Node) AMQP() string { return net.JoinHostPort(n.Host, n.ports[portAMQP]) }

// AMQPTLS is AMQP with TLS.
func (n *Node) AMQPTLS() string { return net.JoinHostPort(n.Host, n.ports[portAMQPTLS]) }

// Stream is HOST:PORT of the stream protocol.
func (n *Node) Stream() string { return net.JoinHostPort(n.Host, n.ports[portStream]) }

// StreamTLS is the stream protocol with TLS.
func (n *Node) StreamTLS() string { return net.JoinHostPort(n.Host, n.ports[portStreamTLS]) }

// Signal sends a signal to the node, as SIGSTOP, and does not wait.
func (n *Node) Signal(signal syscall.Signal) error { return syscall.Kill(n.server.PID(), signal) }

// Kill ends the node as kill -9 or a power cut does.
func (n *Node) Kill() { n.end(syscall.SIGKILL) }

// Shutdown ends the node in good order.
func (n *Node) Shutdown() { n.end(syscall.SIGTERM) }

// end returns once the process is gone.
func (n *Node) end(signal syscall.Signal) {
	const grace = 30 * time.Second
	if n.server != nil {
		n.server.End(signal, grace)
	}
}

// Stop ends the node and deletes what it has stored.
func (n *Node) Stop() {
	n.Kill()
	if n.epmd != nil {
		n.epmd.End(syscall.SIGKILL, time.Second)
	}
	_ = os.RemoveAll(n.dir) // what is left is in the folder for temporary files
}

// Control runs rabbitmqctl and returns what it prints.
func (n *Node) Control(ctx context.Context, args ...string) (string, error) {
	program, err := tool("rabbitmqctl")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"--quiet"}, args...)...)
	cmd.Env = n.environment()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("rabbitmqctl %s: %w\n%s", strings.Join(args, " "), err, &out)
	}
	return out.String(), nil
}

// LogTail returns the last lines of the node's log.
func (n *Node) LogTail() string {
	const lines = 30
	return n.server.LogTail(lines)
}
