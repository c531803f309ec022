// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// timed puts a folder with the runner's clock, which may go back, into a path.
func timed(path string) string {
	folder, file := filepath.Split(path)
	return folder + "{year}{month}{day}T{hour}{minute}/" + file
}

// patience is how long a spout may take to recover. What takes longest is the
// worker's pause before it starts a runner again, 5 to 22 s, and again.
const patience = 4 * time.Minute

// spout is a spout that rounds are done on, with all around it.
type spout struct {
	*campaign
	name   string
	env    map[string]string
	side   side
	clock  *clock
	proxy  *proxy
	client *pachyderm.Client
	branch *pachyderm.Branch

	background sync.WaitGroup // mends what a round has broken
	mu         sync.Mutex
	failure    error // of the background
}

// newSpout starts the other side, a proxy and a spout, and waits for its first
// commit. What it returns is to be closed, also after an error.
func (c *campaign) newSpout(ctx context.Context, number int) (*spout, error) {
	s := &spout{campaign: c, name: fmt.Sprintf("crash-%d-%d", c.Seed%1_000_000, number)}
	dir := filepath.Join(c.Dir, s.name)
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		s.clock, err = newClock(dir)
	}
	if err == nil {
		s.side, err = c.kind.start(ctx, s, dir)
	}
	if err == nil {
		s.proxy, err = startProxy(s.sidecar)
	}
	if err == nil {
		s.client, err = connect(c.Cluster.Address())
	}
	if err != nil {
		return s, err
	}
	s.branch = s.client.Branch(pachyderm.DefaultProject, s.name, "master")
	s.env = s.settings().Environment()
	s.env["SPOUT_FILE_PATH"] = timed(s.settings().Layout().DefaultPath())
	s.env[artifacts.ClockVariable] = s.clock.path
	if side, ok := s.side.(withSecrets); ok {
		maps.Copy(s.env, side.secrets())
	}
	_, err = s.client.PPS.CreatePipeline(ctx, &pps.CreatePipelineRequest{Pipeline: s.pipeline(), Spout: &pps.Spout{},
		Transform: &pps.Transform{Image: Image, Cmd: []string{"/spout-runner", "run", "--sidecar", s.proxy.address()}, Env: s.env}, PodPatch: s.inOwnFolder(dir)})
	if err != nil {
		return s, err
	}
	s.say("spout %s", s.name)
	return s, s.recovered(ctx)
}

func connect(address string) (*pachyderm.Client, error) {
	parsed, err := pachyderm.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	return pachyderm.Connect(pachyderm.Options{Address: parsed, UserAgent: "crash"})
}

func (s *spout) settings() settings.Settings {
	v := settings.Default()
	v.Source = s.kind.name
	v.Batch.MaxBytes, v.Batch.MaxAge = 64<<10, settings.Duration(200*time.Millisecond)
	v.File.Format = "jsonl"
	v.File.PathTime = "ingestion"
	v.MemoryBudget = 64 << 20
	s.side.configure(&v)
	return v
}

func (s *spout) pipeline() *pps.Pipeline {
	return &pps.Pipeline{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: s.name}
}

// sidecar is where the sidecar of the spout's pod listens.
func (s *spout) sidecar() (string, error) {
	pods := s.Cluster.Pods(pachyderm.DefaultProject, s.name)
	if len(pods) == 0 {
		return "", errors.New("the spout has no pod")
	}
	host, err := s.host()
	return fmt.Sprintf("%s:%d", host, pods[0].SidecarPort), err
}

// host is the address of the spout's pod.
func (s *spout) host() (string, error) {
	if !s.inKubernetes() {
		return "127.0.0.1", nil // which is that of all pods
	}
	pods := s.Cluster.Pods(pachyderm.DefaultProject, s.name)
	if len(pods) == 0 || pods[0].IP == "" {
		return "", errors.New("the spout has no pod with an address")
	}
	return pods[0].IP, nil
}

// later does something while the round goes on; the round waits for it.
func (s *spout) later(do func() error) {
	s.background.Go(func() {
		if err := do(); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failure = errors.Join(s.failure, err)
		}
	})
}

// recovered waits until all records are in a commit that is FINISHED.
func (s *spout) recovered(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not recovered within %s", patience))
	defer cancel()
	s.side.produce(ctx, s.random, 1)
	if err := s.side.settle(ctx); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		_, d, err := ingest.LastCommit(ctx, s.branch)
		if err != nil || d.Position == nil {
			return false, transient(err)
		}
		return s.side.reached(d)
	})
}

// transient takes the errors away that come of what was broken.
func transient(err error) error {
	if pachyderm.IsUnavailable(err) || err != nil && strings.Contains(err.Error(), "connect") {
		return nil
	}
	return err
}

// audit reads every commit and adds what it finds to the result.
func (s *spout) audit(ctx context.Context) error {
	report, err := s.side.audit(ctx, s.branch)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	s.say("audit of %s: %s", s.name, report)
	s.result.Records += report.Records
	s.result.Lost += report.Lost
	s.result.Duplicated += report.Duplicated
	s.result.Reordered += report.Reordered
	for _, problem := range report.Problems {
		s.problem("%s", problem)
	}
	return nil
}

// logTail is the end of the runner's log.
func (s *spout) logTail() string {
	path, err := s.Cluster.UserLogPath(pachyderm.DefaultProject, s.name)
	if err != nil {
		return err.Error()
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return "end of the runner's log:\n" + string(text[max(0, len(text)-4000):])
}

// close ends and deletes all that newSpout has started.
func (s *spout) close() error {
	var errs []error
	s.background.Wait()
	if s.client != nil && s.branch != nil {
		_, err := s.client.PPS.DeletePipeline(context.Background(), &pps.DeletePipelineRequest{Pipeline: s.pipeline(), Force: true})
		errs = append(errs, err)
	}
	if s.client != nil {
		errs = append(errs, s.client.Close())
	}
	if s.proxy != nil {
		s.proxy.stop()
	}
	if s.side != nil {
		errs = append(errs, s.side.close())
	}
	return errors.Join(errs...)
}

// poll asks until the answer is yes.
func poll(ctx context.Context, ask func() (bool, error)) error {
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		yes, err := ask()
		if err != nil && ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err) // a call that was cut short does not say why
		}
		if yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
