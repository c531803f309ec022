// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
)

// Branch is a branch of a repo, for a spout the output branch that it writes.
//
// On a spout's output branch only the sidecar in the spout's pod may start
// commits; any pachd may finish them.
type Branch struct {
	Project, Repo, Name string

	client *Client
}

// Branch returns a handle; nothing is asked of the server.
func (c *Client) Branch(project, repo, branch string) *Branch {
	return &Branch{Project: project, Repo: repo, Name: branch, client: c}
}

func (b *Branch) String() string { return b.Project + "/" + b.Repo + "@" + b.Name }

// Commit is what is known of one commit of a branch.
type Commit struct {
	ID          string
	ParentID    string // "" for the first
	Description string
	Error       string    // why it was rolled back or failed validation; final once Finished
	Auto        bool      // made by Pachyderm itself, not by a writer
	Origin      string    // "user", "auto" or "fsck"
	Started     time.Time // the times are zero for what has not happened yet
	Finishing   time.Time // FinishCommit was called: it takes no more data, and children may be started
	Finished    time.Time // it was validated, and can be read
	SizeBytes   int64
}

// Open says whether the commit still takes data.
func (c *Commit) Open() bool { return c.Finishing.IsZero() && c.Finished.IsZero() }

// Head returns the branch's newest commit, or nil if it has none.
func (b *Branch) Head(ctx context.Context) (*Commit, error) {
	info, err := b.client.PFS.InspectBranch(ctx, &pfs.InspectBranchRequest{Branch: b.proto()})
	if err != nil {
		return nil, fmt.Errorf("inspect branch %s: %w", b, err)
	}
	if info.Head == nil || info.Head.ID == "" {
		return nil, nil
	}
	return b.Inspect(ctx, info.Head.ID)
}

// Inspect returns a commit as it is now.
func (b *Branch) Inspect(ctx context.Context, id string) (*Commit, error) {
	return b.inspect(ctx, id, pfs.CommitState_STARTED)
}

// WaitFinished blocks until a commit is finished and validated. Its Error says
// whether it counts.
func (b *Branch) WaitFinished(ctx context.Context, id string) (*Commit, error) {
	return b.inspect(ctx, id, pfs.CommitState_FINISHED)
}

func (b *Branch) inspect(ctx context.Context, id string, wait pfs.CommitState) (*Commit, error) {
	info, err := b.client.PFS.InspectCommit(ctx, &pfs.InspectCommitRequest{Commit: b.commit(id), Wait: wait})
	if err != nil {
		return nil, fmt.Errorf("inspect commit %s of %s: %w", id, b, err)
	}
	return commitFrom(info), nil
}

// Start opens a commit on top of the head. It fails while the head is open
// , which makes an open commit the lock of the branch. No
// parent is passed: pachd would move the branch to any parent without a check.
// The description is the commit's until it is finished with another.
func (b *Branch) Start(ctx context.Context, description string) (id string, err error) {
	commit, err := b.client.PFS.StartCommit(ctx, &pfs.StartCommitRequest{Branch: b.proto(), Description: description})
	if err != nil {
		return "", fmt.Errorf("start commit on %s: %w", b, err)
	}
	return commit.ID, nil
}

// Finish closes a commit. The description replaces the one it had.
func (b *Branch) Finish(ctx context.Context, id, description string) error {
	return b.finish(ctx, &pfs.FinishCommitRequest{Commit: b.commit(id), Description: description})
}

// RollBack closes a commit with an error: readers and later commits pass over it.
func (b *Branch) RollBack(ctx context.Context, id, reason string) error {
	return b.finish(ctx, &pfs.FinishCommitRequest{Commit: b.commit(id), Error: reason})
}

func (b *Branch) finish(ctx context.Context, request *pfs.FinishCommitRequest) error {
	if _, err := b.client.PFS.FinishCommit(ctx, request); err != nil {
		return fmt.Errorf("finish commit %s of %s: %w", request.Commit.ID, b, err)
	}
	return nil
}

// AddFileSet puts a file set's files into an open commit. It fails if the
// commit was finished meanwhile (see [IsCommitFinished]).
func (b *Branch) AddFileSet(ctx context.Context, id, fileSet string) error {
	_, err := b.client.PFS.AddFileSet(ctx, &pfs.AddFileSetRequest{Commit: b.commit(id), FileSetId: fileSet})
	if err != nil {
		return fmt.Errorf("add file set to commit %s of %s: %w", id, b, err)
	}
	return nil
}

// Ancestry calls visit with the commit id and its ancestors, newest first,
// until visit returns false or there are no more. Parents that were deleted
// end it.
func (b *Branch) Ancestry(ctx context.Context, id string, visit func(*Commit) bool) error {
	ctx, cancel := b.client.limited(ctx)
	defer cancel()
	stream, err := b.client.PFS.ListCommit(ctx, &pfs.ListCommitRequest{
		Repo: b.repo(), To: b.commit(id), All: true, OriginKind: pfs.OriginKind_ORIGIN_KIND_UNKNOWN,
	})
	if err != nil {
		return fmt.Errorf("list commits of %s: %w", b, err)
	}
	for {
		info, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list commits of %s: %w", b, err)
		}
		if !visit(commitFrom(info)) {
			return nil
		}
	}
}

// NewestReadable returns the newest commit that is finished and has no error,
// or nil if there is none.
func (b *Branch) NewestReadable(ctx context.Context) (*Commit, error) {
	head, err := b.Head(ctx)
	if err != nil || head == nil {
		return head, err
	}
	var found *Commit
	err = b.Ancestry(ctx, head.ID, func(c *Commit) bool {
		if !c.Finished.IsZero() && c.Error == "" {
			found = c
		}
		return found == nil
	})
	return found, err
}

func (b *Branch) repo() *pfs.Repo {
	return &pfs.Repo{Name: b.Repo, Type: pfs.UserRepoType, Project: &pfs.Project{Name: b.Project}}
}

func (b *Branch) proto() *pfs.Branch { return &pfs.Branch{Repo: b.repo(), Name: b.Name} }

// commit fills in everything that any version needs: 2.6 panics without a
// Branch, newer servers look at Repo.
func (b *Branch) commit(id string) *pfs.Commit {
	return &pfs.Commit{Branch: b.proto(), Repo: b.repo(), ID: id}
}

func commitFrom(info *pfs.CommitInfo) *Commit {
	c := &Commit{
		ID: Plain(info.GetCommit().GetID()), Description: info.Description, Error: Plain(info.Error),
		Started: timeFrom(info.Started), Finishing: timeFrom(info.Finishing), Finished: timeFrom(info.Finished),
		Auto:      info.Origin != nil && info.Origin.Kind == pfs.OriginKind_AUTO,
		Origin:    strings.ToLower(info.GetOrigin().GetKind().String()),
		SizeBytes: info.SizeBytesUpperBound,
	}
	if info.Details != nil && c.SizeBytes == 0 { // newer servers fill in only this when one commit is asked for
		c.SizeBytes = info.Details.SizeBytes
	}
	if info.ParentCommit != nil {
		c.ParentID = Plain(info.ParentCommit.ID)
	}
	return c
}

func timeFrom(t *types.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Unix(t.Seconds, int64(t.Nanos)).UTC()
}

// Unfinished returns the commits of the branch that are not FINISHED, oldest
// first. They need not be the head: StartPipeline puts a commit of Pachyderm's
// own on top of whatever the last pod has left, and users put theirs on that.
// 2.6 calls its own commits finished at once, whatever is below them. The
// search ends at a finished commit below which settled says that none can be.
func (b *Branch) Unfinished(ctx context.Context, head string, settled func(*Commit) bool) ([]*Commit, error) {
	var unfinished []*Commit
	const beside = 500 // bytes that a commit takes besides its description
	size := 0
	err := b.Ancestry(ctx, head, func(c *Commit) bool {
		if c.Finished.IsZero() {
			unfinished = append(unfinished, c)
			size += beside + len(c.Description)
			return size <= maxList
		}
		return c.Error != "" || !settled(c)
	})
	if err == nil && size > maxList {
		err = fmt.Errorf("%d and more commits of %s are not FINISHED", len(unfinished), b)
	}
	slices.Reverse(unfinished)
	return unfinished, err
}

// IsFinishing says whether a commit of the branch is on its way to FINISHED, so
// that what can be read of it is about to change.
func (b *Branch) IsFinishing(ctx context.Context) (bool, error) {
	head, err := b.Head(ctx)
	if err != nil || head == nil {
		return false, err
	}
	unfinished, err := b.Unfinished(ctx, head.ID, func(c *Commit) bool { return !c.Auto })
	return slices.ContainsFunc(unfinished, func(c *Commit) bool { return !c.Open() }), err
}

// IsEmpty says whether a finished commit shows no file at all.
func (b *Branch) IsEmpty(ctx context.Context, id string) (bool, error) {
	ctx, cancel := b.client.limited(ctx)
	defer cancel()
	stream, err := b.client.PFS.ListFile(ctx, &pfs.ListFileRequest{File: &pfs.File{Commit: b.commit(id), Path: "/"}})
	if err == nil {
		_, err = stream.Recv()
	}
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, io.EOF) || IsNotFound(err):
		return true, nil
	}
	return false, fmt.Errorf("list files of commit %s of %s: %w", id, b, err)
}
