// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var commitCases = []conformanceCase{
	{"an open head locks the branch", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		id := s.start(s.pfs, "r")
		_, err := s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("r", "master")})
		s.fails(err, codes.Unknown, "parent commit "+s.project+"/r@"+id+" has not been finished")
		s.finish(s.pfs, "r", id, "", "")
		s.start(s.pfs, "r")
	}},
	{"writes to a branch pour into its open head", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		id := s.start(s.pfs, "r")
		s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1")))
		s.equal(s.head("r"), id)
		s.equal(s.inspect("r", id, pfs.CommitState_STARTED).Finishing == nil, true)
		s.equal(s.files("r", id), "/a=1")
	}},
	{"a rolled back commit gives its files to nobody", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.write(s.pfs, "r", "", addChange("/a", "1"))
		set := s.fileSet(s.pfs, addChange("/lost", "x"))
		id := s.start(s.pfs, "r")
		_, err := s.pfs.AddFileSet(s.ctx, &pfs.AddFileSetRequest{Commit: s.at("r", id), FileSetId: set})
		s.ok(err)
		s.finish(s.pfs, "r", id, "", "superseded")
		next := s.write(s.pfs, "r", "", addChange("/b", "2"))
		info := s.finished("r", next)
		s.equal(info.ParentCommit.ID, id)
		s.equal(info.Error, "")
		s.equal(s.files("r", next), "/a=1 /b=2")
		s.equal(s.finished("r", id).Error, "superseded")
	}},
	{"a finished commit takes nothing more", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		set := s.fileSet(s.pfs, addChange("/late", "x"))
		id := s.start(s.pfs, "r")
		s.finish(s.pfs, "r", id, "", "rolled back")
		_, err := s.pfs.AddFileSet(s.ctx, &pfs.AddFileSetRequest{Commit: s.at("r", id), FileSetId: set})
		s.fails(err, codes.Unknown, "has already finished")
		_, err = s.pfs.FinishCommit(s.ctx, &pfs.FinishCommitRequest{Commit: s.at("r", id)})
		s.fails(err, codes.Unknown, "commit "+s.project+"/r@"+id+" has already finished")
		s.fails(s.modify(s.pfs, s.at("r", id), addChange("/late", "x")), codes.Unknown, "has already finished")
	}},
	{"descriptions are kept whole", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		c, err := s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("r", "master"), Description: "first"})
		s.ok(err)
		s.equal(s.inspect("r", c.ID, pfs.CommitState_STARTED).Description, "first")
		long := "spout/1 {\"text\":\"" + strings.Repeat("ä", 32<<10) + "\"}"
		s.finish(s.pfs, "r", c.ID, long, "")
		s.equal(s.finished("r", c.ID).Description == long, true)
		c, err = s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("r", "master"), Description: "kept"})
		s.ok(err)
		s.finish(s.pfs, "r", c.ID, "", "")
		s.equal(s.finished("r", c.ID).Description, "kept")
	}},
	{"a path collision shows at FINISHED only", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.write(s.pfs, "r", "", addChange("/a", "1"))
		bad := s.write(s.pfs, "r", "kept", addChange("/a/b", "2"))
		next := s.write(s.pfs, "r", "", addChange("/c", "3"))
		info := s.finished("r", bad)
		s.equal(info.Error, "file / directory path collision (/a/b)")
		s.equal(info.Description, "kept")
		s.equal(s.finished("r", next).Error, "")
		s.equal(s.files("r", next), "/a=1 /c=3")
	}},
	{"waiting ends with the deadline", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		id := s.start(s.pfs, "r")
		ctx, cancel := context.WithTimeout(s.ctx, 300*time.Millisecond)
		defer cancel()
		_, err := s.pfs.InspectCommit(ctx, &pfs.InspectCommitRequest{Commit: s.at("r", id), Wait: pfs.CommitState_FINISHED})
		if status.Code(err) == codes.Unknown { // the server has noticed it first
			s.fails(err, codes.Unknown, "context deadline exceeded")
		} else {
			s.fails(err, codes.DeadlineExceeded, "")
		}
		s.finish(s.pfs, "r", id, "", "")
		s.equal(s.inspect("r", id, pfs.CommitState_FINISHING).Finishing != nil, true)
		s.equal(s.finished("r", id).Finished != nil, true)
	}},
	{"a one-off write is a commit of its own", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1")))
		first := s.head("r")
		s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/b", "2")))
		second := s.finished("r", s.head("r"))
		s.equal(second.ParentCommit.ID, first)
		s.equal(second.Origin.Kind, pfs.OriginKind_USER)
		s.equal(s.files("r", ""), "/a=1 /b=2")
	}},
	{"a broken one-off write leaves nothing", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1")))
		before := s.head("r")
		ctx, cancel := context.WithCancel(s.ctx)
		stream, err := s.pfs.ModifyFile(ctx)
		s.ok(err)
		s.ok(stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: s.at("r", "")}}))
		s.ok(stream.Send(addChange("/b", "2")))
		cancel() // CloseAndRecv might still end the stream in good order
		s.fails(stream.RecvMsg(&types.Empty{}), codes.Canceled, "")
		s.fails(s.modify(s.pfs, s.at("r", ""), addChange("/c", "3"), addChange("/bad*", "")), codes.Unknown, "globbing character")
		s.equal(s.head("r"), before)
	}},
	{"lists of commits", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		var ids []string
		for _, p := range []string{"/1", "/2", "/3"} {
			ids = append(ids, s.write(s.pfs, "r", "", addChange(p, "")))
		}
		list := func(req *pfs.ListCommitRequest) string {
			s.t.Helper()
			req.Repo = s.repo("r")
			stream, err := s.pfs.ListCommit(s.ctx, req)
			s.ok(err)
			infos, err := receiveAll(stream.Recv)
			s.ok(err)
			names := map[string]string{ids[0]: "1", ids[1]: "2", ids[2]: "3"}
			text := ""
			for _, info := range infos {
				text += names[info.Commit.ID]
			}
			return text
		}
		s.equal(list(&pfs.ListCommitRequest{}), "321")
		s.equal(list(&pfs.ListCommitRequest{Reverse: true}), "123")
		s.equal(list(&pfs.ListCommitRequest{Number: 2}), "32")
		s.equal(list(&pfs.ListCommitRequest{To: s.at("r", ids[1])}), "21")
		s.equal(list(&pfs.ListCommitRequest{To: s.at("r", ids[2]), From: s.at("r", ids[0])}), "32")
		s.equal(list(&pfs.ListCommitRequest{OriginKind: pfs.OriginKind_AUTO}), "")
		stream, err := s.pfs.ListCommit(s.ctx, &pfs.ListCommitRequest{Repo: s.repo("r"), From: s.at("r", ids[0])})
		s.ok(err)
		_, err = stream.Recv()
		s.fails(err, codes.Unknown, "cannot use `from` commit without `to` commit")
	}},
	{"subscribing follows a branch", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		first := s.write(s.pfs, "r", "", addChange("/1", ""))
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		stream, err := s.pfs.SubscribeCommit(ctx, &pfs.SubscribeCommitRequest{Repo: s.repo("r"), Branch: "master", State: pfs.CommitState_FINISHED})
		s.ok(err)
		info, err := stream.Recv()
		s.ok(err)
		s.equal(info.Commit.ID, first)
		s.equal(info.Finished != nil, true)
		second := s.write(s.pfs, "r", "", addChange("/2", ""))
		info, err = stream.Recv()
		s.ok(err)
		s.equal(info.Commit.ID, second)
	}},
	{"a parent forks, and moves the head", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		first := s.write(s.pfs, "r", "", addChange("/1", ""))
		second := s.write(s.pfs, "r", "", addChange("/2", ""))
		s.finished("r", second)
		c, err := s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("r", "master"), Parent: s.at("r", first)})
		s.ok(err)
		s.finish(s.pfs, "r", c.ID, "", "")
		s.equal(s.head("r"), c.ID)
		s.equal(s.finished("r", c.ID).ParentCommit.ID, first)
		s.equal(s.inspect("r", c.ID+"^", pfs.CommitState_STARTED).Commit.ID, first)
		s.equal(s.files("r", c.ID), "/1=")
	}},
	{"commits name their branch before 2.11 only", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		c, err := s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("r", "master")})
		s.ok(err)
		s.equal(c.Branch == nil, s.is211())
		s.equal(c.Repo.Name, "r")
		s.equal(s.inspect("r", c.ID, pfs.CommitState_STARTED).Commit.Branch == nil, s.is211())
		if s.is211() {
			s.ok(s.modify(s.pfs, &pfs.Commit{Repo: s.repo("r"), ID: c.ID}, addChange("/a", "1")))
			s.equal(s.files("r", c.ID), "/a=1")
		}
	}},
	{"missing commits", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		id := newID()
		_, err := s.pfs.InspectCommit(s.ctx, &pfs.InspectCommitRequest{Commit: s.at("r", id)})
		s.fails(err, codes.NotFound, "not found")
		_, err = s.pfs.FinishCommit(s.ctx, &pfs.FinishCommitRequest{Commit: s.at("r", id)})
		s.fails(err, codes.NotFound, "not found")
		_, err = s.pfs.InspectCommit(s.ctx, &pfs.InspectCommitRequest{Commit: s.at("r", "")})
		s.fails(err, codes.NotFound, "not found")
	}},
	{"squash and drop", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		first := s.write(s.pfs, "r", "", addChange("/1", "a"))
		second := s.write(s.pfs, "r", "", addChange("/2", "b"))
		s.finished("r", second)
		_, err := s.pfs.SquashCommitSet(s.ctx, &pfs.SquashCommitSetRequest{CommitSet: &pfs.CommitSet{ID: second}})
		s.fails(err, codes.Unknown, "cannot squash a commit that has no children")
		_, err = s.pfs.DropCommitSet(s.ctx, &pfs.DropCommitSetRequest{CommitSet: &pfs.CommitSet{ID: first}})
		s.fails(err, codes.Unknown, "cannot drop a commit that has children")
		_, err = s.pfs.SquashCommitSet(s.ctx, &pfs.SquashCommitSetRequest{CommitSet: &pfs.CommitSet{ID: first}})
		s.ok(err)
		s.equal(s.files("r", second), "/1=a /2=b")
	}},
}
