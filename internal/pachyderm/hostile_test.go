// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"encoding/base64"
	"net"
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pfs.RegisterAPIServer(server, &hostilePFS{})
	pps.RegisterAPIServer(server, &hostilePPS{})
	go server.Serve(listener) //nolint:errcheck // until it is stopped
	t.Cleanup(server.Stop)
	address, err := ParseAddress(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	retry := Retry{Timeout: 2 * time.Second}
	client, err := Connect(Options{Address: address, DialOptions: []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(retry.Interceptor()), grpc.WithChainStreamInterceptor(retry.StreamInterceptor())}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // the test ends
	plain := func(what, text string) {
		if len(text) > maxWords+1000 || strings.ContainsAny(text, "\x1b\a\u009b") {
			t.Errorf("%s: %d bytes, %.100q", what, len(text), text)
		}
	}

	_, err = client.InspectRepo(t.Context(), RepoID{"default", "r"})
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
	if _, err = client.ListProjects(t.Context()); !IsTimeout(err) {
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
