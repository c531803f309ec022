// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/kubesim"
)

// Info is what other processes can know of the cluster that runs on this machine.
type Info struct {
	PID      int    // of the process that runs it
	Dir      string // its folder, if one was chosen
	Version  string // of Pachyderm
	Detached bool   // it was started by Serve and lasts until Down
}

// Running returns the cluster that runs on this machine, or nil.
func Running() (*Info, error) {
	return announced(context.Background(), announcementAddress, trusted)
}

// Serve runs a cluster until Down is called, or the process is told to end in another way. ready is called once pachd
// answers.
func Serve(opts Options, ready func(*Cluster)) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	c, err := start(ctx, opts, true, nil)
	if err != nil {
		return err
	}
	ready(c)
	<-ctx.Done()
	return c.stopAll() // and not Stop: Down waits for the announcement's end, which is to be that of this process
}

// Down ends a cluster that Serve runs in another process, and returns once it is gone.
func Down(ctx context.Context) error {
	info, err := Running()
	if err != nil || info == nil {
		return err
	}
	if !info.Detached {
		return fmt.Errorf("the cluster that runs belongs to a test (pid %d) and ends with it", info.PID)
	}
	if info.PID <= 0 {
		return fmt.Errorf("the cluster that runs says that its process is %d", info.PID)
	}
	if err := syscall.Kill(info.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("process %d, which runs the cluster: %w", info.PID, err)
	}
	if err := awaitWithdrawal(ctx, announcementAddress); err != nil {
		return fmt.Errorf("the cluster doesn't end: %w", err)
	}
	return nil
}

// WriteStatus prints the pods of the cluster that runs on this machine.
func WriteStatus(ctx context.Context, w io.Writer) error {
	return kubesim.WritePods(ctx, w, "http://"+addr(portKubernetes), namespace)
}

// ConfigPathIn is ConfigPath of a cluster in folder dir.
func ConfigPathIn(dir string) string { return layout(dir).config() }

// LogPathIn is the log of a server (pachd, postgres, etcd, kubernetes) or of a pod's container below folder dir.
func LogPathIn(dir, name, container string) (string, error) {
	l := layout(dir)
	for _, path := range []string{l.log(filepath.Base(name)), filepath.Join(l.pods(), filepath.Base(name), filepath.Base(container)+".log")} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no log of %s (container %s) in %s", name, container, dir)
}
