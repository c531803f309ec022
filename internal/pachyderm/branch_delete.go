// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// Servers from 2.9 on refuse to delete a branch that has a trigger, or that one
// follows, alone or with its repo, unless they are forced to. What is forced
// breaks others without a word: branches that follow the deleted one lose their
// triggers, and those that read it lose it from their provenance. So nothing
// here is forced before the server has refused, and before it is known that
// nobody reads the branch; and of a repo, only the branches with a trigger are:
// the repo itself the server still guards.

// DeleteBranch deletes a branch that nobody reads, and whose followers do not
// matter any more (see [Client.Followers]). Its commits stay in the repo.
func (c *Client) DeleteBranch(ctx context.Context, id BranchID) error {
	err := c.deleteBranch(ctx, id, false)
	if isTriggerInTheWay(err) {
		err = c.deleteForced(ctx, id, nil)
	}
	return err
}

func (c *Client) deleteBranch(ctx context.Context, id BranchID, force bool) error {
	_, err := c.PFS.DeleteBranch(ctx, &pfs.DeleteBranchRequest{Branch: id.proto(), Force: force})
	if err != nil && !IsNotFound(err) {
		return fmt.Errorf("delete branch %s: %w", id, err)
	}
	return nil
}

// deleteForced deletes a branch unless it is read, by others than those that
// go with it.
func (c *Client) deleteForced(ctx context.Context, id BranchID, going func(RepoID) bool) error {
	b, err := c.InspectBranch(ctx, id)
	if IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, reader := range b.Readers {
		if going == nil || !going(reader) {
			return fmt.Errorf("delete branch %s: %s reads it", id, reader)
		}
	}
	return c.deleteBranch(ctx, id, true)
}

// withoutTriggers calls remove, which deletes repos. If triggers are in its way
// it is called again once the branches that have them are deleted.
func (c *Client) withoutTriggers(ctx context.Context, repos func() ([]RepoID, error), going func(RepoID) bool, remove func() error) error {
	err := remove()
	if !isTriggerInTheWay(err) {
		return err
	}
	all, err := repos()
	if err != nil {
		return err
	}
	for _, repo := range all {
		branches, err := c.listBranches(ctx, repo)
		if IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, b := range branches {
			if b.follows == "" {
				continue
			}
			if err := c.deleteForced(ctx, b.ID, going); err != nil {
				return err
			}
		}
	}
	return remove()
}

// Followers lists the branches of a repo that a trigger moves to the head of
// the branch. What a deleted pipeline has left there is not counted.
func (c *Client) Followers(ctx context.Context, id BranchID) ([]BranchID, error) {
	branches, err := c.listBranches(ctx, RepoID{id.Project, id.Repo})
	if err != nil {
		return nil, err
	}
	var followers []BranchID
	for _, b := range branches {
		if b.Trigger == nil || b.Trigger.Branch != id.Name {
			continue
		}
		left, err := c.isLeft(ctx, b)
		if err != nil {
			return nil, err
		}
		if !left {
			followers = append(followers, b.ID)
		}
	}
	SortBranches(followers)
	return followers, nil
}

// ownTrigger is what pachd calls the branches that it makes for an input with a
// trigger: by the pipeline, and from 1 on.
var ownTrigger = regexp.MustCompile(`^(.+)-trigger-[0-9]+$`)

// isLeft says whether a pipeline that is gone has left the branch. One that is
// stopped does not show as its reader.
func (c *Client) isLeft(ctx context.Context, b *BranchInfo) (bool, error) {
	name := ownTrigger.FindStringSubmatch(b.ID.Name)
	if name == nil || len(b.Readers) > 0 {
		return false, nil
	}
	pipelines, err := c.ListPipelines(ctx)
	return err == nil && !slices.ContainsFunc(pipelines, func(p *Pipeline) bool { return p.ID.Name == name[1] }), err
}

// DeleteLeftBranches deletes the branches that a pipeline, which is gone, has
// had its inputs' triggers move.
func (c *Client) DeleteLeftBranches(ctx context.Context, gone *Pipeline) error {
	for _, id := range gone.triggerBranches() {
		b, err := c.InspectBranch(ctx, id)
		if IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		left, err := c.isLeft(ctx, b)
		if err == nil && left {
			err = c.DeleteBranch(ctx, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// triggerBranches are the branches that pachd has made for the pipeline's
// inputs with a trigger.
func (p *Pipeline) triggerBranches() []BranchID {
	var ids []BranchID
	visitPFS(p.info.GetDetails().GetInput(), func(in *pps.PFSInput) {
		if name := ownTrigger.FindStringSubmatch(in.Branch); in.Trigger != nil && name != nil && name[1] == p.ID.Name {
			ids = append(ids, BranchID{cmp.Or(in.Project, p.ID.Project), in.Repo, in.Branch})
		}
	})
	return ids
}

func visitPFS(in *pps.Input, fn func(*pps.PFSInput)) {
	if in == nil {
		return
	}
	if in.Pfs != nil {
		fn(in.Pfs)
	}
	for _, inner := range slices.Concat(in.Cross, in.Union, in.Join, in.Group) {
		visitPFS(inner, fn)
	}
}
