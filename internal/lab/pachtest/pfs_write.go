// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

// Lifetimes of file sets.
const (
	defaultFileSetTTL = 10 * time.Minute
	maxFileSetTTL     = 30 * time.Minute
)

// ModifyFile applies a stream of changes, all or none, to an open commit, or
// to a branch. On a branch whose head is not open it makes a commit of its own.
func (a *pfsAPI) ModifyFile(stream pfs.API_ModifyFileServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	set, ok := first.Body.(*pfs.ModifyFileRequest_SetCommit)
	if !ok {
		return unknown("first message must be a commit")
	}
	target := set.SetCommit
	switch {
	case target == nil:
		return unknown("commit cannot be nil")
	case target.AccessRepo() == nil:
		return unknown("commit must have a repo")
	case target.Branch == nil && !a.v211:
		return a.side.crash("ModifyFile without a branch in the commit")
	}
	ctx := stream.Context()
	branchName, id := target.GetBranch().GetName(), target.ID
	if branchName == "" && !isID(id) {
		branchName, id = id, ""
	}
	key := keyOfRepo(target.AccessRepo()).branch(branchName)

	a.mu.Lock()
	open, err := a.resolve(target)
	oneOff := err != nil && isNotFound(err) && branchName != ""
	if err == nil && open.finishing != nil {
		oneOff = id == ""
		if !oneOff {
			err = errFinished(open)
		}
	}
	a.mu.Unlock()
	if err != nil && !oneOff {
		return err
	}

	base := func() *tree {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.logicalTotal(open)
	}
	edits := changes{}
	if err := a.readChanges(ctx, stream, edits, base); err != nil {
		return err
	}
	if err := a.commitChanges(ctx, open, key, oneOff, edits); err != nil {
		return err
	}
	return stream.SendAndClose(&types.Empty{})
}

func (a *pfsAPI) commitChanges(ctx context.Context, open *commit, key branchKey, oneOff bool, edits changes) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !oneOff {
		if open.deleted {
			return a.errCommitNotFound(open.repo.key, open.id)
		}
		a.addChanges(open, edits)
		return nil
	}
	c, err := a.startCommit(ctx, nil, key.message(), "")
	if err != nil {
		return err
	}
	c.diff.then(edits)
	a.finishCommit(c, "", "")
	return nil
}

// addChanges appends to a commit's diff. Pachyderm does not look again whether
// the commit is still open: on a finished one this drops the total file set.
func (s *Server) addChanges(c *commit, edits changes) {
	c.diff.then(edits)
	if c.finished != nil {
		c.total, c.forgotten = nil, true
	}
	s.touch()
}

// changeStream is the receiving side of ModifyFile and CreateFileSet.
type changeStream interface {
	Recv() (*pfs.ModifyFileRequest, error)
}

// readChanges collects a stream of changes. The base is what deleting a folder
// looks into.
func (a *pfsAPI) readChanges(ctx context.Context, stream changeStream, edits changes, base func() *tree) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch body := m.Body.(type) {
		case *pfs.ModifyFileRequest_AddFile:
			err = addFile(edits, body.AddFile)
		case *pfs.ModifyFileRequest_DeleteFile:
			err = deleteFile(edits, body.DeleteFile, base)
		case *pfs.ModifyFileRequest_CopyFile:
			err = a.copyFile(ctx, edits, body.CopyFile)
		case *pfs.ModifyFileRequest_SetCommit:
			err = unknown("cannot set commit")
		default:
			err = unknown("unrecognized message type")
		}
		if err != nil {
			return err
		}
	}
}

func addFile(edits changes, m *pfs.AddFile) error {
	if err := validatePath(m.Path); err != nil {
		return err
	}
	if m.GetUrl() != nil {
		return unknown("the fake pachd does not download URLs")
	}
	edits.add(cleanPath(m.Path), m.Datum, m.GetRaw().GetValue())
	return nil
}

func deleteFile(edits changes, m *pfs.DeleteFile, base func() *tree) error {
	if err := validatePath(m.Path); err != nil {
		return err
	}
	if m.Path[len(m.Path)-1] == '/' {
		edits.deleteDir(cleanDir(m.Path), m.Datum, base())
		return nil
	}
	edits.delete(cleanPath(m.Path), m.Datum)
	return nil
}

// copyFile copies a file or a folder, also "/", from another commit. It shares
// the contents.
func (a *pfsAPI) copyFile(ctx context.Context, edits changes, m *pfs.CopyFile) error {
	_, source, err := a.open(ctx, m.GetSrc().GetCommit())
	if err != nil {
		return err
	}
	from, to := cleanPath(m.Src.Path), cleanPath(m.Dst)
	below := cleanDir(m.Src.Path)
	source.walk(from, func(f *file) bool {
		var target string
		switch {
		case f.path == from:
			target = to
		case len(f.path) > len(below) && f.path[:len(below)] == below:
			target = cleanPath(to + "/" + f.path[len(below):])
		default:
			return len(f.path) >= len(from) && f.path[:len(from)] == from
		}
		if m.Src.Datum != "" && m.Src.Datum != f.datum {
			return true
		}
		if !m.Append {
			edits.delete(target, m.Datum)
		}
		edits.add(target, m.Datum, f.parts...)
		return true
	})
	return nil
}

// CreateFileSet keeps a stream of changes for a commit to come.
func (a *pfsAPI) CreateFileSet(stream pfs.API_CreateFileSetServer) error {
	edits := changes{}
	if err := a.readChanges(stream.Context(), stream, edits, func() *tree { return nil }); err != nil {
		return err
	}
	a.mu.Lock()
	id := a.keepFileSet(edits)
	a.mu.Unlock()
	return stream.SendAndClose(&pfs.CreateFileSetResponse{FileSetId: id})
}

// keepFileSet stores changes and forgets those that have expired.
func (s *Server) keepFileSet(edits changes) string {
	now := s.clock()
	for id, f := range s.fileSets {
		if now.After(f.expires) {
			delete(s.fileSets, id)
		}
	}
	id := newID()
	s.fileSets[id] = &fileSet{changes: edits, expires: now.Add(defaultFileSetTTL)}
	return id
}

func (s *Server) findFileSet(id string) (*fileSet, error) {
	if b, err := hex.DecodeString(id); err != nil || len(b) != 16 {
		return nil, unknown("invalid file set id %q", id)
	}
	f := s.fileSets[id]
	if f == nil || s.clock().After(f.expires) {
		return nil, unknown("path does not exist")
	}
	return f, nil
}

func (a *pfsAPI) AddFileSet(_ context.Context, req *pfs.AddFileSetRequest) (*types.Empty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.resolve(req.Commit)
	if err != nil {
		return nil, err
	}
	if c.finishing != nil {
		return nil, errFinished(c)
	}
	f, err := a.findFileSet(req.FileSetId)
	if err != nil {
		return nil, err
	}
	a.addChanges(c, f.changes)
	return &types.Empty{}, nil
}

func (a *pfsAPI) RenewFileSet(_ context.Context, req *pfs.RenewFileSetRequest) (*types.Empty, error) {
	ttl := time.Duration(req.TtlSeconds) * time.Second
	if ttl < time.Second {
		return nil, unknown("ttl (%d) must be at least one second", ttl)
	}
	if ttl > maxFileSetTTL {
		return nil, unknown("ttl (%d) exceeds max ttl (%d)", ttl, maxFileSetTTL)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := a.findFileSet(req.FileSetId)
	if err != nil {
		return nil, err
	}
	f.expires = a.clock().Add(ttl)
	return &types.Empty{}, nil
}

// GetFileSet makes a file set of what a commit holds.
func (a *pfsAPI) GetFileSet(ctx context.Context, req *pfs.GetFileSetRequest) (*pfs.CreateFileSetResponse, error) {
	_, t, err := a.open(ctx, req.Commit)
	if err != nil {
		return nil, err
	}
	edits := changes{}
	t.walk("", func(f *file) bool {
		edits.add(f.path, f.datum, f.parts...)
		return true
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	return &pfs.CreateFileSetResponse{FileSetId: a.keepFileSet(edits)}, nil
}

// ComposeFileSet lays file sets over each other.
func (a *pfsAPI) ComposeFileSet(_ context.Context, req *pfs.ComposeFileSetRequest) (*pfs.CreateFileSetResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	edits := changes{}
	for _, id := range req.FileSetIds {
		f, err := a.findFileSet(id)
		if err != nil {
			return nil, err
		}
		edits.then(f.changes)
	}
	id := a.keepFileSet(edits)
	if ttl := time.Duration(req.TtlSeconds) * time.Second; ttl > 0 {
		a.fileSets[id].expires = a.clock().Add(ttl)
	}
	return &pfs.CreateFileSetResponse{FileSetId: id}, nil
}
