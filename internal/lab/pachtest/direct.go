// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"io"
	"path"
	"reflect"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Direct calls one side of a server without a network, for simulations that
// bring their own. Authentication and injected faults work as ever.
type Direct struct{ side *side }

// Direct returns a way to the sidecar of a pipeline, or to pachd itself.
func (s *Server) Direct(kind Side, project, pipeline string) Direct {
	sd := &side{server: s, kind: kind}
	if kind == Sidecar {
		sd.pipeline = pipelineKey{orDefault(project), pipeline}
	}
	return Direct{sd}
}

// Call runs one RPC of PFS or PPS. The requests are all that the client sends,
// and belong to the server from then on; the replies are all that it is sent,
// also before an error.
func (d Direct) Call(ctx context.Context, method string, requests ...any) (replies []any, err error) {
	inv := d.side.begin(ctx, method, requests[0])
	err = inv.run(ctx, func(ctx context.Context) error {
		stream := &directStream{ctx: ctx, requests: requests}
		err := d.dispatch(stream, method, requests[0])
		replies = stream.replies
		return err
	})
	return replies, err
}

func (d Direct) dispatch(stream *directStream, method string, first any) error {
	files := &pfsAPI{Server: d.side.server, side: d.side}
	switch request := first.(type) {
	case *pfs.ListCommitRequest:
		return files.ListCommit(request, directDownload[pfs.CommitInfo]{stream})
	case *pfs.ListFileRequest:
		return files.ListFile(request, directDownload[pfs.FileInfo]{stream})
	case *pfs.WalkFileRequest:
		return files.WalkFile(request, directDownload[pfs.FileInfo]{stream})
	case *pfs.GetFileRequest:
		return files.GetFile(request, directDownload[types.BytesValue]{stream})
	case *pfs.ModifyFileRequest:
		if path.Base(method) == "ModifyFile" {
			return files.ModifyFile(directUpload[types.Empty]{stream})
		}
		return files.CreateFileSet(directUpload[pfs.CreateFileSetResponse]{stream})
	}
	var server any = files
	if path.Dir(method) == "/pps_v2.API" {
		server = &ppsAPI{Server: d.side.server, side: d.side}
	}
	handler := reflect.ValueOf(server).MethodByName(path.Base(method))
	if !handler.IsValid() || handler.Type().NumIn() != 2 || handler.Type().NumOut() != 2 {
		return status.Errorf(codes.Unimplemented, "the fake pachd cannot be called directly for %s", method)
	}
	out := handler.Call([]reflect.Value{reflect.ValueOf(stream.ctx), reflect.ValueOf(first)})
	if err, ok := out[1].Interface().(error); ok && err != nil {
		return err
	}
	return stream.SendMsg(out[0].Interface())
}

// directStream is the server's end of a call.
type directStream struct {
	ctx      context.Context
	requests []any
	replies  []any
}

func (s *directStream) Context() context.Context     { return s.ctx }
func (s *directStream) SetHeader(metadata.MD) error  { return nil }
func (s *directStream) SendHeader(metadata.MD) error { return nil }
func (s *directStream) SetTrailer(metadata.MD)       {}
func (s *directStream) RecvMsg(any) error            { return io.EOF }

func (s *directStream) SendMsg(m any) error {
	s.replies = append(s.replies, m)
	return nil
}

var _ grpc.ServerStream = (*directStream)(nil)

// directDownload sends a stream to the client.
type directDownload[T any] struct{ *directStream }

func (s directDownload[T]) Send(m *T) error { return s.SendMsg(m) }

// directUpload takes a stream of changes from the client.
type directUpload[T any] struct{ *directStream }

func (s directUpload[T]) Recv() (*pfs.ModifyFileRequest, error) {
	if len(s.requests) == 0 {
		return nil, io.EOF
	}
	m := s.requests[0].(*pfs.ModifyFileRequest)
	s.requests = s.requests[1:]
	return m, nil
}

func (s directUpload[T]) SendAndClose(m *T) error { return s.SendMsg(m) }
