// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc/codes"
)

var fileCases = []conformanceCase{
	{"adding appends", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1"), addChange("/a", "2")))
		s.ok(s.modify(s.pfs, s.at("r", ""), addChange("a", "3")))
		s.equal(s.files("r", ""), "/a=123")
	}},
	{"deleting and adding replaces", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1"), addChange("/b", "1")))
		s.ok(s.modify(s.pfs, s.at("r", ""), deleteChange("/a"), addChange("/a", "2"), deleteChange("/a"), addChange("/a", "3"), addChange("/b", "2"), deleteChange("/b")))
		s.equal(s.files("r", ""), "/a=3")
	}},
	{"file sets replace too", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		set := s.fileSet(s.pfs, deleteChange("/a"), addChange("/a", "1"))
		id := s.start(s.pfs, "r")
		for range 2 { // as a server that runs a transaction again
			_, err := s.pfs.AddFileSet(s.ctx, &pfs.AddFileSetRequest{Commit: s.at("r", id), FileSetId: set})
			s.ok(err)
		}
		s.finish(s.pfs, "r", id, "", "")
		s.equal(s.files("r", id), "/a=1")
	}},
	{"lifetime of file sets", func(_ *testing.T, s *suite) {
		set := s.fileSet(s.pfs, addChange("/a", "1"))
		_, err := s.pfs.RenewFileSet(s.ctx, &pfs.RenewFileSetRequest{FileSetId: set, TtlSeconds: 60})
		s.ok(err)
		_, err = s.pfs.RenewFileSet(s.ctx, &pfs.RenewFileSetRequest{FileSetId: set, TtlSeconds: 1801})
		s.fails(err, codes.Unknown, "exceeds max ttl")
		_, err = s.pfs.RenewFileSet(s.ctx, &pfs.RenewFileSetRequest{FileSetId: set})
		s.fails(err, codes.Unknown, "must be at least one second")
		s.createRepo("r")
		id := s.start(s.pfs, "r")
		_, err = s.pfs.AddFileSet(s.ctx, &pfs.AddFileSetRequest{Commit: s.at("r", id), FileSetId: newID()})
		s.fails(err, codes.Unknown, "path does not exist")
	}},
	{"sizes", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		id := s.write(s.pfs, "r", "", addChange("/a", "12"), addChange("/b", "345"))
		info := s.finished("r", id)
		s.equal(info.Details.SizeBytes, 5)
		if s.is211() {
			s.equal(info.SizeBytesUpperBound, 0)
		} else {
			s.equal(info.SizeBytesUpperBound, 5)
		}
		list, err := s.pfs.ListCommit(s.ctx, &pfs.ListCommitRequest{Repo: s.repo("r"), To: s.at("r", id), All: true})
		s.ok(err)
		listed, err := list.Recv()
		s.ok(err)
		s.equal(listed.SizeBytesUpperBound, 5)
		repo, err := s.pfs.InspectRepo(s.ctx, &pfs.InspectRepoRequest{Repo: s.repo("r")})
		s.ok(err)
		s.equal(repo.Details.SizeBytes, 5)
	}},
	{"a missing repo takes no writes", func(_ *testing.T, s *suite) {
		text := "repo " + s.project + "/r not found"
		s.fails(s.modify(s.pfs, s.at("r", ""), addChange("/a", "1")), codes.NotFound, text)
		_, err := s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("r", "master")})
		s.fails(err, codes.NotFound, text)
	}},
	{"folders are deleted with a slash", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/d/a", "1"), addChange("/d/e/b", "2"), addChange("/dx", "3")))
		s.finished("r", s.head("r"))
		s.ok(s.modify(s.pfs, s.at("r", ""), deleteChange("/d/"), addChange("/d/c", "4")))
		s.equal(s.files("r", ""), "/d/c=4 /dx=3")
	}},
	{"rules for paths", func(t *testing.T, s *suite) {
		s.createRepo("r")
		bad := map[string]string{"/a*": "globbing character (*) not allowed", "/a[": "globbing character", "/a@b": "globbing character",
			"/ä": "only printable ASCII characters allowed", "": "only printable ASCII characters allowed",
			"/a/../b": "relative file paths are not allowed", "/./b": "relative file paths are not allowed"}
		for path, text := range bad {
			s.fails(s.modify(s.pfs, s.at("r", ""), addChange(path, "x")), codes.Unknown, text)
		}
		s.ok(s.modify(s.pfs, s.at("r", ""), addChange("/a b/%40~#$&,;=.:_-'\"", "x"), addChange("/.spout/..x", "y")))
		s.equal(s.files("r", ""), `/.spout/..x=y /a b/%40~#$&,;=.:_-'"=x`)
	}},
	{"copies of a file, a folder and all", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.createRepo("copy")
		id := s.write(s.pfs, "r", "", addChange("/d/a", "1"), addChange("/d/b", "2"), addChange("/e", "3"))
		from := func(p string) *pfs.File { return &pfs.File{Commit: s.at("r", id), Path: p} }
		s.ok(s.modify(s.pfs, s.at("copy", ""), copyChange(from("/e"), "/f"), copyChange(from("/d"), "/g")))
		s.equal(s.files("copy", ""), "/f=3 /g/a=1 /g/b=2")
		s.ok(s.modify(s.pfs, s.at("copy", ""), deleteChange("/f"), deleteChange("/g/a"), deleteChange("/g/b"), addChange("/e", "old"), copyChange(from("/"), "/")))
		s.equal(s.files("copy", ""), "/d/a=1 /d/b=2 /e=3")
	}},
	{"reading", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.write(s.pfs, "r", "", addChange("/d/a", "one"), addChange("/d/e/b", "three"), addChange("/c", ""))
		file := func(p string) *pfs.File { return &pfs.File{Commit: s.at("r", ""), Path: p} }
		paths := func(infos []*pfs.FileInfo, err error) string {
			s.t.Helper()
			s.ok(err)
			var all []string
			for _, info := range infos {
				all = append(all, fmt.Sprintf("%s:%d", info.File.Path, info.SizeBytes))
			}
			return strings.Join(all, " ")
		}
		list, err := s.pfs.ListFile(s.ctx, &pfs.ListFileRequest{File: file("/")})
		s.ok(err)
		s.equal(paths(receiveAll(list.Recv)), "/c:0 /d/:8")
		list, err = s.pfs.ListFile(s.ctx, &pfs.ListFileRequest{File: file("/d")})
		s.ok(err)
		s.equal(paths(receiveAll(list.Recv)), "/d/a:3 /d/e/:5")
		walk, err := s.pfs.WalkFile(s.ctx, &pfs.WalkFileRequest{File: file("/")})
		s.ok(err)
		s.equal(paths(receiveAll(walk.Recv)), "/:8 /c:0 /d/:8 /d/a:3 /d/e/:5 /d/e/b:5")
		glob, err := s.pfs.GlobFile(s.ctx, &pfs.GlobFileRequest{Commit: s.at("r", ""), Pattern: "/d/*"})
		s.ok(err)
		s.equal(paths(receiveAll(glob.Recv)), "/d/a:3 /d/e/:5")
		info, err := s.pfs.InspectFile(s.ctx, &pfs.InspectFileRequest{File: file("/d/e")})
		s.ok(err)
		s.equal(info.FileType, pfs.FileType_DIR)
		get, err := s.pfs.GetFile(s.ctx, &pfs.GetFileRequest{File: file("/d/a"), Offset: 1})
		s.ok(err)
		chunks, err := receiveAll(get.Recv)
		s.ok(err)
		s.equal(string(chunks[0].Value), "ne")
		get, err = s.pfs.GetFile(s.ctx, &pfs.GetFileRequest{File: file("/d/**")})
		s.ok(err)
		_, err = get.Recv()
		s.fails(err, codes.Unknown, "Use GetFileTAR instead")
	}},
	{"missing files", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		id := s.write(s.pfs, "r", "", addChange("/a", "1"))
		text := fmt.Sprintf("file /x not found in repo %s/r at commit %s", s.project, id)
		_, err := s.pfs.InspectFile(s.ctx, &pfs.InspectFileRequest{File: &pfs.File{Commit: s.at("r", id), Path: "/x"}})
		s.fails(err, codes.NotFound, text)
		get, err := s.pfs.GetFile(s.ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: s.at("r", id), Path: "/x"}})
		s.ok(err)
		_, err = get.Recv()
		s.fails(err, codes.NotFound, text)
	}},
	{"an open commit over a finished one can be read", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.finished("r", s.write(s.pfs, "r", "", addChange("/a", "1")))
		id := s.start(s.pfs, "r")
		s.ok(s.modify(s.pfs, s.at("r", id), addChange("/b", "2")))
		s.equal(s.files("r", id), "/a=1 /b=2")
	}},
}
