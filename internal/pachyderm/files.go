// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

// File is a file of a finished commit.
type File struct {
	Path string
	Size int64
	Hash string // of the content, in hexadecimal
}

// Files lists all files of a commit, sorted by path.
func (b *Branch) Files(ctx context.Context, id string) ([]File, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := b.client.PFS.WalkFile(ctx, &pfs.WalkFileRequest{File: &pfs.File{Commit: b.commit(id), Path: "/"}})
	var files []File
	for err == nil {
		var info *pfs.FileInfo
		if info, err = stream.Recv(); err == nil && info.FileType == pfs.FileType_FILE {
			files = append(files, File{Path: info.GetFile().GetPath(), Size: info.SizeBytes, Hash: hex.EncodeToString(info.Hash)})
		}
	}
	if errors.Is(err, io.EOF) || IsNotFound(err) { // an empty commit has not even a root
		return files, nil
	}
	return nil, fmt.Errorf("list files of commit %s of %s: %w", id, b, err)
}

// ReadFile returns the content of one file.
func (b *Branch) ReadFile(ctx context.Context, id, path string) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := b.client.PFS.GetFile(ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: b.commit(id), Path: path}})
	var content bytes.Buffer
	for err == nil {
		var piece *types.BytesValue
		if piece, err = stream.Recv(); err == nil {
			content.Write(piece.Value)
		}
	}
	if errors.Is(err, io.EOF) {
		return content.Bytes(), nil
	}
	return nil, fmt.Errorf("read %s of commit %s of %s: %w", path, id, b, err)
}
