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

// maxFiles bounds what a list of files takes: a million with long paths.
const maxFiles = 256 << 20

// Files lists all files of a commit, sorted by path.
func (b *Branch) Files(ctx context.Context, id string) ([]File, error) {
	ctx, cancel := b.client.limited(ctx)
	defer cancel()
	const beside = 150 // bytes that a file takes besides its path
	size := 0
	stream, err := b.client.PFS.WalkFile(ctx, &pfs.WalkFileRequest{File: &pfs.File{Commit: b.commit(id), Path: "/"}})
	var files []File
	for err == nil {
		var info *pfs.FileInfo
		if info, err = stream.Recv(); err == nil && info.FileType == pfs.FileType_FILE {
			file := File{Path: info.GetFile().GetPath(), Size: info.SizeBytes, Hash: hex.EncodeToString(info.Hash)}
			if size += beside + len(file.Path) + len(file.Hash); size > maxFiles {
				err = fmt.Errorf("they are more than %d, and the list takes more than %d MiB", len(files), maxFiles>>20)
			}
			files = append(files, file)
		}
	}
	if errors.Is(err, io.EOF) || IsNotFound(err) { // an empty commit has not even a root
		return files, nil
	}
	return nil, fmt.Errorf("list files of commit %s of %s: %w", id, b, err)
}

// ReadFile returns the content of one file.
func (b *Branch) ReadFile(ctx context.Context, id, path string) ([]byte, error) {
	ctx, cancel := b.client.limited(ctx)
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
