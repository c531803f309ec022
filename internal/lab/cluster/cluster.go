// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/kubesim"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
)

// Cluster is a running Pachyderm. Its methods may be called at the same time, except that servers must be stopped and
// started one after the other.
type Cluster struct {
	opts        Options
	layout      layout
	temporary   bool // the folder is to be removed
	programs    Programs
	postgresBin string

	announcement *announcement

	postgres, etcd, pachd atomic.Pointer[process]
	kube                  *kubesim.Server
	lab                   *kubernetes.Lab // in place of kube, if not nil
	listen                []string        // addresses of PostgreSQL and etcd
	kubeLog               *os.File
	locks                 *workerLocks
	sidecarCount          atomic.Int32

	mu       sync.Mutex
	sidecars map[*process]bool

	stop    sync.Once
	stopErr error
}

// New builds Pachyderm if need be, starts it, and returns once pachd answers. ctx counts until then; Stop ends the
// cluster. It returns ErrRunning if there is one on this machine.
func New(ctx context.Context, opts Options) (*Cluster, error) {
	return start(ctx, opts, false, nil)
}

// start is New that, when another cluster runs, calls busy and waits, if that is given.
func start(ctx context.Context, opts Options, detached bool, busy func()) (*Cluster, error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if opts.BackOff == 0 {
		opts.BackOff = time.Second
	}
	c := &Cluster{opts: opts, sidecars: map[*process]bool{}, listen: []string{loopback}}
	var err error
	if c.programs, err = find(ctx, opts); err != nil {
		return nil, err
	}
	info := Info{PID: os.Getpid(), Dir: opts.Dir, Version: c.Version(), Detached: detached}
	if c.announcement, err = announce(ctx, announcementAddress, info, busy); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if kubernetes.Inside() {
		return c.startInKubernetes(ctx)
	}
	if err := checkPorts(); err != nil {
		return err
	}
	var err error
	if c.postgresBin, err = findPostgres(ctx, c.opts.Log); err != nil {
		return err
	}
	began := time.Now()
	if err := c.makeDir(); err != nil {
		return fmt.Errorf("folder of the cluster: %w", err)
	}
	if err := kubesim.CheckSandbox(c.layout.tmp()); err != nil {
		return err
	}
	if err := c.startKubernetes(); err != nil {
		return err
	}
	servers, serversCtx := errgroup.WithContext(ctx)
	servers.Go(func() error { return c.startPostgres(serversCtx) })
	servers.Go(func() error { return c.startEtcd(serversCtx) })
	if err := servers.Wait(); err != nil {
		return err
	}
	if err := c.StartPachd(ctx); err != nil {
		return err
	}
	if err := checkExposure(); err != nil {
		return err
	}
	say(c.opts.Log, "Pachyderm %s is ready at %s after %s; its files are in %s", c.Version(), c.Address(), time.Since(began).Round(100*time.Millisecond), c.layout)
	return nil
}

func (c *Cluster) makeDir() error {
	dir := c.opts.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "pachcluster-"); err != nil {
			return err
		}
		c.temporary = true
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := layout(dir).make(); err != nil {
		return err
	}
	c.layout = layout(dir) // from here on it is ours to clean up
	return c.writeConfig()
}

func (c *Cluster) startKubernetes() error {
	f, err := os.OpenFile(c.layout.log("kubernetes"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	c.kubeLog = f
	logger := log.New(f, "", log.LstdFlags|log.Lmicroseconds)
	c.locks = &workerLocks{log: logger.Printf, live: map[kubesim.Worker]int64{}}
	c.kube, err = kubesim.Start(kubesim.Config{
		Addr: addr(portKubernetes), Namespace: namespace, PachdPod: pachdPod, PostgresPassword: postgresPassword,
		Programs: c.programs.Dir, PodDir: c.layout.pods(), PortBase: portPods, Images: c.opts.Images, BackOff: c.opts.BackOff,
		Log: logger, WorkerStarts: c.locks.starts, WorkerEnded: c.locks.ended,
		Services: []kubesim.Service{
			{Name: "pachd", Ports: []kubesim.Port{{Name: "api-grpc-port", Number: portPachd}, {Name: "s3gateway-port", Number: portS3Gateway}}},
			{Name: "pachd-peer", Ports: []kubesim.Port{{Name: "api-grpc-peer-port", Number: portPeer}}},
			{Name: "etcd", Ports: []kubesim.Port{{Name: "client-port", Number: portEtcd}}},
			{Name: "pg-bouncer", Ports: []kubesim.Port{{Name: "pg-bouncer-port", Number: portPostgres}}},
		},
	})
	return err
}

// Stop ends everything that the cluster started, and returns once it is gone.
func (c *Cluster) Stop() error {
	c.stop.Do(func() {
		c.stopErr = errors.Join(c.stopAll(), c.announcement.withdraw())
	})
	return c.stopErr
}

func (c *Cluster) stopAll() error {
	var errs []error
	c.mu.Lock()
	for p := range c.sidecars {
		p.stop(syscall.SIGKILL)
	}
	c.mu.Unlock()
	c.pachd.Load().stop(syscall.SIGKILL) // it would take its time, and is made to be killed
	if c.kube != nil {
		errs = append(errs, c.kube.Stop())
	}
	if c.lab != nil {
		if c.opts.KeepLogs {
			errs = append(errs, c.lab.CopyLogs(c.layout.path("log", "kubernetes")))
		}
		errs = append(errs, c.lab.Stop())
	}
	var servers sync.WaitGroup
	servers.Go(c.stopEtcd)
	servers.Go(func() { c.postgres.Load().stop(syscall.SIGINT) })
	servers.Wait()
	if c.kubeLog != nil {
		errs = append(errs, c.kubeLog.Close())
	}
	errs = append(errs, c.cleanUp())
	return errors.Join(errs...)
}

// cleanUp removes what the next start has no use for: everything, if the folder is temporary.
func (c *Cluster) cleanUp() error {
	switch {
	case c.layout == "":
		return nil
	case c.temporary && !c.opts.KeepLogs:
		return os.RemoveAll(string(c.layout))
	case c.temporary:
		err := errors.Join(os.RemoveAll(c.layout.path("data")), os.RemoveAll(c.layout.tmp()))
		if kubernetes.Inside() {
			kept := filepath.Join(kubernetes.Outside(), filepath.Base(string(c.layout)))
			err = errors.Join(err, os.Rename(string(c.layout), kept))
			c.layout = layout(kept)
		}
		say(c.opts.Log, "the logs are kept in %s", c.layout)
		return err
	default:
		return os.RemoveAll(c.layout.tmp()) // pachd's caches
	}
}

// lost reports a server that has ended by itself.
func (c *Cluster) lost(err error) { say(c.opts.Log, "%v", err) }

// Version is the version of Pachyderm that runs, as 2.6.0.
func (c *Cluster) Version() string { return c.programs.Version }

// Dir is the folder that holds the cluster's data and logs.
func (c *Cluster) Dir() string { return string(c.layout) }
