// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pachd tells many of its errors apart by their text only, and 2.6 gives most
// of them the code Unknown. This file is the one place that knows the texts.

// Reason returns what the server said, without gRPC's wrapping.
func Reason(err error) string {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) && s.GRPCStatus().Message() != "" {
		return withoutProxy(s.GRPCStatus().Message())
	}
	return err.Error()
}

// withoutProxy leaves out what a proxy has answered: gRPC repeats all of it.
func withoutProxy(text string) string {
	if before, _, found := strings.Cut(text, "failed to do connect handshake, response:"); found {
		return before + "the proxy of HTTPS_PROXY does not let it through\""
	}
	return text
}

// Hint adds to an error what can be done about it. It stays the error it is.
func Hint(err error, text string) error {
	return status.Error(code(err), Reason(err)+". "+text)
}

func code(err error) codes.Code {
	if errors.Is(err, context.DeadlineExceeded) {
		return codes.DeadlineExceeded
	}
	if errors.Is(err, context.Canceled) {
		return codes.Canceled
	}
	return status.Code(err)
}

func says(err error, texts ...string) bool {
	if err == nil {
		return false
	}
	for _, text := range texts {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// IsNotFound says that a project, repo, branch, commit, file, pipeline or
// secret does not exist. Nothing else may be taken for it.
func IsNotFound(err error) bool {
	return err != nil && (code(err) == codes.NotFound ||
		code(err) == codes.Unknown && says(err, "failed to get secret", "failed to delete secret") && says(err, "not found"))
}

// IsAlreadyExists says that something of that name is there already.
func IsAlreadyExists(err error) bool {
	return err != nil && (code(err) == codes.AlreadyExists ||
		code(err) == codes.Unknown && says(err, "already exists"))
}

// IsPermissionDenied says that the caller lacks a role (2.6 has no code for it).
func IsPermissionDenied(err error) bool {
	return err != nil && (code(err) == codes.PermissionDenied ||
		code(err) == codes.Unknown && says(err, "is not authorized to perform this operation"))
}

// IsUnauthenticated says that the token is missing, wrong or expired.
func IsUnauthenticated(err error) bool {
	return err != nil && (code(err) == codes.Unauthenticated || says(err, "token expiration is in the past"))
}

// IsAuthNotActivated says that the cluster works without authentication.
func IsAuthNotActivated(err error) bool {
	return code(err) == codes.Unimplemented && says(err, "the auth service is not activated")
}

// IsNoRoleBinding says that roles were to be given on something that does not
// exist, or was made before authentication was activated.
func IsNoRoleBinding(err error) bool { return says(err, "no role binding exists for") }

// IsUnknownMethod says that the server is too old, or a sidecar, and lacks the call.
func IsUnknownMethod(err error) bool {
	return code(err) == codes.Unimplemented && says(err, "unknown method", "unknown service")
}

// IsUnavailable says that the server could not be reached or is going down.
func IsUnavailable(err error) bool { return err != nil && code(err) == codes.Unavailable }

// IsTimeout says that the deadline passed before an answer came. A server that
// notices it before the client does says so without the code (seen on 2.6.0).
func IsTimeout(err error) bool {
	return err != nil && (code(err) == codes.DeadlineExceeded ||
		code(err) == codes.Unknown && says(err, context.DeadlineExceeded.Error()))
}

// IsUnanswered says that it is not known what became of a call: its answer was
// lost, came too late, or was not waited for.
func IsUnanswered(err error) bool {
	return IsUnavailable(err) || IsTimeout(err) || err != nil && code(err) == codes.Canceled
}

// IsNotEmpty says that a project cannot be deleted since repos are in it.
func IsNotEmpty(err error) bool {
	return err != nil && code(err) == codes.FailedPrecondition && says(err, "still exists")
}

// IsMissingSecret says that a pipeline names a Kubernetes secret, or a key of
// one, that does not exist.
func IsMissingSecret(err error) bool {
	return says(err, "missing Kubernetes secret") || says(err, "Kubernetes secret") && says(err, "missing key")
}

// IsCommitFinished says that a commit was finished, by another writer perhaps,
// before something was added to it or it was to be finished.
func IsCommitFinished(err error) bool { return says(err, "has already finished") }

// isTriggerInTheWay says that a branch was not deleted since it has a trigger,
// or another one follows it (2.9 and later).
func isTriggerInTheWay(err error) bool {
	return says(err, "because it triggers branches", "because it is triggered by branches")
}

// isAutoscalingOfDefaults says that a spout was refused for autoscaling, which
// only the defaults of its cluster or project can have asked for (2.8 and later).
func isAutoscalingOfDefaults(err error) bool {
	return says(err, "utoscaling can't be used with spouts")
}

// IsReadWhileUpdated says that a spout cannot be updated while it runs, since
// another pipeline reads its output branch: pachd then wants to note a commit
// that it has not made (seen on 2.6.0 and 2.11.6). A stopped spout can be.
func IsReadWhileUpdated(err error) bool {
	return says(err, "add commit provenance") && says(err, "fk_to_commit")
}

// IsOutputBranch says that a commit on a spout's output branch was tried
// through another server than the sidecar of the spout's own pod.
func IsOutputBranch(err error) bool { return says(err, "cannot start a commit on an output branch") }
