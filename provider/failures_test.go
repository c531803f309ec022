// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// failure is an error that a server may answer with, and what a message about
// it has to say.
type failure struct {
	name string
	err  error
	want string
}

// failures are those that may come at any time. NotFound and AlreadyExists
// mean something to an object, and have tests of their own.
var failures = []failure{
	{"unauthenticated", status.Error(codes.Unauthenticated, "no authentication token (try logging in)"), "auth_token"},
	{"expired", status.Error(codes.Internal, "token expiration is in the past"), "auth_token"},
	{"denied by 2.6", status.Error(codes.Unknown, "robot:x is not authorized to perform this operation - needs permissions [REPO_WRITE] on REPO default/x"), "role"},
	{"denied", status.Error(codes.PermissionDenied, "robot:x is not authorized to perform this operation"), "role"},
	{"unavailable", status.Error(codes.Unavailable, "going down"), "cannot be reached"},
	{"deadline", status.Error(codes.DeadlineExceeded, "too slow"), "request_timeout"},
	{"invalid", status.Error(codes.InvalidArgument, "validate request: invalid X: value is required"), "value is required"},
	{"unknown", status.Error(codes.Unknown, "something broke"), "Something broke"},
	{"internal", status.Error(codes.Internal, "something broke"), "Something broke"},
}

// isUnanswered says that a create which ends so may have been done.
func (f failure) isUnanswered() bool {
	c := status.Code(f.err)
	return c == codes.Unavailable || c == codes.DeadlineExceeded
}

// injected are the failures that tests had calls answer, by method.
var injected struct {
	sync.Mutex
	names map[string][]string
}

// inject has each call of a method fail so.
func (f failure) inject(s *pachtest.Server, method string) *pachtest.Injected {
	injected.Lock()
	defer injected.Unlock()
	if injected.names == nil {
		injected.names = map[string][]string{}
	}
	injected.names[method] = append(injected.names[method], f.name)
	return s.Inject(pachtest.Fault{Method: method, Count: -1, Before: f.err})
}

// failuresElsewhere are calls whose failures have tests of their own kind, or
// that the provider does not make.
var failuresElsewhere = map[string]string{
	"Authenticate":  "TestFailedLoginIsRemembered",
	"StartCommit":   "the runner's",
	"CreateFileSet": "the runner's",
	"RenewFileSet":  "the runner's",
	"AddFileSet":    "the runner's",
	"WalkFile":      "the runner's",
	"GetFile":       "the runner's",
}

var callOfClient = regexp.MustCompile(`\.(?:PFS|PPS|Auth|Admin|Version|Transaction)\.([A-Z][A-Za-z]+)\(`)

// failuresLeftOut lists the calls of internal/pachyderm, and the failures that
// no test had them answer. It is for after all tests.
func failuresLeftOut() (left []string, err error) {
	files, err := filepath.Glob("../internal/pachyderm/*.go")
	if err != nil {
		return nil, err
	}
	calls := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, call := range callOfClient.FindAllStringSubmatch(string(text), -1) {
			calls[call[1]] = !strings.HasSuffix(file, "_test.go") || calls[call[1]]
		}
	}
	for method := range failuresElsewhere {
		if !calls[method] {
			left = append(left, method+" is in failuresElsewhere, and is not called")
		}
	}
	for method, isCalled := range calls {
		if !isCalled || failuresElsewhere[method] != "" {
			continue
		}
		for _, f := range failures {
			if !slices.Contains(injected.names[method], f.name) && !f.isUnanswered() {
				left = append(left, fmt.Sprintf("no test has %s answer %q", method, f.name))
			}
		}
	}
	slices.Sort(left)
	return left, nil
}
