// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"strings"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

// readChunk is how much of a file one message of GetFile carries.
const readChunk = 2 << 20

// view is what reading a commit gives: the total of a finished one, otherwise
// its changes over a finished base. Callers hold s.mu.
func (s *Server) view(c *commit) (*tree, error) {
	if c.finished != nil && !c.errored() {
		if c.forgotten && s.v211 {
			return nil, unknown("the commit is forgotten")
		}
		return c.total, nil
	}
	var from *tree
	if base := c.base(); base != nil {
		if base.finished == nil {
			return nil, unknown("base commit %v for commit %v unfinished", base, c)
		}
		var err error
		if from, err = s.view(base); err != nil {
			return nil, err
		}
	}
	return c.diff.over(from), nil
}

// logicalTotal is the view that a commit will have, without waiting.
func (s *Server) logicalTotal(c *commit) *tree {
	if c == nil {
		return nil
	}
	if c.finished != nil && !c.errored() {
		return c.total
	}
	return c.diff.over(s.logicalTotal(c.base()))
}

// open resolves a commit for reading; it waits while the commit is finishing.
func (s *Server) open(ctx context.Context, m *pfs.Commit) (*pfs.CommitInfo, *tree, error) {
	var info *pfs.CommitInfo
	var t *tree
	var c *commit
	err := s.wait(ctx, func() (done bool, err error) {
		if c == nil {
			if err := s.allowRepo(ctx, keyOfRepo(m.AccessRepo()), auth.Permission_REPO_READ); err != nil {
				return false, err
			}
			if c, err = s.resolve(m); err != nil {
				return false, err
			}
		}
		if c.deleted {
			return false, unknown("commit %s was deleted", c)
		}
		if c.finishing != nil && c.finished == nil {
			return false, nil
		}
		info = s.commitInfo(c)
		t, err = s.view(c)
		return true, err
	})
	return info, t, err
}

// entry is a file or, without one, a folder (its path ends with a slash).
type entry struct {
	path  string
	file  *file
	files []*file // of a folder
}

func (e *entry) size() int64 {
	if e.file != nil {
		return e.file.size
	}
	var n int64
	for _, f := range e.files {
		n += f.size
	}
	return n
}

func (e *entry) hash() []byte {
	if e.file != nil {
		return e.file.hash()
	}
	h := sha256.New()
	for _, f := range e.files {
		h.Write(f.hash())
	}
	return h.Sum(nil)
}

// entries lists the files and folders below a path prefix in order.
func entries(t *tree, prefix string) []*entry {
	var all []*entry
	var open []*entry // folders around the current file
	t.walk(prefix, func(f *file) bool {
		if !strings.HasPrefix(f.path, prefix) {
			return false
		}
		for len(open) > 0 && !strings.HasPrefix(f.path, open[len(open)-1].path) {
			open = open[:len(open)-1]
		}
		done := 0
		if len(open) > 0 {
			done = len(open[len(open)-1].path)
		}
		for i := done; i < len(f.path); i++ {
			if f.path[i] != '/' {
				continue
			}
			dir := &entry{path: f.path[:i+1]}
			open = append(open, dir)
			if dir.path >= prefix {
				all = append(all, dir)
			}
		}
		for _, dir := range open {
			dir.files = append(dir.files, f)
		}
		all = append(all, &entry{path: f.path, file: f})
		return true
	})
	return all
}

func fileInfo(info *pfs.CommitInfo, e *entry) *pfs.FileInfo {
	fi := &pfs.FileInfo{
		File:      &pfs.File{Commit: info.Commit, Path: e.path},
		FileType:  pfs.FileType_DIR,
		Committed: info.Finishing,
		SizeBytes: e.size(),
		Hash:      e.hash(),
	}
	if e.file != nil {
		fi.FileType, fi.File.Datum = pfs.FileType_FILE, e.file.datum
	}
	return fi
}

func errFileNotFound(f *pfs.File) error {
	return notFound("file %v not found in repo %v at commit %v", f.Path, keyOfRepo(f.Commit.AccessRepo()), f.Commit.ID)
}

// matched opens a file's commit and lists what its path, a glob, matches with
// all that is below.
func (a *pfsAPI) matched(ctx context.Context, f *pfs.File) ([]*entry, error) {
	_, t, err := a.open(ctx, f.GetCommit())
	if err != nil {
		return nil, err
	}
	g, err := compileGlob(cleanPath(f.Path))
	if err != nil {
		return nil, err
	}
	var found []*entry
	below := ""
	for _, e := range entries(t, g.prefix) {
		if g.match(e.path) {
			if e.file == nil && (below == "" || !strings.HasPrefix(e.path, below)) {
				below = e.path
			}
		} else if below == "" || !strings.HasPrefix(e.path, below) {
			continue
		}
		if f.Datum == "" || e.file == nil || e.file.datum == f.Datum {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		return nil, errFileNotFound(f)
	}
	return found, nil
}

// GetFile streams the one file that a path matches.
func (a *pfsAPI) GetFile(req *pfs.GetFileRequest, stream pfs.API_GetFileServer) error {
	found, err := a.matched(stream.Context(), req.GetFile())
	if err != nil {
		return err
	}
	switch {
	case found[0].file == nil:
		return unknown("cannot get directory or non-regular file. Use GetFileTAR instead")
	case len(found) > 1:
		return unknown("matched multiple files. Use GetFileTAR instead")
	}
	skip := req.Offset
	for _, part := range found[0].file.parts {
		if skip >= int64(len(part)) {
			skip -= int64(len(part))
			continue
		}
		if err := sendBytes(part[skip:], stream.Send); err != nil {
			return err
		}
		skip = 0
	}
	return nil
}

func sendBytes(data []byte, send func(*types.BytesValue) error) error {
	for chunk := range slices.Chunk(data, readChunk) {
		if err := send(&types.BytesValue{Value: chunk}); err != nil {
			return err
		}
	}
	return nil
}

// GetFileTAR streams what a path matches as a tar archive.
func (a *pfsAPI) GetFileTAR(req *pfs.GetFileRequest, stream pfs.API_GetFileTARServer) error {
	found, err := a.matched(stream.Context(), req.GetFile())
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(writerFunc(func(p []byte) (int, error) {
		return len(p), sendBytes(slices.Clone(p), stream.Send)
	}), readChunk)
	w := tar.NewWriter(out)
	for _, e := range found {
		header := &tar.Header{Name: e.path}
		if e.file != nil {
			header.Size = e.file.size
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if e.file != nil {
			for _, part := range e.file.parts {
				if _, err := w.Write(part); err != nil {
					return err
				}
			}
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Flush()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

var _ io.Writer = writerFunc(nil)

func (a *pfsAPI) InspectFile(ctx context.Context, req *pfs.InspectFileRequest) (*pfs.FileInfo, error) {
	info, t, err := a.open(ctx, req.GetFile().GetCommit())
	if err != nil {
		return nil, err
	}
	p := strings.TrimSuffix(cleanPath(req.File.Path), "/")
	for _, e := range entries(t, p) {
		if e.path == p && e.file != nil || e.path == p+"/" {
			return fileInfo(info, e), nil
		}
	}
	return nil, errFileNotFound(req.File)
}

// page applies number, reverse and the marker of ListFile and WalkFile.
func page(all []*entry, marker *pfs.File, number int64, reverse bool) ([]*entry, error) {
	if number == 0 && reverse {
		return nil, unknown("number must be > 0 when reverse is true")
	}
	if number > 100000 {
		return nil, unknown("cannot return more than 100000 files at a time")
	}
	if marker != nil {
		all = slices.DeleteFunc(all, func(e *entry) bool {
			return reverse && e.path >= marker.Path || !reverse && e.path < marker.Path
		})
	}
	if reverse {
		slices.Reverse(all)
	}
	if number > 0 && int64(len(all)) > number {
		all = all[:number]
	}
	return all, nil
}

func sendInfos(info *pfs.CommitInfo, all []*entry, send func(*pfs.FileInfo) error) error {
	for _, e := range all {
		if err := send(fileInfo(info, e)); err != nil {
			return err
		}
	}
	return nil
}

// ListFile lists what is right below a path.
func (a *pfsAPI) ListFile(req *pfs.ListFileRequest, stream pfs.API_ListFileServer) error {
	info, t, err := a.open(stream.Context(), req.GetFile().GetCommit())
	if err != nil {
		return err
	}
	name, dir := cleanPath(req.File.Path), cleanDir(req.File.Path)
	all := slices.DeleteFunc(entries(t, name), func(e *entry) bool {
		if e.path == name && e.file != nil {
			return false
		}
		below, ok := strings.CutPrefix(e.path, dir)
		return !ok || below == "" || strings.Contains(strings.TrimSuffix(below, "/"), "/")
	})
	if all, err = page(all, req.PaginationMarker, req.Number, req.Reverse); err != nil {
		return err
	}
	return sendInfos(info, all, stream.Send)
}

// WalkFile lists a path and all that is below it.
func (a *pfsAPI) WalkFile(req *pfs.WalkFileRequest, stream pfs.API_WalkFileServer) error {
	info, t, err := a.open(stream.Context(), req.GetFile().GetCommit())
	if err != nil {
		return err
	}
	p := strings.TrimSuffix(cleanPath(req.File.Path), "/")
	all := slices.DeleteFunc(entries(t, p), func(e *entry) bool {
		return e.path != p && !strings.HasPrefix(e.path, p+"/")
	})
	if len(all) == 0 && p != "" {
		return notFound("commit/%s does not contain item: (%s)", info.Commit.ID, p)
	}
	if all, err = page(all, req.PaginationMarker, req.Number, req.Reverse); err != nil {
		return err
	}
	return sendInfos(info, all, stream.Send)
}

// GlobFile lists the files and folders that match a pattern.
func (a *pfsAPI) GlobFile(req *pfs.GlobFileRequest, stream pfs.API_GlobFileServer) error {
	info, t, err := a.open(stream.Context(), req.GetCommit())
	if err != nil {
		return err
	}
	g, err := compileGlob(cleanPath(req.Pattern))
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(entries(t, g.prefix), func(e *entry) bool { return !g.match(e.path) })
	return sendInfos(info, all, stream.Send)
}
