// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A server that harms whoever asks it: each list goes on for ever with messages
// of 1 MiB, but for those that never begin.
type (
	hostilePFS struct{ pfs.UnimplementedAPIServer }
	hostilePPS struct{ pps.UnimplementedAPIServer }
)

const (
	escape = "\x1b]52;c;cm0=\a\x1b[2J\u009b2J"
	mega   = 1 << 20
)

var megabyte = strings.Repeat("x", mega)

func (*hostilePFS) InspectRepo(context.Context, *pfs.InspectRepoRequest) (*pfs.RepoInfo, error) {
	return nil, status.Error(codes.NotFound, "repo "+escape+"not found\nat all"+strings.Repeat(" ", 4*mega))
}

func (*hostilePFS) ListRepo(_ *pfs.ListRepoRequest, stream pfs.API_ListRepoServer) error {
	for {
		if err := stream.Send(&pfs.RepoInfo{Repo: &pfs.Repo{Name: "r"}, Description: megabyte}); err != nil {
			return err
		}
	}
}

func (*hostilePFS) ListProject(_ *pfs.ListProjectRequest, stream pfs.API_ListProjectServer) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

func (*hostilePFS) ListBranch(_ *pfs.ListBranchRequest, stream pfs.API_ListBranchServer) error {
	return status.Error(codes.Unknown, escape+megabyte)
}

func (*hostilePFS) ListCommit(_ *pfs.ListCommitRequest, stream pfs.API_ListCommitServer) error {
	for {
		if err := stream.Send(&pfs.CommitInfo{Description: megabyte}); err != nil {
			return err
		}
	}
}

func (*hostilePFS) WalkFile(_ *pfs.WalkFileRequest, stream pfs.API_WalkFileServer) error {
	for {
		if err := stream.Send(&pfs.FileInfo{File: &pfs.File{Path: megabyte}, FileType: pfs.FileType_FILE}); err != nil {
			return err
		}
	}
}

func (*hostilePFS) GetFile(_ *pfs.GetFileRequest, stream pfs.API_GetFileServer) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

// Names as none are.
func (*hostilePFS) InspectBranch(context.Context, *pfs.InspectBranchRequest) (*pfs.BranchInfo, error) {
	of := &pfs.Branch{Name: escape + megabyte, Repo: &pfs.Repo{Name: escape, Type: pfs.UserRepoType, Project: &pfs.Project{Name: escape}}}
	return &pfs.BranchInfo{Branch: &pfs.Branch{Name: escape}, Head: &pfs.Commit{ID: escape}, DirectProvenance: []*pfs.Branch{of}, Subvenance: []*pfs.Branch{of}}, nil
}

func (*hostilePFS) InspectCommit(context.Context, *pfs.InspectCommitRequest) (*pfs.CommitInfo, error) {
	return &pfs.CommitInfo{Commit: &pfs.Commit{ID: escape}, ParentCommit: &pfs.Commit{ID: escape}, Error: escape + megabyte}, nil
}

func (*hostilePPS) ListPipeline(_ *pps.ListPipelineRequest, stream pps.API_ListPipelineServer) error {
	return stream.Send(&pps.PipelineInfo{Pipeline: &pps.Pipeline{Name: escape, Project: &pfs.Project{Name: escape}}, Reason: escape,
		Details: &pps.PipelineInfo_Details{RecentError: escape + megabyte}})
}

func (*hostilePPS) GetLogs(_ *pps.GetLogsRequest, stream pps.API_GetLogsServer) error {
	for range 128 {
		if err := stream.Send(&pps.LogMessage{User: true, Message: megabyte}); err != nil {
			return err
		}
	}
	return nil
}

func (*hostilePPS) ListJob(_ *pps.ListJobRequest, stream pps.API_ListJobServer) error {
	for {
		if err := stream.Send(&pps.JobInfo{Reason: escape + megabyte}); err != nil {
			return err
		}
	}
}

// TestHostileServer: whatever a server sends takes bounded memory and time, and
// nothing of it reaches a terminal but text.
func TestHostileServer(t *testing.T) {
	t.Parallel()
	server := grpc.NewServer()
	pfs.RegisterAPIServer(server, &hostilePFS{})
	pps.RegisterAPIServer(server, &hostilePPS{})
	client := dialed(t, server, time.Minute)
	plain := func(what, text string) {
		if len(text) > maxWords+1000 || strings.ContainsAny(text, "\x1b\a\u009b") {
			t.Errorf("%s: %d bytes, %.100q", what, len(text), text)
		}
	}

	_, err := client.InspectRepo(t.Context(), RepoID{"default", "r"})
	if !IsNotFound(err) || !strings.Contains(Reason(err), "not found\nat all") {
		t.Errorf("an error is %.100v", err)
	}
	plain("an error", err.Error())
	_, err = client.listBranches(t.Context(), RepoID{"default", "r"})
	if err == nil {
		t.Fatal("there are branches")
	}
	plain("an error of a stream", err.Error())

	if _, err = client.ListRepos(t.Context()); err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("a list without an end: %v", err)
	}
	if _, err = client.Branch("default", "r", "master").Unfinished(t.Context(), "c", nil); err == nil || !strings.Contains(err.Error(), "and more commits") {
		t.Errorf("commits without an end: %v", err)
	}
	branch, err := client.InspectBranch(t.Context(), BranchID{"default", "r", "master"})
	if err != nil {
		t.Fatal(err)
	}
	plain("a branch", branch.ID.String()+branch.Head+branch.Readers[0].String())
	plain("a branch's provenance", branch.Provenance[0].String())
	commit, err := client.Branch("default", "r", "master").Inspect(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	plain("a commit", commit.ID+commit.ParentID+commit.Error)
	pipelines, err := client.ListPipelines(t.Context())
	if err != nil || len(pipelines) != 1 {
		t.Fatalf("%d pipelines, %v", len(pipelines), err)
	}
	plain("a pipeline", pipelines[0].ID.String()+pipelines[0].Reason+pipelines[0].RecentError)
	if _, err = client.Branch("default", "r", "master").Files(t.Context(), "c"); err == nil || !strings.Contains(err.Error(), "takes more than 256 MiB") {
		t.Errorf("files without an end: %v", err)
	}
	patient, err := Connect(Options{Address: listening(t, server), CallTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer patient.Close() //nolint:errcheck // it has done its work
	if _, err = patient.Branch("default", "r", "master").ReadFile(t.Context(), "c", "/f"); !IsTimeout(err) {
		t.Errorf("a file that does not come: %v", err)
	}
	if _, err = dialed(t, server, time.Second).ListProjects(t.Context()); !IsTimeout(err) {
		t.Errorf("a list that does not begin: %v", err)
	}
	lines, err := client.Logs(t.Context(), PipelineID{"default", "p"}, LogsOptions{Lines: 20})
	if err != nil || len(lines) != 20 || len(lines[0].Text) > maxLine {
		t.Errorf("%d lines of %v", len(lines), err)
	}
	jobs, err := client.NewestJobs(t.Context(), PipelineID{"default", "p"}, 3)
	if err != nil || len(jobs) != 3 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	plain("a job", jobs[0].Reason)
}

// TestQuotedSecrets: the values of a secret are in no error that quotes them.
func TestQuotedSecrets(t *testing.T) {
	t.Parallel()
	value := `{"auths":{"r.example":{"auth":"planted"}}}`
	for _, said := range []string{value, strconv.Quote(value), strconv.Quote("first\n" + value), base64.StdEncoding.EncodeToString([]byte(value))} {
		err := redacted(status.Error(codes.InvalidArgument, "data[x]: Invalid value: "+said), map[string]string{"x": value})
		if strings.Contains(err.Error(), "planted") || !strings.Contains(err.Error(), "(redacted)") {
			t.Errorf("%s: %v", said, err)
		}
	}
}

// TestEmptyAnswers: answers in which nothing is, or nothing of what should be,
// are no reason to panic, whatever was asked.
func TestEmptyAnswers(t *testing.T) {
	t.Parallel()
	// Of each message: nothing; an empty message, or an empty text, in each of its first fields; numbers.
	var messages, numbers []byte
	for field := range byte(15) {
		messages = append(messages, (field+1)<<3|2, 0)
		numbers = append(numbers, (field+1)<<3, 1)
	}
	for name, answer := range map[string][]byte{"nothing": nil, "empty messages": messages, "numbers": numbers, "file": {1<<3 | 2, 0, 2 << 3, 1}} {
		server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			var request []byte
			if err := stream.RecvMsg(&request); err != nil {
				return err
			}
			return stream.SendMsg(&answer)
		}))
		client := dialed(t, server, time.Minute)
		for _, target := range []reflect.Value{reflect.ValueOf(client), reflect.ValueOf(client.Branch("p", "r", "b"))} {
			for i := range target.NumMethod() {
				method := target.Type().Method(i)
				if slices.Contains([]string{"Close", "CreateDocument", "UpdateDocument"}, method.Name) { // the latter need a document
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				args := []reflect.Value{}
				for at := range method.Type.NumIn() - 1 {
					in := method.Type.In(at + 1)
					switch {
					case in == reflect.TypeFor[context.Context]():
						args = append(args, reflect.ValueOf(ctx))
					case in.Kind() == reflect.Pointer:
						args = append(args, reflect.New(in.Elem()))
					case in.Kind() == reflect.Func:
						args = append(args, reflect.MakeFunc(in, func([]reflect.Value) (results []reflect.Value) {
							for o := range in.NumOut() {
								results = append(results, reflect.Zero(in.Out(o)))
							}
							return results
						}))
					case method.Type.IsVariadic() && at == method.Type.NumIn()-2:
					default:
						args = append(args, reflect.Zero(in))
					}
				}
				func() {
					defer func() {
						if problem := recover(); problem != nil {
							t.Errorf("%s: %s panics: %v\n%s", name, method.Name, problem, debug.Stack())
						}
					}()
					target.Method(i).Call(args)
				}()
				cancel()
			}
		}
	}
}

// rawCodec passes messages as they are.
type rawCodec struct{}

func (rawCodec) Name() string                       { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }

// dialed is a client of a server that lasts as long as the test.
func dialed(t *testing.T, server *grpc.Server, timeout time.Duration) *Client {
	t.Helper()
	address := listening(t, server)
	retry := Retry{Timeout: timeout}
	client, err := Connect(Options{Address: address, DialOptions: []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(retry.Interceptor()), grpc.WithChainStreamInterceptor(retry.StreamInterceptor())}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestRepeatedToken: a server that repeats the token that it was sent, in one
// piece or with control characters within, has it in no error.
func TestRepeatedToken(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef-planted"
	said := map[string]string{
		"as it is": "bad token " + token, "divided": "bad " + token[:5] + "\x1b" + token[5:], "in base64": base64.StdEncoding.EncodeToString([]byte(token)),
		"where it is cut": strings.Repeat("x", maxWords-len(token)+3) + token + strings.Repeat("y", mega),
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range said {
		server := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(codes.Unknown, text) }))
		address := listening(t, server)
		for _, o := range []Options{{Address: address, Token: token}, {Address: address, TokenFile: file}} {
			client, err := Connect(o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			_, unary := client.InspectRepo(t.Context(), RepoID{"p", "r"})
			_, stream := client.ListRepos(t.Context())
			for _, err := range []error{unary, stream} {
				if err == nil || strings.Contains(err.Error(), token[:12]) || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte(token))[:12]) {
					t.Errorf("%s: %.300v", name, err)
				}
			}
		}
	}
}

func listening(t *testing.T, server *grpc.Server) Address {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener) //nolint:errcheck // until it is stopped
	t.Cleanup(server.Stop)
	address, err := ParseAddress(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return address
}
