// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"fmt"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

// FileSetTTL is how long pachd keeps a file set that is in no commit and not renewed.
const FileSetTTL = 10 * time.Minute

// putChunk is the size of the messages that carry files: as large as keeps
// the per-message cost small, far below [MaxMessage].
const putChunk = 4 << 20

// FileSet is a set of files on its way to the server, invisible until it is
// added to a commit. It is used by one goroutine.
type FileSet struct {
	branch *Branch
	stream pfs.API_CreateFileSetClient
}

// NewFileSet opens an upload. It ends with ctx, or with [FileSet.Close].
func (b *Branch) NewFileSet(ctx context.Context) (*FileSet, error) {
	stream, err := b.client.PFS.CreateFileSet(ctx)
	if err != nil {
		return nil, fmt.Errorf("create file set: %w", err)
	}
	return &FileSet{branch: b, stream: stream}, nil
}

// Put writes a file whose content is the concatenation of parts. It replaces
// what the path holds: a delete goes before the add, since pachd appends, and
// would double the content when it retries a transaction.
func (f *FileSet) Put(path string, parts ...[]byte) error {
	if err := f.Delete(path); err != nil {
		return err
	}
	sent := false
	for _, data := range parts {
		for len(data) > 0 {
			n := min(len(data), putChunk)
			if err := f.add(path, data[:n]); err != nil {
				return err
			}
			data, sent = data[n:], true
		}
	}
	if !sent {
		return f.add(path, nil)
	}
	return nil
}

func (f *FileSet) add(path string, data []byte) error {
	return f.send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{
		Path: path, Source: &pfs.AddFile_Raw{Raw: &types.BytesValue{Value: data}}}}})
}

// Delete removes a file of the commit that the file set is added to.
func (f *FileSet) Delete(path string) error {
	return f.send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_DeleteFile{DeleteFile: &pfs.DeleteFile{Path: path}}})
}

// CopyTree copies all files of a commit of the branch's repo; only references move.
func (f *FileSet) CopyTree(commitID string) error { return f.Copy(commitID, "/") }

// Copy copies a file of a commit of the branch's repo, in place of what the path
// holds; only references move.
func (f *FileSet) Copy(commitID, path string) error {
	return f.send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_CopyFile{CopyFile: &pfs.CopyFile{
		Dst: path, Src: &pfs.File{Commit: f.branch.commit(commitID), Path: path}}}})
}

// send reports the server's reason: a client stream that the server has ended
// answers Send with a bare EOF.
func (f *FileSet) send(request *pfs.ModifyFileRequest) error {
	if err := f.stream.Send(request); err != nil {
		if _, reason := f.stream.CloseAndRecv(); reason != nil {
			err = reason
		}
		return fmt.Errorf("write file set: %w", err)
	}
	return nil
}

// Close ends the upload and returns the file set's id.
func (f *FileSet) Close() (id string, err error) {
	answer, err := f.stream.CloseAndRecv()
	if err != nil {
		return "", fmt.Errorf("finish file set: %w", err)
	}
	return answer.FileSetId, nil
}

// RenewFileSet keeps a file set for another [FileSetTTL].
func (c *Client) RenewFileSet(ctx context.Context, id string) error {
	_, err := c.PFS.RenewFileSet(ctx, &pfs.RenewFileSetRequest{FileSetId: id, TtlSeconds: int64(FileSetTTL / time.Second)})
	if err != nil {
		return fmt.Errorf("renew file set: %w", err)
	}
	return nil
}
