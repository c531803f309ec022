// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"maps"

	"github.com/pachyderm/pachyderm/v2/src/transaction"
)

// transactionAPI executes batches of requests about branches.
type transactionAPI struct {
	transaction.UnimplementedAPIServer
	*Server
}

// BatchTransaction does all of the requests, or none: another caller sees the
// branches as they were before or as they are after it.
func (a *transactionAPI) BatchTransaction(ctx context.Context, req *transaction.BatchTransactionRequest) (*transaction.TransactionInfo, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := newID()
	before := a.copyBranches()
	for n, r := range req.Requests {
		var err error
		switch {
		case r.CreateBranch != nil && r.CreateBranch.Trigger == nil:
			err = a.askedToCreateBranch(ctx, r.CreateBranch, id)
		case r.DeleteBranch != nil:
			err = a.askedToDeleteBranch(ctx, r.DeleteBranch)
		default:
			err = unknown("the fake pachd does not do this in a transaction")
		}
		if err != nil {
			restore(before)
			return nil, wrap(err, "error running request %d of %d", n+1, len(req.Requests))
		}
	}
	if err := a.validateMade(req.Requests); err != nil {
		restore(before)
		return nil, err
	}
	info := &transaction.TransactionInfo{Transaction: &transaction.Transaction{ID: id}, Requests: req.Requests}
	for range req.Requests {
		info.Responses = append(info.Responses, &transaction.TransactionResponse{})
	}
	return info, nil
}

// validateMade refuses, as newer servers do, a transaction that has made a
// branch and deleted it.
func (a *transactionAPI) validateMade(requests []*transaction.TransactionRequest) error {
	for _, r := range requests {
		if r.CreateBranch == nil || !a.v211 {
			continue
		}
		if key := keyOfBranch(r.CreateBranch.Branch); a.findBranch(key) == nil {
			return wrap(a.errBranchNotFound(key), "validate DAG at end of transaction: loading branch info")
		}
	}
	return nil
}

func restore(before map[*repo]map[string]*branch) {
	for r, branches := range before {
		r.branches = branches
	}
}

func (s *Server) copyBranches() map[*repo]map[string]*branch {
	copied := map[*repo]map[string]*branch{}
	for _, r := range s.repos {
		branches := maps.Clone(r.branches)
		for name, b := range branches {
			other := *b
			branches[name] = &other
		}
		copied[r] = branches
	}
	return copied
}
