// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Target is a pachd to hold against the suite: the fake or a real one.
type Target struct {
	Version string // "2.6.0" or later; what depends on it is told apart at 2.7, 2.8, 2.9 and 2.11
	Address string // of the main pachd, grpc://HOST:PORT or HOST:PORT

	// Sidecar gives the address of a pachd beside a spout's worker.
	Sidecar func(project, pipeline string) string

	Prefix  string        // begins the names of all projects that the suite makes
	Token   string        // authentication token, if it is on
	Image   string        // of the spouts; "debian:12" if empty
	Timeout time.Duration // for one step to happen; a minute if zero
}

// Conformance checks that a pachd behaves as the provider and the runner
// expect. It makes its own projects, deletes them at the end, and sends
// nothing that would crash a real server.
func Conformance(t *testing.T, target Target) {
	if target.Image == "" {
		target.Image = "debian:12"
	}
	if target.Timeout == 0 {
		target.Timeout = time.Minute
	}
	groups := []struct {
		name  string
		cases []conformanceCase
	}{
		{"cluster", clusterCases},
		{"commits", commitCases},
		{"files", fileCases},
		{"repos", repoCases},
		{"branches", branchCases},
		{"spouts", spoutCases},
		{"pipelines", pipelineCases},
		{"jobs", jobCases},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for i, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					c.run(t, newSuite(t, target, fmt.Sprintf("%s-%s%d", target.Prefix, group.name[:2], i)))
				})
			}
		})
	}
}

type conformanceCase struct {
	name string
	run  func(*testing.T, *suite)
}

// suite is what a case works with: clients, and a project of its own.
type suite struct {
	Target
	t       *testing.T
	ctx     context.Context
	project string
	conn    *grpc.ClientConn
	pfs     pfs.APIClient
	pps     pps.APIClient
	auth    auth.APIClient
}

func dialTarget(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(address, "grpc://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage), grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func newSuite(t *testing.T, target Target, project string) *suite {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*target.Timeout)
	t.Cleanup(cancel)
	if target.Token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, auth.ContextTokenKey, target.Token)
	}
	conn := dialTarget(t, target.Address)
	s := &suite{Target: target, t: t, ctx: ctx, project: project, conn: conn,
		pfs: pfs.NewAPIClient(conn), pps: pps.NewAPIClient(conn), auth: auth.NewAPIClient(conn)}
	s.cleanUp() // what an earlier run left
	_, err := s.pfs.CreateProject(ctx, &pfs.CreateProjectRequest{Project: s.projectMessage()})
	s.ok(err)
	t.Cleanup(s.cleanUp)
	return s
}

func (s *suite) cleanUp() {
	if infos, err := s.listPipelines(); err == nil {
		for _, info := range infos {
			s.pps.DeletePipeline(s.ctx, &pps.DeletePipelineRequest{Pipeline: info.Pipeline, Force: true}) //nolint:errcheck
		}
	}
	if stream, err := s.pfs.ListRepo(s.ctx, &pfs.ListRepoRequest{Projects: []*pfs.Project{s.projectMessage()}}); err == nil {
		repos, _ := receiveAll(stream.Recv)
		for _, r := range repos {
			s.pfs.DeleteRepo(s.ctx, &pfs.DeleteRepoRequest{Repo: r.Repo, Force: true}) //nolint:errcheck
		}
	}
	s.pfs.DeleteProject(s.ctx, &pfs.DeleteProjectRequest{Project: s.projectMessage()}) //nolint:errcheck
}

// is211 says that the target is of 2.11 or later, is29 of 2.9 or later, is28
// of 2.8 or later.
func (s *suite) is211() bool { return s.minor() >= 11 }
func (s *suite) is29() bool  { return s.minor() >= 9 }
func (s *suite) is28() bool  { return s.minor() >= 8 }

func (s *suite) minor() int {
	var major, minor int
	if _, err := fmt.Sscanf(s.Version, "%d.%d", &major, &minor); err != nil {
		s.t.Fatalf("version %q: %v", s.Version, err)
	}
	return minor
}

// either chooses a text by version.
func (s *suite) either(before, since211 string) string {
	if s.is211() {
		return since211
	}
	return before
}

func (s *suite) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// fails checks the code of an error and a part of its text.
func (s *suite) fails(err error, code codes.Code, text string) {
	s.t.Helper()
	if err == nil {
		s.t.Fatalf("succeeded; want %v %q", code, text)
	}
	if st := status.Convert(err); st.Code() != code || !strings.Contains(st.Message(), text) {
		s.t.Fatalf("got %v %q; want %v %q", st.Code(), st.Message(), code, text)
	}
}

func (s *suite) equal(got, want any) {
	s.t.Helper()
	if g, w := fmt.Sprintf("%v", got), fmt.Sprintf("%v", want); g != w {
		s.t.Fatalf("got %s; want %s", g, w)
	}
}

func receiveAll[T any](receive func() (T, error)) ([]T, error) {
	var all []T
	for {
		item, err := receive()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
}

func (s *suite) projectMessage() *pfs.Project { return &pfs.Project{Name: s.project} }

func (s *suite) repo(name string) *pfs.Repo {
	return &pfs.Repo{Name: name, Type: pfs.UserRepoType, Project: s.projectMessage()}
}

func (s *suite) branch(repo, name string) *pfs.Branch {
	return &pfs.Branch{Repo: s.repo(repo), Name: name}
}

// at refers to a commit by id, or to the head of master without one. It fills
// in the branch, which old servers need.
func (s *suite) at(repo, id string) *pfs.Commit {
	return &pfs.Commit{Repo: s.repo(repo), Branch: s.branch(repo, "master"), ID: id}
}

func (s *suite) pipeline(name string) *pps.Pipeline {
	return &pps.Pipeline{Name: name, Project: s.projectMessage()}
}

func (s *suite) createRepo(name string) {
	s.t.Helper()
	_, err := s.pfs.CreateRepo(s.ctx, &pfs.CreateRepoRequest{Repo: s.repo(name)})
	s.ok(err)
}

func (s *suite) start(client pfs.APIClient, repo string) string {
	s.t.Helper()
	c, err := client.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch(repo, "master")})
	s.ok(err)
	return c.ID
}

func (s *suite) finish(client pfs.APIClient, repo, id, description, errText string) {
	s.t.Helper()
	_, err := client.FinishCommit(s.ctx, &pfs.FinishCommitRequest{Commit: s.at(repo, id), Description: description, Error: errText})
	s.ok(err)
}

func (s *suite) inspect(repo, id string, wait pfs.CommitState) *pfs.CommitInfo {
	s.t.Helper()
	info, err := s.pfs.InspectCommit(s.ctx, &pfs.InspectCommitRequest{Commit: s.at(repo, id), Wait: wait})
	s.ok(err)
	return info
}

func (s *suite) finished(repo, id string) *pfs.CommitInfo {
	s.t.Helper()
	return s.inspect(repo, id, pfs.CommitState_FINISHED)
}

func (s *suite) head(repo string) string {
	s.t.Helper()
	info, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch(repo, "master")})
	s.ok(err)
	return info.Head.ID
}

// Changes for modify and fileSet.

func addChange(path, content string) *pfs.ModifyFileRequest {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{
		Path: path, Source: &pfs.AddFile_Raw{Raw: &types.BytesValue{Value: []byte(content)}}}}}
}

func deleteChange(path string) *pfs.ModifyFileRequest {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_DeleteFile{DeleteFile: &pfs.DeleteFile{Path: path}}}
}

func copyChange(src *pfs.File, dst string) *pfs.ModifyFileRequest {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_CopyFile{CopyFile: &pfs.CopyFile{Src: src, Dst: dst}}}
}

// modify sends one ModifyFile call.
func (s *suite) modify(client pfs.APIClient, commit *pfs.Commit, edits ...*pfs.ModifyFileRequest) error {
	stream, err := client.ModifyFile(s.ctx)
	if err != nil {
		return err
	}
	first := &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: commit}}
	for _, m := range append([]*pfs.ModifyFileRequest{first}, edits...) {
		if stream.Send(m) != nil {
			break // CloseAndRecv has the reason
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}

func (s *suite) fileSet(client pfs.APIClient, edits ...*pfs.ModifyFileRequest) string {
	s.t.Helper()
	stream, err := client.CreateFileSet(s.ctx)
	s.ok(err)
	for _, m := range edits {
		s.ok(stream.Send(m))
	}
	reply, err := stream.CloseAndRecv()
	s.ok(err)
	return reply.FileSetId
}

// write makes a commit the way the runner does, and returns its id.
func (s *suite) write(client pfs.APIClient, repo, description string, edits ...*pfs.ModifyFileRequest) string {
	s.t.Helper()
	set := s.fileSet(client, edits...)
	id := s.start(client, repo)
	_, err := client.AddFileSet(s.ctx, &pfs.AddFileSetRequest{Commit: s.at(repo, id), FileSetId: set})
	s.ok(err)
	s.finish(client, repo, id, description, "")
	return id
}

// files reads all files of a commit as path=content, in order.
func (s *suite) files(repo, id string) string {
	s.t.Helper()
	stream, err := s.pfs.GetFileTAR(s.ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: s.at(repo, id), Path: "/"}})
	s.ok(err)
	messages, err := receiveAll(stream.Recv)
	if status.Code(err) == codes.NotFound {
		return ""
	}
	s.ok(err)
	var archive bytes.Buffer
	for _, m := range messages {
		archive.Write(m.Value)
	}
	var lines []string
	for r := tar.NewReader(&archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(lines, " ")
		}
		s.ok(err)
		content, err := io.ReadAll(r)
		s.ok(err)
		if !strings.HasSuffix(header.Name, "/") {
			lines = append(lines, header.Name+"="+string(content))
		}
	}
}

// spoutRequest asks for a spout that does nothing.
func (s *suite) spoutRequest(name string) *pps.CreatePipelineRequest {
	return &pps.CreatePipelineRequest{
		Pipeline:  s.pipeline(name),
		Transform: &pps.Transform{Image: s.Image, Cmd: []string{"sleep", "1000000"}},
		Spout:     &pps.Spout{},
	}
}

// createSpout makes a spout and returns a client of its sidecar.
func (s *suite) createSpout(name string) pfs.APIClient {
	s.t.Helper()
	_, err := s.pps.CreatePipeline(s.ctx, s.spoutRequest(name))
	s.ok(err)
	s.finished(name, s.head(name))
	return pfs.NewAPIClient(dialTarget(s.t, s.Sidecar(s.project, name)))
}

func (s *suite) inspectPipeline(name string) *pps.PipelineInfo {
	s.t.Helper()
	info, err := s.pps.InspectPipeline(s.ctx, &pps.InspectPipelineRequest{Pipeline: s.pipeline(name), Details: true})
	s.ok(err)
	return info
}

func (s *suite) listPipelines() ([]*pps.PipelineInfo, error) {
	stream, err := s.pps.ListPipeline(s.ctx, &pps.ListPipelineRequest{Projects: []*pfs.Project{s.projectMessage()}})
	if err != nil {
		return nil, err
	}
	return receiveAll(stream.Recv)
}

// eventually repeats check until it says yes; states of pipelines have no call
// to wait for.
func (s *suite) eventually(what string, check func() bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(s.Timeout)
	for !check() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("not within %v: %s", s.Timeout, what)
		}
	}
}
