// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cluster

import (
	"context"
	"errors"
	"syscall"
	"testing"
)

var errLinuxOnly = errors.New("package cluster runs Pachyderm's programs in Linux namespaces, so it needs Linux")

// ErrRunning means that a cluster runs already.
var ErrRunning = errors.New("a cluster runs already")

// TestOptions are the options of the cluster that Start starts.
var TestOptions = Options{Images: map[string]string{}}

// The rest has the shape that it has on Linux, so that programs which use it can be built and checked anywhere.
type (
	Cluster   struct{}
	Container struct {
		Name     string
		PID      int
		Restarts int
		Waiting  string
	}
	Pod struct {
		Name, Project, Pipeline string
		IP                      string
		SidecarPort             int
		Containers              []Container
	}
)

const (
	UserContainer    = "user"
	StorageContainer = "storage"
	HostFiles        = "/"
)

func New(context.Context, Options) (*Cluster, error) { return nil, errLinuxOnly }

func Start(tb testing.TB) *Cluster {
	tb.Helper()
	tb.Fatal(errLinuxOnly)
	return nil
}

func Main(m *testing.M) int { return m.Run() }

func (c Container) Running() bool { return c.PID != 0 }

func (*Cluster) Stop() error         { return errLinuxOnly }
func (*Cluster) Dir() string         { return "" }
func (*Cluster) Version() string     { return "" }
func (*Cluster) Address() string     { return "" }
func (*Cluster) ConfigPath() string  { return "" }
func (*Cluster) PachctlPath() string { return "" }
func (*Cluster) Pachctl(context.Context, ...string) (string, error) {
	return "", errLinuxOnly
}
func (*Cluster) PachctlInput(context.Context, string, ...string) (string, error) {
	return "", errLinuxOnly
}
func (*Cluster) SetImage(string, string) error                        { return errLinuxOnly }
func (*Cluster) Kubernetes() any                                      { return nil }
func (*Cluster) RemoveImage(string)                                   {}
func (*Cluster) Pods(string, string) []Pod                            { return nil }
func (*Cluster) PodLog(string, string) ([]byte, error)                { return nil, errLinuxOnly }
func (*Cluster) UserLogPath(string, string) (string, error)           { return "", errLinuxOnly }
func (*Cluster) UserCodePIDs(string, string) ([]int, error)           { return nil, errLinuxOnly }
func (*Cluster) KillUserCode(string, string, syscall.Signal) error    { return errLinuxOnly }
func (*Cluster) KillContainer(_, _, _ string, _ syscall.Signal) error { return errLinuxOnly }
func (*Cluster) DeletePod(string, string) error                       { return errLinuxOnly }
func (*Cluster) StartPachd(context.Context) error                     { return errLinuxOnly }
func (*Cluster) StopPachd() error                                     { return errLinuxOnly }
func (*Cluster) RestartPachd(context.Context) error                   { return errLinuxOnly }
func (*Cluster) RestartPostgres(context.Context) error                { return errLinuxOnly }
func (*Cluster) RestartEtcd(context.Context) error                    { return errLinuxOnly }
func (*Cluster) StartSidecar(context.Context, string, string) (string, func(), error) {
	return "", nil, errLinuxOnly
}
func (*Cluster) AwaitUserCode(context.Context, string, string) (int, error) {
	return 0, errLinuxOnly
}
func (*Cluster) AwaitPod(context.Context, string, string, func(Pod) bool) (Pod, error) {
	return Pod{}, errLinuxOnly
}
