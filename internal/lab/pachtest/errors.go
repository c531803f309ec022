// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unknown is an error without a code of its own, as most of Pachyderm's are.
func unknown(format string, args ...any) error {
	return status.Errorf(codes.Unknown, format, args...)
}

func notFound(format string, args ...any) error {
	return status.Errorf(codes.NotFound, format, args...)
}

func alreadyExists(format string, args ...any) error {
	return status.Errorf(codes.AlreadyExists, format, args...)
}

// wrap puts a text before an error's and keeps its code.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	st := status.Convert(err)
	return status.Error(st.Code(), fmt.Sprintf(format, args...)+": "+st.Message())
}

func isNotFound(err error) bool { return status.Code(err) == codes.NotFound }

func (s *Server) errProjectNotFound(name string) error {
	if s.v211 {
		return notFound("project %q not found", name)
	}
	return notFound("projects %s not found", name)
}

func (s *Server) errBranchNotFound(key branchKey) error {
	if s.v211 {
		return notFound("branch (id=0, branch=%s) not found", key)
	}
	return notFound("branch %q not found in repo %v", key.name, key.repoKey)
}

// errHeadNotFound is what resolving a commit by the name of a missing branch
// gives; 2.6 takes the text from another layer than for InspectBranch.
func (s *Server) errHeadNotFound(key branchKey) error {
	if s.v211 {
		return s.errBranchNotFound(key)
	}
	return notFound("branches %s not found", key)
}

func (s *Server) errCommitNotFound(key repoKey, id string) error {
	if s.v211 {
		return notFound("commit (int_id=0, commit_id=%s@%s) not found", key, id)
	}
	return notFound("commit %s@%s not found", key, id)
}

func (s *Server) errPipelineNotFound(key pipelineKey) error {
	if s.v211 {
		return notFound("pipeline %q not found", key)
	}
	return notFound("pipeline was not inspected: couldn't find up to date spec for pipeline %q: branch %q not found in repo %s.spec", key, "master", key)
}

// invalid is the answer of the request validation that 2.8 brought.
func invalid(message, field, reason string) error {
	return status.Errorf(codes.InvalidArgument, "validate request: invalid %s.%s: %s", message, field, reason)
}
