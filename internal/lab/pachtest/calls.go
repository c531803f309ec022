// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"path"
	"strings"
	"sync"
	"time"

	"github.com/gogo/protobuf/proto"
	"google.golang.org/grpc/codes"
)

// Call is one RPC that reached the server.
type Call struct {
	Method    string // full, as /pfs_v2.API/StartCommit
	Side      Side
	Pipeline  string // of a sidecar: project/pipeline
	Request   proto.Message
	Messages  int // that a client's stream has sent
	Time      time.Time
	UserAgent string
	Principal string // with authentication
	Done      bool
	Code      codes.Code // once done, as the client was told
}

// maxCalls bounds the log; the older half is dropped when it is full.
const maxCalls = 1 << 16

type callLog struct {
	mu     sync.Mutex
	calls  []*Call
	writes int
}

// reads are the methods that change nothing.
var readVerbs = []string{"Inspect", "List", "Get", "Walk", "Glob", "Diff", "Subscribe", "Find", "WhoAmI", "Check", "Watch", "Authorize"}

// isWrite says whether an RPC changes the server's state. Robot tokens count:
// each call mints one.
func isWrite(method string) bool {
	name := path.Base(method)
	if name == "GetRobotToken" {
		return true
	}
	for _, verb := range readVerbs {
		if strings.HasPrefix(name, verb) {
			return false
		}
	}
	return true
}

func (l *callLog) begin(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) >= maxCalls {
		l.calls = append([]*Call(nil), l.calls[maxCalls/2:]...)
	}
	l.calls = append(l.calls, c)
	if isWrite(c.Method) {
		l.writes++
	}
}

func (l *callLog) update(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
}

// methodMatches compares a full method with a pattern: full, a suffix such as
// FinishCommit or API/FinishCommit, or empty for all.
func methodMatches(method, pattern string) bool {
	return pattern == "" || method == pattern || strings.HasSuffix(method, "/"+strings.TrimPrefix(pattern, "/")) ||
		strings.HasSuffix(method, "."+strings.TrimPrefix(pattern, "/"))
}

// Calls lists the calls of a method in the order of their arrival. The method
// is a full name, a suffix such as "FinishCommit", or empty for all.
func (s *Server) Calls(method string) []Call {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	var found []Call
	for _, c := range s.calls.calls {
		if methodMatches(c.Method, method) {
			found = append(found, *c)
		}
	}
	return found
}

// Writes counts the calls so far that were meant to change something, also
// those that failed.
func (s *Server) Writes() int {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	return s.calls.writes
}
