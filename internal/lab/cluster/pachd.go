// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
)

// Kubernetes names that pachd is told.
const (
	namespace = "default"
	pachdPod  = "pachd-0"
)

// startAttempts is how often pachd is started before it is given up. A newer one, which locks all tables to see whether
// they are to be migrated, ends with "deadlock detected" where pods write at that moment.
const startAttempts = 5

// maxSidecars is how many of StartSidecar's find room below the ports that the kernel gives to outgoing connections.
const maxSidecars = 150

// StartPachd starts pachd and returns once it is ready.
func (c *Cluster) StartPachd(ctx context.Context) error {
	if c.lab != nil {
		return c.scalePachd(ctx, 1)
	}
	if c.pachd.Load().running() {
		return errors.New("pachd runs already")
	}
	env := append(c.pachdEnv(), vars{
		"PORT": portPachd, "PEER_PORT": portPeer, "S3GATEWAY_PORT": portS3Gateway, "PROMETHEUS_PORT": portPrometheus,
		"OIDC_PORT": portOIDC, "DOWNLOAD_PORT": portDownload,
		"POSTGRES_HOST": loopback, "POSTGRES_PORT": portPostgres, "IDENTITY_SERVER_DATABASE": databaseIdentity,
		"STORAGE_HOST_PATH": c.storage(), "ENABLE_WORKER_SECURITY_CONTEXTS": false,
		"WORKER_IMAGE": "pachyderm/worker:" + c.Version(), "WORKER_SIDECAR_IMAGE": "pachyderm/pachd:" + c.Version(),
	}.list()...)
	return c.persist(ctx, func() (*process, error) {
		p, err := c.launchPachd("pachd", "full", env)
		if err == nil {
			c.pachd.Store(p)
		}
		return p, err
	}, func(ctx context.Context) error { return healthy(ctx, addr(portPachd)) })
}

// persist starts a server, and starts it again if it ends before it is ready, as Kubernetes would.
func (c *Cluster) persist(ctx context.Context, start func() (*process, error), ready func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		p, err := start()
		if err != nil {
			return err
		}
		err = p.awaitReady(ctx, ready)
		if err == nil || p.running() || attempt == startAttempts {
			return err
		}
		say(c.opts.Log, "%s has ended while it was starting; starting it again", p.name)
	}
}

// StopPachd kills pachd as a crash would, and takes its locks back, so that the next one needn't wait for them to expire.
func (c *Cluster) StopPachd() error {
	if c.lab != nil {
		if err := c.scalePachd(context.Background(), 0); err != nil {
			return err
		}
	}
	c.pachd.Load().stop(syscall.SIGKILL)
	if err := revokeLocks(context.Background(), "", isPachdLock); err != nil {
		return fmt.Errorf("taking back pachd's locks: %w", err)
	}
	return nil
}

// RestartPachd kills pachd and starts it again. The pods run on meanwhile.
func (c *Cluster) RestartPachd(ctx context.Context) error {
	if err := c.StopPachd(); err != nil {
		return err
	}
	return c.StartPachd(ctx)
}

// StartSidecar starts a pachd as the pod of a spout has beside its worker, and returns its address (without a scheme)
// and what ends it. A spout's output branch can be written through such a pachd only; this one is for programs that
// run outside a pod.
func (c *Cluster) StartSidecar(ctx context.Context, project, pipeline string) (address string, stop func(), err error) {
	if c.lab != nil {
		return c.startSidecarPod(ctx, project, pipeline)
	}
	specCommit, err := c.specCommit(ctx, project, pipeline)
	if err != nil {
		return "", nil, fmt.Errorf("sidecar of %s/%s: %w", project, pipeline, err)
	}
	port := portSidecars + 10*int(c.sidecarCount.Add(1)%maxSidecars)
	env := append(c.pachdEnv(), vars{
		"PEER_PORT": port, "PORT": port + 1, "PROMETHEUS_PORT": port + 2, "S3GATEWAY_PORT": port + 3,
		"PPS_PROJECT_NAME": project, "PPS_PIPELINE_NAME": pipeline, "PPS_SPEC_COMMIT": specCommit,
	}.list()...)
	p, err := c.launchPachd("sidecar-"+project+"-"+pipeline, "sidecar", env)
	if err != nil {
		return "", nil, err
	}
	c.mu.Lock()
	c.sidecars[p] = true
	c.mu.Unlock()
	stop = func() {
		p.stop(syscall.SIGKILL)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.sidecars, p)
	}
	if err := p.awaitReady(ctx, func(ctx context.Context) error { return healthy(ctx, addr(port)) }); err != nil {
		stop()
		return "", nil, err
	}
	return addr(port), stop, nil
}

// specCommit returns what names a version of a pipeline to its pods.
func (c *Cluster) specCommit(ctx context.Context, project, pipeline string) (string, error) {
	out, err := c.Pachctl(ctx, "inspect", "pipeline", pipeline, "--project", project, "--raw", "-o", "json")
	if err != nil {
		return "", err
	}
	var info struct {
		SpecCommit struct{ ID string } `json:"spec_commit"`
	}
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		return "", fmt.Errorf("pachctl inspect pipeline: %w", err)
	}
	if info.SpecCommit.ID == "" {
		return "", errors.New("the pipeline has no spec commit")
	}
	return info.SpecCommit.ID, nil
}

func (c *Cluster) launchPachd(name, mode string, env []string) (*process, error) {
	cmd := exec.Command(filepath.Join(c.programs.Dir, "pachd"), "--mode", mode)
	cmd.Dir, cmd.Env = "/", env
	return startProcess(name, c.layout.log(name), cmd, c.lost)
}

// pachdEnv is the environment of any pachd. Without KUBERNETES_SERVICE_HOST it joins the two KUBERNETES variables with a
// colon, and so takes a plain HTTP address.
func (c *Cluster) pachdEnv() []string {
	return vars{
		"PATH": os.Getenv("PATH"), "HOME": c.layout.tmp(), "TMPDIR": c.layout.tmp(),
		"KUBERNETES_PORT_443_TCP_ADDR": "http://" + loopback, "KUBERNETES_PORT": portKubernetes,
		"PACH_NAMESPACE": namespace, "PACHD_POD_NAME": pachdPod, "METRICS": false,
		"PACHD_SERVICE_HOST": loopback, "PACHD_SERVICE_PORT": portPachd,
		"PACHD_PEER_SERVICE_HOST": loopback, "PACHD_PEER_SERVICE_PORT": portPeer,
		"ETCD_SERVICE_HOST": loopback, "ETCD_SERVICE_PORT": portEtcd,
		"POSTGRES_USER": postgresUser, "POSTGRES_PASSWORD": postgresPassword, "POSTGRES_DATABASE": databasePachd,
		"PG_BOUNCER_HOST": loopback, "PG_BOUNCER_PORT": portPostgres, // PostgreSQL itself will do
		"STORAGE_BACKEND": "LOCAL", "PACH_ROOT": c.storage(),
	}.list()
}

// vars are environment variables.
type vars map[string]any

func (v vars) list() []string {
	out := make([]string, 0, len(v))
	for name, value := range v {
		out = append(out, fmt.Sprintf("%s=%v", name, value))
	}
	return out
}

// healthy asks a pachd whether it is ready.
func healthy(ctx context.Context, address string) error {
	// gRPC would wait for a second before it tried again to connect.
	probe, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	_ = probe.Close()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("pachd says %s", answer.Status)
	}
	return nil
}

// writeConfig writes the configuration that pachctl needs.
func (c *Cluster) writeConfig() error {
	config := map[string]any{"v2": map[string]any{
		"active_context": "cluster",
		"contexts":       map[string]any{"cluster": map[string]any{"pachd_address": c.Address()}},
		"metrics":        false,
	}}
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(c.layout.config(), text, 0o600)
}

// Address is where pachd listens, as PACHD_ADDRESS wants it.
func (c *Cluster) Address() string {
	if kubernetes.Inside() {
		return KubernetesAddress()
	}
	return "grpc://" + net.JoinHostPort(loopback, strconv.Itoa(portPachd))
}

// ConfigPath is the configuration of pachctl for this cluster, as PACH_CONFIG wants it.
func (c *Cluster) ConfigPath() string { return c.layout.config() }

// PachctlPath is the pachctl of the same version as pachd.
func (c *Cluster) PachctlPath() string { return filepath.Join(c.programs.Dir, "pachctl") }

// Pachctl runs pachctl against the cluster and returns what it prints. An error holds what it says on stderr.
func (c *Cluster) Pachctl(ctx context.Context, args ...string) (stdout string, err error) {
	return c.PachctlInput(ctx, "", args...)
}

// PachctlInput is Pachctl with something to read on stdin.
func (c *Cluster) PachctlInput(ctx context.Context, stdin string, args ...string) (stdout string, err error) {
	return runPachctl(ctx, c.PachctlPath(), c.ConfigPath(), stdin, args)
}

// storage is where Pachyderm keeps files of repos.
func (c *Cluster) storage() string { return cmp.Or(c.opts.Storage, c.layout.data("pach")) }
