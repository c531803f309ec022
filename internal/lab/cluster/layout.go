// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const loopback = "127.0.0.1"

// Ports of the cluster. pachd's are Pachyderm's defaults; that of its identity server cannot be changed.
const (
	portPachd      = 1650
	portPeer       = 1653
	portS3Gateway  = 1600
	portPrometheus = 1656
	portOIDC       = 1657
	portIdentity   = 1658
	portDownload   = 1659
	portPostgres   = 15432
	portEtcd       = 12379
	portEtcdPeer   = 12380
	portKubernetes = 18080
	portPods       = 21000 // ten for each pod from here on
	portSidecars   = 31000 // likewise for those of StartSidecar
)

// fixedPorts says who wants which ports.
var fixedPorts = map[string][]int{
	"pachd":                   {portPachd, portPeer, portS3Gateway, portPrometheus, portOIDC, portIdentity, portDownload},
	"PostgreSQL":              {portPostgres},
	"etcd":                    {portEtcd, portEtcdPeer},
	"the Kubernetes stand-in": {portKubernetes},
}

func addr(port int) string { return fmt.Sprintf("%s:%d", loopback, port) }

// layout names the files below a cluster's folder.
type layout string

func (l layout) path(elements ...string) string {
	return filepath.Join(append([]string{string(l)}, elements...)...)
}

func (l layout) data(name string) string { return l.path("data", name) }
func (l layout) log(name string) string  { return l.path("log", name+".log") }
func (l layout) pods() string            { return l.path("pods") }
func (l layout) tmp() string             { return l.path("tmp") }
func (l layout) config() string          { return l.path("pachctl.json") }
func (l layout) images() string          { return l.path("images.json") }

// marker is a file that says of a folder that it is a cluster's, so that what is in it may be deleted.
const marker = "this-is-a-cluster-of-pachcluster"

func (l layout) make() error {
	if err := Claim(string(l)); err != nil {
		return err
	}
	for _, dir := range []string{l.path("data"), l.path("log"), l.pods(), l.tmp()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Claim makes a folder a cluster's, which only its owner may enter: one that is new, empty, or a cluster's already.
func Claim(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := checkOwner(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 && !isClaimed(dir) {
		return fmt.Errorf("%s holds other files than a cluster's: name a folder that is new or empty (PACHCLUSTER_HOME)", dir)
	}
	return errors.Join(os.Chmod(dir, 0o700), os.WriteFile(filepath.Join(dir, marker), nil, 0o600))
}

// checkOwner returns an error if a folder is another user's, who could put other files in the place of the cluster's, and
// another folder in its own place while it is deleted.
func checkOwner(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; uint64(owner) != uint64(os.Geteuid()) {
		return fmt.Errorf("%s belongs to user %d and not to you: name a folder of your own (PACHCLUSTER_HOME)", dir, owner)
	}
	if info.Mode()&os.ModeSymlink == 0 {
		return nil
	}
	target, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return checkOwner(target)
}

func isClaimed(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, marker))
	return err == nil && info.Mode().IsRegular()
}

// Reset deletes the data and logs in a cluster's folder. No cluster may run in it.
func Reset(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := checkOwner(dir); err != nil {
		return err
	}
	if !isClaimed(dir) {
		return fmt.Errorf("%s is no cluster's folder: nothing is deleted, since the file %s is not in it", dir, marker)
	}
	l := layout(dir)
	for _, path := range []string{l.path("data"), l.path("log"), l.pods(), l.tmp(), l.config(), l.images()} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("deleting the cluster's data: %w", err)
		}
	}
	return nil
}

// cacheDir is where everything that outlives a cluster is kept.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder for the programs of Pachyderm: %w", err)
	}
	dir = filepath.Join(dir, "terraform-provider-pachyderm")
	return dir, os.MkdirAll(dir, 0o755)
}

// DefaultDir is the folder of the cluster that command pachcluster runs: $PACHCLUSTER_HOME, or one in the user's cache.
func DefaultDir() (string, error) {
	if dir := os.Getenv("PACHCLUSTER_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := cacheDir()
	return filepath.Join(cache, "cluster"), err
}
