// SPDX-License-Identifier: Apache-2.0

//go:build linux

package natscluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// startTimeout is how long servers may take to serve. On a machine with nothing
// else to do it takes less than a second, and three seconds for a cluster.
const startTimeout = 2 * time.Minute

// Options say what to start.
type Options struct {
	Servers    int    // 1 or 3
	Program    string // "" for the system's nats-server
	SyncAlways bool   // what was acknowledged is on the disk; needs NATS 2.10
}

// Cluster is one server, or some that share their streams.
type Cluster struct {
	Servers []*Server
	program string
	dir     string
}

// Server is a server that runs, or has run. Its methods are not for concurrent use.
type Server struct {
	Address string // HOST:PORT
	name    string
	program string
	config  string
	log     string
	process *child.Server
}

// ErrMissing says that the machine has no NATS server.
var ErrMissing = errors.New("NATS is not installed: install the package nats-server")

// Program is the system's server.
func Program() (string, error) {
	for _, path := range []string{"nats-server", "/usr/sbin/nats-server", "/usr/local/sbin/nats-server"} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", ErrMissing
}

// Start starts servers and waits until they have a stream's worth of JetStream.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	c := &Cluster{program: o.Program}
	if c.program == "" {
		if c.program, err = Program(); err != nil {
			return nil, err
		}
	}
	if c.dir, err = os.MkdirTemp("", "natscluster-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	ports, err := freePorts(2 * o.Servers)
	if err != nil {
		return nil, err
	}
	var routes []string
	for i := range o.Servers {
		routes = append(routes, fmt.Sprintf("nats-route://127.0.0.1:%d", ports[o.Servers+i]))
	}
	for i := range o.Servers {
		s := &Server{Address: fmt.Sprintf("127.0.0.1:%d", ports[i]), name: fmt.Sprintf("n%d", i+1), program: c.program}
		s.config, s.log = filepath.Join(c.dir, s.name+".conf"), filepath.Join(c.dir, s.name+".log")
		lines := []string{"server_name: " + s.name, "listen: " + s.Address, `jetstream {`, `  store_dir: "` + filepath.Join(c.dir, s.name) + `"`, `  max_file_store: 4GB`}
		if o.SyncAlways {
			lines = append(lines, "  sync_interval: always")
		}
		lines = append(lines, "}")
		if o.Servers > 1 {
			lines = append(lines, "cluster {", "  name: lab", fmt.Sprintf("  listen: 127.0.0.1:%d", ports[o.Servers+i]), "  routes: ["+strings.Join(routes, ", ")+"]", "}")
		}
		if err := os.WriteFile(s.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			return nil, err
		}
		c.Servers = append(c.Servers, s)
	}
	for _, s := range c.Servers {
		if err := s.launch(); err != nil {
			return nil, err
		}
	}
	for _, s := range c.Servers {
		if err := s.Await(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Addresses are those of all servers.
func (c *Cluster) Addresses() (list []string) {
	for _, s := range c.Servers {
		list = append(list, s.Address)
	}
	return list
}

// Connect connects to whichever of the servers is there.
func (c *Cluster) Connect(options ...client.Option) (*client.Conn, error) {
	return client.Connect("nats://"+strings.Join(c.Addresses(), ",nats://"),
		append([]client.Option{client.MaxReconnects(-1), client.ReconnectWait(50 * time.Millisecond), client.Timeout(5 * time.Second)}, options...)...)
}

// Leader is the server that leads a stream, nil if none does now.
func (c *Cluster) Leader(ctx context.Context, js jetstream.JetStream, stream string) *Server {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil || s.CachedInfo().Cluster == nil {
		return nil
	}
	for _, server := range c.Servers {
		if server.name == s.CachedInfo().Cluster.Leader {
			return server
		}
	}
	return nil
}

// Stop ends all servers and deletes what they hold.
func (c *Cluster) Stop() {
	for _, s := range c.Servers {
		s.Kill()
	}
	_ = os.RemoveAll(c.dir) // a folder of its own
}

// launch starts the process.
func (s *Server) launch() (err error) {
	s.process, err = child.StartServer(exec.Command(s.program, "-c", s.config), s.log)
	return err
}

// Start starts a server that has ended, and waits until it serves.
func (s *Server) Start(ctx context.Context) error {
	if err := s.launch(); err != nil {
		return err
	}
	return s.Await(ctx)
}

// Await waits until the server answers for JetStream.
func (s *Server) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := s.try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Ended():
			return fmt.Errorf("the NATS server %s has ended: %w\n%s", s.name, s.process.Err(), s.LogTail())
		case <-ctx.Done():
			return fmt.Errorf("the NATS server %s does not serve: %w\n%s", s.name, err, s.LogTail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) try(ctx context.Context) error {
	conn, err := client.Connect("nats://"+s.Address, client.NoReconnect(), client.Timeout(2*time.Second))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err = js.AccountInfo(ctx)
	return err
}

// Signal sends the server a signal.
func (s *Server) Signal(signal syscall.Signal) error { return syscall.Kill(s.process.PID(), signal) }

// Kill ends the server by SIGKILL.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Shutdown ends the server in good order.
func (s *Server) Shutdown() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	if s.process != nil {
		s.process.End(signal, 30*time.Second)
	}
}

// LogTail is the end of the server's log.
func (s *Server) LogTail() string { return s.process.LogTail(30) }

// freePorts are ports that nobody listens at now.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // it gives the port back
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
