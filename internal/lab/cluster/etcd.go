// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/kubesim"
)

func (c *Cluster) startEtcd(ctx context.Context) error {
	if err := c.runEtcd(ctx); err != nil {
		return err
	}
	// Whoever held locks when the cluster last ended is gone.
	return revokeLocks(ctx, "", func(etcdKey) bool { return true })
}

// RestartEtcd kills Pachyderm's etcd and starts it again. Who holds locks holds them on.
func (c *Cluster) RestartEtcd(ctx context.Context) error {
	c.etcd.Load().stop(syscall.SIGKILL)
	if err := c.runEtcd(ctx); err != nil {
		return fmt.Errorf("restarting etcd: %w", err)
	}
	return nil
}

// etcdHost is what etcd must be called by whoever speaks HTTP with it. It is no name that anything else can have: pages of
// others, open in a browser of this machine, could otherwise read and write all of etcd, which allows that by default.
const etcdHost = "etcd.pachcluster.invalid"

func (c *Cluster) runEtcd(ctx context.Context) error {
	client, peer := "http://"+addr(portEtcd), "http://"+addr(portEtcdPeer)
	cmd := exec.Command(filepath.Join(c.programs.Dir, "etcd"), "--name", "cluster", "--data-dir", c.layout.data("etcd"),
		"--listen-client-urls", "http://"+strings.Join(c.listen, fmt.Sprintf(":%d,http://", portEtcd))+fmt.Sprintf(":%d", portEtcd), "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "cluster="+peer,
		"--host-whitelist="+etcdHost, "--cors=http://"+etcdHost+":80",
		"--max-txn-ops=10000", "--max-request-bytes=33554432", "--log-level=warn")
	cmd.Dir, cmd.Env = "/", []string{}
	p, err := startProcess("etcd", c.layout.log("etcd"), cmd, c.lost)
	if err != nil {
		return err
	}
	c.etcd.Store(p)
	return p.awaitReady(ctx, func(ctx context.Context) error { return etcdCall(ctx, "maintenance/status", nil, nil) })
}

// etcdKey is a key that lasts as long as its lease.
type etcdKey struct {
	Name    string
	Created int64 // revision
	Lease   string
}

// leasedKeys lists the keys below prefix that have a lease.
func leasedKeys(ctx context.Context, prefix string) ([]etcdKey, error) {
	request := map[string]any{"key": []byte(prefix), "range_end": prefixEnd(prefix), "keys_only": true}
	if prefix == "" { // every key
		request["key"], request["range_end"] = []byte{0}, []byte{0}
	}
	var response struct {
		Kvs []struct {
			Key            []byte
			CreateRevision int64  `json:"create_revision,string"`
			Lease          string `json:"lease"`
		}
	}
	if err := etcdCall(ctx, "kv/range", request, &response); err != nil {
		return nil, err
	}
	var keys []etcdKey
	for _, kv := range response.Kvs {
		if kv.Lease != "" && kv.Lease != "0" {
			keys = append(keys, etcdKey{string(kv.Key), kv.CreateRevision, kv.Lease})
		}
	}
	return keys, nil
}

// prefixEnd is the first key after all those that begin with prefix.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	if len(end) > 0 {
		end[len(end)-1]++ // prefixes end in a slash
	}
	return end
}

// revokeLocks takes back the leases of the chosen keys. etcd would do so itself, once they have not been renewed for 15
// seconds: time in which the holder's successor waits.
func revokeLocks(ctx context.Context, prefix string, chosen func(etcdKey) bool) error {
	keys, err := leasedKeys(ctx, prefix)
	if err != nil {
		return err
	}
	revoked := map[string]bool{}
	for _, key := range keys {
		if !chosen(key) || revoked[key.Lease] {
			continue
		}
		revoked[key.Lease] = true
		if err := etcdCall(ctx, "lease/revoke", map[string]any{"ID": key.Lease}, nil); err != nil {
			return err
		}
	}
	return nil
}

// isPachdLock says whether a key is a lock of the main pachd rather than of a worker or a sidecar.
func isPachdLock(key etcdKey) bool {
	for _, part := range []string{"/_master_lock/", "/pfs-master-lock/", "/pachw-controller-lock/"} {
		if strings.Contains(key.Name, part) {
			return true
		}
	}
	return false
}

func etcdRevision(ctx context.Context) (int64, error) {
	var response struct {
		Header struct{ Revision string }
	}
	if err := etcdCall(ctx, "maintenance/status", nil, &response); err != nil {
		return 0, err
	}
	return strconv.ParseInt(response.Header.Revision, 10, 64)
}

// etcdCall calls etcd's API in JSON, so that its client with all it needs is no part of this module.
func etcdCall(ctx context.Context, method string, request map[string]any, response any) error {
	if request == nil {
		request = map[string]any{}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr(portEtcd)+"/v3/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Host = etcdHost
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("etcd %s: %w", method, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd %s: %s", method, resp.Status)
	}
	if response == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(response)
}

// workerLocks frees the lock of a worker that has ended, so that the next one runs the user's command at once. The lock
// itself doesn't say whose it is; but a worker's is younger than its start, and those of live workers must stay.
type workerLocks struct {
	log func(format string, args ...any)

	mu   sync.Mutex
	live map[kubesim.Worker]int64 // revision at the start of each live worker
}

// lockTimeout bounds what a pod waits for on the way, should etcd not answer.
const lockTimeout = 5 * time.Second

func (l *workerLocks) starts(w kubesim.Worker) {
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	revision, err := etcdRevision(ctx)
	if err != nil {
		l.log("worker of pod %s: %v", w.Pod, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[w] = revision
}

func (l *workerLocks) ended(w kubesim.Worker) {
	l.mu.Lock()
	delete(l.live, w)
	oldest := int64(-1) // start of the pipeline's oldest worker that lives
	for other, started := range l.live {
		if other.Project == w.Project && other.Pipeline == w.Pipeline && (oldest < 0 || started < oldest) {
			oldest = started
		}
	}
	l.mu.Unlock()
	prefix := fmt.Sprintf("%s/_master_worker_lock/%s/%s/", w.EtcdPrefix, w.Project, w.Pipeline)
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	err := revokeLocks(ctx, prefix, func(k etcdKey) bool { return oldest < 0 || k.Created <= oldest })
	if err != nil {
		l.log("lock of the worker of pod %s: %v", w.Pod, err)
	}
}

func (c *Cluster) stopEtcd() { c.etcd.Load().stop(syscall.SIGTERM) }
