// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// plainPut writes content into a new repo through the sidecar at address, in
// commits of the same size as the runner's, one call each, and waits until the last is FINISHED. The rate
// is in MB (1e6 bytes) a second.
func (d *deployment) plainPut(ctx context.Context, address, name string, content []byte) (rate float64, err error) {
	if err := d.createRepo(ctx, name); err != nil {
		return 0, err
	}
	client, err := connect(address)
	if err != nil {
		return 0, err
	}
	defer client.Close() //nolint:errcheck // a measurement
	size := len(content)
	began := time.Now()
	for at := 0; at < size; at += batchBytes {
		if err := putOne(ctx, client, repo(name), fmt.Sprintf("/%012d", at), content[at:min(at+batchBytes, size)]); err != nil {
			return 0, err
		}
	}
	branch := client.Branch(pachyderm.DefaultProject, name, "master")
	head, err := branch.Head(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := branch.WaitFinished(ctx, head.ID); err != nil {
		return 0, err
	}
	return float64(size) / 1e6 / time.Since(began).Seconds(), nil
}

func incompressible(size int) []byte {
	content := make([]byte, size)
	fill(rand.New(rand.NewPCG(rand.Uint64(), 0)), content)
	return content
}

func putOne(ctx context.Context, client *pachyderm.Client, repo *pfs.Repo, path string, content []byte) error {
	stream, err := client.PFS.ModifyFile(ctx)
	if err != nil {
		return err
	}
	commit := &pfs.Commit{Repo: repo, Branch: &pfs.Branch{Repo: repo, Name: "master"}}
	if err := stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: commit}}); err != nil {
		return err
	}
	const piece = 2 << 20 // as pachctl sends
	for at := 0; at < len(content); at += piece {
		err := stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{Path: path,
			Source: &pfs.AddFile_Raw{Raw: &types.BytesValue{Value: content[at:min(at+piece, len(content))]}}}}})
		if err != nil {
			_, reason := stream.CloseAndRecv()
			return errors.Join(err, reason)
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}
