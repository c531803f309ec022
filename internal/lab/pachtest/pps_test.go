// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

func (s *suite) await(srv *Server, name string, state pps.PipelineState) *pps.PipelineInfo {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.Timeout)
	defer cancel()
	if err := srv.AwaitPipelineState(ctx, s.project, name, state); err != nil {
		s.t.Fatalf("waiting for %v: %v; now %v", state, err, s.inspectPipeline(name).State)
	}
	return s.inspectPipeline(name)
}

func TestPipelineFailures(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, reason string
		change       func(*pps.CreatePipelineRequest)
	}{
		{"Upper", `Secret "spout-pachctl-secret-p-Upper" is invalid`, func(*pps.CreatePipelineRequest) {}},
		{"under_score", "is invalid", func(*pps.CreatePipelineRequest) {}},
		{"both", "only one of pipeline.service or pipeline.spout can be set", func(r *pps.CreatePipelineRequest) {
			r.Service = &pps.Service{InternalPort: 80, ExternalPort: 31000}
		}},
		{"nocmd", "nothing to run: no transform.cmd", func(r *pps.CreatePipelineRequest) { r.Transform.Cmd = nil }},
		{"port", "provided port is not in the valid range", func(r *pps.CreatePipelineRequest) {
			r.Spout.Service = &pps.Service{InternalPort: 80, ExternalPort: 80}
		}},
	}
	srv, s := fake(t)
	for _, c := range cases {
		req := s.spoutRequest(c.name)
		c.change(req)
		_, err := s.pps.CreatePipeline(s.ctx, req)
		s.ok(err)
		if info := s.await(srv, c.name, pps.PipelineState_PIPELINE_FAILURE); !strings.Contains(info.Reason, c.reason) {
			t.Errorf("%s: reason %q", c.name, info.Reason)
		}
	}
	req := s.spoutRequest("nocmd") // an update mends it
	req.Update = true
	_, err := s.pps.CreatePipeline(s.ctx, req)
	s.ok(err)
	s.equal(s.await(srv, "nocmd", pps.PipelineState_PIPELINE_RUNNING).Reason, "")
}

func TestBrokenImage(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	srv.BreakImage("image", "not found")
	_, err := s.pps.CreatePipeline(s.ctx, s.spoutRequest("s"))
	s.ok(err)
	info := s.await(srv, "s", pps.PipelineState_PIPELINE_CRASHING)
	s.equal(strings.Contains(info.Reason, "ErrImagePull"), true)
	s.equal(info.Details.WorkersAvailable, 0)
	srv.BreakImage("image", "")
	s.equal(s.await(srv, "s", pps.PipelineState_PIPELINE_RUNNING).Details.WorkersAvailable, 1)
}

func TestPipelineHooks(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	events := make(chan string, 10)
	hold := make(chan struct{})
	srv.OnPipeline(func(e PipelineEvent) {
		if e.Kind == PipelineCreated {
			<-hold
		}
		events <- e.Kind.String() + " " + e.Name
	})
	_, err := s.pps.CreatePipeline(s.ctx, s.spoutRequest("s"))
	s.ok(err)
	s.equal(s.inspectPipeline("s").State, pps.PipelineState_PIPELINE_STARTING)
	close(hold)
	s.await(srv, "s", pps.PipelineState_PIPELINE_RUNNING)
	req := s.spoutRequest("s")
	req.Update = true
	_, err = s.pps.CreatePipeline(s.ctx, req)
	s.ok(err)
	_, err = s.pps.StopPipeline(s.ctx, &pps.StopPipelineRequest{Pipeline: s.pipeline("s")})
	s.ok(err)
	_, err = s.pps.StartPipeline(s.ctx, &pps.StartPipelineRequest{Pipeline: s.pipeline("s")})
	s.ok(err)
	_, err = s.pps.DeletePipeline(s.ctx, &pps.DeletePipelineRequest{Pipeline: s.pipeline("s")})
	s.ok(err)
	for _, want := range []string{"created", "updated", "stopped", "started", "stopped", "deleted"} {
		s.equal(<-events, want+" s")
	}
}

func TestSetStateAndWorkers(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	s.createSpout("s")
	s.await(srv, "s", pps.PipelineState_PIPELINE_RUNNING)
	srv.SetWorkers("p", "s", 0)
	srv.SetPipelineState("p", "s", pps.PipelineState_PIPELINE_CRASHING, "because")
	info := s.inspectPipeline("s")
	s.equal(info.State, pps.PipelineState_PIPELINE_CRASHING)
	s.equal(info.Reason, "because")
	s.equal(info.Details.WorkersAvailable, 0)
	srv.ReleasePipelineState("p", "s")
	s.equal(s.inspectPipeline("s").State, pps.PipelineState_PIPELINE_RUNNING)
}

func TestLogs(t *testing.T) {
	t.Parallel()
	srv, s := fake(t)
	s.createSpout("s")
	s.await(srv, "s", pps.PipelineState_PIPELINE_RUNNING)
	srv.AppendWorkerLog("p", "s", "started")
	srv.AppendLog("p", "s", "one")
	logs := func(req *pps.GetLogsRequest) (string, error) {
		req.Pipeline = s.pipeline("s")
		stream, err := s.pps.GetLogs(s.ctx, req)
		s.ok(err)
		messages, err := receiveAll(stream.Recv)
		var lines []string
		for _, m := range messages {
			if m.User {
				lines = append(lines, m.Message)
			}
		}
		return strings.Join(lines, " "), err
	}
	text, err := logs(&pps.GetLogsRequest{})
	s.ok(err)
	s.equal(text, "") // the lines are the master's
	text, err = logs(&pps.GetLogsRequest{Master: true})
	s.ok(err)
	s.equal(text, "one")

	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	follow, err := s.pps.GetLogs(ctx, &pps.GetLogsRequest{Pipeline: s.pipeline("s"), Master: true, Follow: true, Tail: 1})
	s.ok(err)
	m, err := follow.Recv()
	s.ok(err)
	s.equal(m.Message+" "+m.JobID, "one spout")
	srv.AppendLog("p", "s", "two")
	m, err = follow.Recv()
	s.ok(err)
	s.equal(m.Message, "two")

	_, err = s.pps.StopPipeline(s.ctx, &pps.StopPipelineRequest{Pipeline: s.pipeline("s")})
	s.ok(err)
	s.await(srv, "s", pps.PipelineState_PIPELINE_PAUSED)
	_, err = logs(&pps.GetLogsRequest{Master: true})
	s.fails(err, codes.Unknown, `no pods belonging to the rc "p-s-v1" were found`)
}

func TestCommunityLimits(t *testing.T) {
	t.Parallel()
	_, s := fake(t)
	req := s.spoutRequest("many")
	req.ParallelismSpec = &pps.ParallelismSpec{Constant: 9}
	_, err := s.pps.CreatePipeline(s.ctx, req)
	s.fails(err, codes.Unknown, "requires an activation key to create pipelines with parallelism more than 8")
	for _, name := range strings.Split("abcdefghijklmnop", "") {
		_, err := s.pps.CreatePipeline(s.ctx, s.spoutRequest(name))
		s.ok(err)
	}
	_, err = s.pps.CreatePipeline(s.ctx, s.spoutRequest("q"))
	s.fails(err, codes.Unknown, "requires an activation key to create more than 16 total pipelines")

	_, licensed := fake(t, WithEnterprise())
	for i := range 17 {
		_, err := licensed.pps.CreatePipeline(licensed.ctx, licensed.spoutRequest(fmt.Sprintf("p%d", i)))
		licensed.ok(err)
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	for _, version := range []string{Version26, Version211} {
		t.Run(version, func(t *testing.T) {
			var offset time.Duration
			srv := New(t, WithVersion(version), WithAuth("root"), WithClock(func() time.Time { return time.Now().Add(offset) }))
			s := newSuite(t, Target{Version: version, Address: srv.Address(), Sidecar: srv.Sidecar, Token: "root", Timeout: 10 * time.Second}, "p")
			as := func(token string) context.Context {
				ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
				t.Cleanup(cancel)
				if token == "" {
					return ctx
				}
				return metadata.AppendToOutgoingContext(ctx, auth.ContextTokenKey, token)
			}
			denied := codes.Unknown
			if version == Version211 {
				denied = codes.PermissionDenied
			}
			inspect := &pfs.InspectBranchRequest{Branch: s.branch("r", "master")}
			_, err := s.pfs.InspectBranch(as(""), inspect)
			s.fails(err, codes.Unauthenticated, "no authentication token (try logging in)")
			_, err = s.pfs.InspectBranch(as("wrong"), inspect)
			s.fails(err, codes.Unauthenticated, "provided auth token is corrupted or has expired (try logging in again)")
			who, err := s.auth.WhoAmI(s.ctx, &auth.WhoAmIRequest{})
			s.ok(err)
			s.equal(who.Username, auth.RootUser)

			// A robot without roles, then with.
			robot, err := s.auth.GetRobotToken(s.ctx, &auth.GetRobotTokenRequest{Robot: "ci", TTL: 60})
			s.ok(err)
			who, err = s.auth.WhoAmI(as(robot.Token), &auth.WhoAmIRequest{})
			s.ok(err)
			s.equal(who.Username, "robot:ci")
			s.equal(who.Expiration != nil, true)
			s.createRepo("r")
			start := &pfs.StartCommitRequest{Branch: s.branch("r", "master")}
			_, err = s.pfs.StartCommit(as(robot.Token), start)
			s.fails(err, denied, "robot:ci is not authorized to perform this operation - needs permissions [REPO_WRITE] on REPO p/r. Run")
			_, err = s.pfs.DeleteRepo(as(robot.Token), &pfs.DeleteRepoRequest{Repo: s.repo("r")})
			s.ok(err) // silently nothing
			s.equal(srv.Repos("p"), []string{"r"})
			r := &auth.Resource{Type: auth.ResourceType_REPO, Name: "p/r"}
			_, err = s.auth.ModifyRoleBinding(s.ctx, &auth.ModifyRoleBindingRequest{Resource: r, Principal: "robot:ci", Roles: []string{auth.RepoWriterRole}})
			s.ok(err)
			c, err := s.pfs.StartCommit(as(robot.Token), start)
			s.ok(err)
			s.finish(s.pfs, "r", c.ID, "", "")
			binding, err := s.auth.GetRoleBinding(s.ctx, &auth.GetRoleBindingRequest{Resource: r})
			s.ok(err)
			s.equal(binding.Binding.Entries["robot:ci"].Roles, map[string]bool{auth.RepoWriterRole: true})
			s.equal(binding.Binding.Entries[auth.RootUser].Roles, map[string]bool{auth.RepoOwnerRole: true})
			_, err = s.auth.ModifyRoleBinding(s.ctx, &auth.ModifyRoleBindingRequest{Resource: &auth.Resource{Type: auth.ResourceType_REPO, Name: "p/x"}, Principal: "robot:ci", Roles: []string{auth.RepoWriterRole}})
			s.fails(err, codes.Unknown, "no role binding exists for REPO p/x")
			_, err = s.auth.RevokeAuthToken(s.ctx, &auth.RevokeAuthTokenRequest{Token: robot.Token})
			s.ok(err)
			_, err = s.pfs.InspectBranch(as(robot.Token), inspect)
			s.fails(err, codes.Unauthenticated, "corrupted or has expired")

			// Limited principals.
			srv.AddToken("reader", "user:reader@example.com")
			srv.Grant("user:reader@example.com", "p", "", auth.ProjectViewerRole)
			_, err = s.pfs.CreateRepo(as("reader"), &pfs.CreateRepoRequest{Repo: s.repo("x")})
			s.fails(err, denied, "PROJECT_CREATE_REPO")
			_, err = s.pps.ListSecret(as("reader"), &types.Empty{})
			s.fails(err, denied, "CLUSTER_LIST_SECRETS")

			// The pipeline's token writes its own repo only, until the update.
			_, err = s.pps.CreatePipeline(s.ctx, s.spoutRequest("s"))
			s.ok(err)
			token := srv.PipelineToken("p", "s")
			side := pfs.NewAPIClient(dialTarget(t, srv.Sidecar("p", "s")))
			s.finished("s", s.head("s"))
			c, err = side.StartCommit(as(token), &pfs.StartCommitRequest{Branch: s.branch("s", "master")})
			s.ok(err)
			_, err = side.FinishCommit(as(token), &pfs.FinishCommitRequest{Commit: s.at("s", c.ID)})
			s.ok(err)
			_, err = side.StartCommit(as(token), start)
			s.fails(err, denied, "pipeline:p/s is not authorized")
			req := s.spoutRequest("s")
			req.Update = true
			_, err = s.pps.CreatePipeline(s.ctx, req)
			s.ok(err)
			_, err = side.StartCommit(as(token), &pfs.StartCommitRequest{Branch: s.branch("s", "master")})
			s.fails(err, codes.Unauthenticated, "corrupted or has expired")
		})
	}
}
