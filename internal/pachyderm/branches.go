// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gogo/protobuf/proto"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/transaction"
)

// BranchID names a branch of a repo.
type BranchID struct{ Project, Repo, Name string }

func (id BranchID) String() string { return id.Project + "/" + id.Repo + "@" + id.Name }

func (id BranchID) proto() *pfs.Branch {
	return &pfs.Branch{Repo: RepoID{id.Project, id.Repo}.proto(), Name: id.Name}
}

// BranchInfo is what is known of a branch, besides its commits.
type BranchInfo struct {
	ID         BranchID
	Head       string     // id of the newest commit
	Provenance []BranchID // whose commits lead to commits here, sorted
	Trigger    *Trigger   // nil also for one that never fires
	Readers    []RepoID   // repos with a branch that has this one in its provenance

	follows string // branch that a trigger names, be it one that never fires
}

// Trigger moves a branch to the head of another one of its repo, each time
// that a condition holds; with All set, that all of them hold.
type Trigger struct {
	Branch    string
	All       bool
	Commits   int64  // so many new commits
	Size      string // so much more data, as 100MB
	RateLimit string // a commit, and a time of this schedule has passed since the last move
	Cron      string // a time of this schedule comes (2.7 and later; with no other condition)
}

// fires says whether the trigger can ever do something.
func (t *Trigger) fires() bool {
	return t.All || t.Commits != 0 || t.Size != "" || t.RateLimit != "" || t.Cron != ""
}

// newerTrigger are the fields of a trigger that 2.6 does not know: cron_spec of
// 2.7 and later. What 2.6 calls so, field 3, has been called rate_limit_spec
// since then, and means the same.
type newerTrigger struct {
	CronSpec string `protobuf:"bytes,6,opt,name=cron_spec,proto3"`
}

func (n *newerTrigger) Reset()      { *n = newerTrigger{} }
func (newerTrigger) String() string { return "" }
func (newerTrigger) ProtoMessage()  {}

func (t *Trigger) proto() (*pfs.Trigger, error) {
	if t == nil {
		return nil, nil
	}
	newer, err := proto.Marshal(&newerTrigger{CronSpec: t.Cron})
	if err != nil {
		return nil, fmt.Errorf("trigger: %w", err)
	}
	return &pfs.Trigger{Branch: t.Branch, All: t.All, Commits: t.Commits, Size_: t.Size, CronSpec: t.RateLimit, XXX_unrecognized: newer}, nil
}

func triggerFrom(m *pfs.Trigger) *Trigger {
	if m == nil || m.Branch == "" {
		return nil
	}
	t := &Trigger{Branch: m.Branch, All: m.All, Commits: m.Commits, Size: m.Size_, RateLimit: m.CronSpec}
	var newer newerTrigger
	if proto.Unmarshal(m.XXX_unrecognized, &newer) == nil {
		t.Cron = newer.CronSpec
	}
	if !t.fires() {
		return nil
	}
	return t
}

// InspectBranch returns a branch as it is now.
func (c *Client) InspectBranch(ctx context.Context, id BranchID) (*BranchInfo, error) {
	info, err := c.PFS.InspectBranch(ctx, &pfs.InspectBranchRequest{Branch: id.proto()})
	if err != nil {
		return nil, fmt.Errorf("inspect branch %s: %w", id, err)
	}
	return branchFrom(info), nil
}

func branchFrom(info *pfs.BranchInfo) *BranchInfo {
	repo := repoID(info.GetBranch().GetRepo())
	b := &BranchInfo{ID: BranchID{repo.Project, repo.Name, Plain(info.GetBranch().GetName())}, Head: Plain(info.GetHead().GetID()),
		Trigger: triggerFrom(info.Trigger), Readers: readersOf(info), follows: info.GetTrigger().GetBranch()}
	for _, p := range info.DirectProvenance {
		if p.GetRepo().GetType() == pfs.UserRepoType {
			repo := repoID(p.Repo)
			b.Provenance = append(b.Provenance, BranchID{repo.Project, repo.Name, Plain(p.Name)})
		}
	}
	SortBranches(b.Provenance)
	return b
}

// listBranches returns the branches of a repo, the newest first.
func (c *Client) listBranches(ctx context.Context, repo RepoID) ([]*BranchInfo, error) {
	stream, err := c.PFS.ListBranch(ctx, &pfs.ListBranchRequest{Repo: repo.proto()})
	var all []*BranchInfo
	if err == nil {
		all, err = receive(stream.Recv, branchFrom)
	}
	if err != nil {
		return nil, fmt.Errorf("list branches of %s: %w", repo, err)
	}
	return all, nil
}

// SortBranches sorts by name.
func SortBranches(ids []BranchID) {
	slices.SortFunc(ids, func(a, b BranchID) int { return strings.Compare(a.String(), b.String()) })
}

// SetBranch makes a branch, or changes one. The provenance replaces what there
// was. Without a head, the branch stays where it is, and a new one begins with
// an empty commit of Pachyderm's own; without a trigger, it keeps the one it
// has (see [Client.RemoveTrigger]). On a pipeline's output branch it would
// break the pipeline: look before.
func (c *Client) SetBranch(ctx context.Context, id BranchID, head string, provenance []BranchID, trigger *Trigger) error {
	if trigger != nil {
		if err := c.makeWay(ctx, id, trigger); err != nil {
			return err
		}
	}
	newTrigger, err := trigger.proto()
	if err != nil {
		return err
	}
	request := &pfs.CreateBranchRequest{Branch: id.proto(), Trigger: newTrigger}
	if head != "" {
		request.Head = c.Branch(id.Project, id.Repo, id.Name).commit(head)
	}
	for _, p := range provenance {
		request.Provenance = append(request.Provenance, p.proto())
	}
	if _, err := c.PFS.CreateBranch(ctx, request); err != nil {
		return fmt.Errorf("set branch %s: %w", id, err)
	}
	return nil
}

// makeWay has pachd take a trigger.
//
// The branch that is followed is made if it is missing. From 2.9 on pachd
// refuses a trigger without it. Older ones take it, but it is of no use, and
// before 2.7 its repo would be stuck. For there pachd looks for triggers in a circle in a list of the repo's branches,
// each of which it takes for the oldest: if that has a trigger on a branch that
// exists, the call never ends, a processor is busy for ever, and a transaction
// stays open. So no such call is made. A branch that is in its own way is made
// anew, as in [Client.RemoveTrigger]; others are not touched.
func (c *Client) makeWay(ctx context.Context, id BranchID, trigger *Trigger) error {
	if err := c.ensureBranch(ctx, BranchID{id.Project, id.Repo, trigger.Branch}); err != nil {
		return err
	}
	version, err := c.ServerVersion(ctx)
	if err != nil || !version.Before(2, 7) {
		return err
	}
	for range 2 {
		all, err := c.listBranches(ctx, RepoID{id.Project, id.Repo})
		if err != nil || len(all) == 0 {
			return err
		}
		oldest := all[len(all)-1]
		if oldest.follows == "" || oldest.follows == id.Name {
			return nil // pachd comes to an end, perhaps with an error
		}
		if _, err := c.InspectBranch(ctx, BranchID{id.Project, id.Repo, oldest.follows}); IsNotFound(err) {
			return nil
		} else if err != nil {
			return err
		}
		if oldest.ID != id || len(oldest.Readers) > 0 {
			return fmt.Errorf("this was not sent, since Pachyderm %s would never answer, and would stay busy with it: it cannot take a trigger while the oldest branch of the repo, %s, has one. "+
				"Use Pachyderm 2.7 or later, or delete that branch and make it again, after what reads it has been deleted", version, oldest.ID)
		}
		if err := c.remakeBranch(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// RemoveTrigger takes the trigger away from a branch without provenance.
// Pachyderm has no call for it: the branch gets a trigger in place of the old
// one that has no condition, and so never fires.
//
// Before 2.7 such a trigger would still be in the way of others (see makeWay).
// There, a branch that nothing reads is deleted and made again with the same
// head, in one transaction: there is no moment without it, no commit that could
// come in between, and none that is lost. Newer servers refuse that.
func (c *Client) RemoveTrigger(ctx context.Context, branch *BranchInfo) error {
	id := branch.ID
	version, err := c.ServerVersion(ctx)
	if err != nil {
		return err
	}
	if version.Before(2, 7) && len(branch.Readers) == 0 {
		return c.remakeBranch(ctx, id)
	}
	return c.SetBranch(ctx, id, "", nil, &Trigger{Branch: branch.Trigger.Branch})
}

// ensureBranch makes a branch that is missing.
func (c *Client) ensureBranch(ctx context.Context, id BranchID) error {
	_, err := c.InspectBranch(ctx, id)
	if IsNotFound(err) {
		return c.SetBranch(ctx, id, "", nil, nil)
	}
	return err
}

// remakeBranch deletes a branch and makes it again with the same head.
func (c *Client) remakeBranch(ctx context.Context, id BranchID) error {
	aside := BranchID{id.Project, id.Repo, id.Name + "-without-trigger"}
	if _, err := c.InspectBranch(ctx, aside); !IsNotFound(err) {
		if err == nil {
			err = fmt.Errorf("the branch %s is in the way: its name is needed for a moment", aside)
		}
		return err
	}
	create := func(to, from BranchID) *transaction.TransactionRequest {
		head := &pfs.Commit{Branch: from.proto(), Repo: RepoID{from.Project, from.Repo}.proto()}
		return &transaction.TransactionRequest{CreateBranch: &pfs.CreateBranchRequest{Branch: to.proto(), Head: head}}
	}
	remove := func(id BranchID) *transaction.TransactionRequest {
		return &transaction.TransactionRequest{DeleteBranch: &pfs.DeleteBranchRequest{Branch: id.proto()}}
	}
	_, err := c.Transaction.BatchTransaction(ctx, &transaction.BatchTransactionRequest{Requests: []*transaction.TransactionRequest{
		create(aside, id), remove(id), create(id, aside), remove(aside)}})
	if err != nil {
		return fmt.Errorf("remove the trigger of branch %s: %w", id, err)
	}
	return nil
}
