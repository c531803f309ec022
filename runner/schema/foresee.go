// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/sync/errgroup"
)

const (
	// manyAtOnce is how many schemas are foreseen in one go.
	manyAtOnce = 64
	// requestsAtOnce is how many of them the registry is asked for at a time.
	requestsAtOnce = 8
)

// errThere says that the registry has what it was asked for.
var errThere = errors.New("it is there")

// unread has no answer read that is not an error: many at once would take too
// much memory.
type unread struct{ next http.RoundTripper }

func (u unread) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := u.next.RoundTrip(request)
	if err == nil && answer.StatusCode < http.StatusMultipleChoices {
		return nil, errors.Join(errThere, answer.Body.Close())
	}
	return answer, err //nolint:wrapcheck // it is the client's own
}

// Foresee is told which schemas come next, and finds out which of them the
// registry does not have: who may produce records can name a new one in each.
// It asks for several at a time, and at most for a number of them; those that
// are there are left to [Registry.Lookup].
func (r *Registry) Foresee(ctx context.Context, ids func(yield func(id int) bool)) {
	var list []int
	for id := range ids {
		if _, _, known := r.Known(id); known || r.there[id] {
			continue
		}
		r.there[id] = true // until the answer says otherwise
		if list = append(list, id); len(list) == manyAtOnce {
			break
		}
	}
	if len(r.there) > maxUnknown {
		clear(r.there)
	}
	if len(list) < 2 {
		return // the lookup itself takes no longer
	}
	failures := make([]error, len(list))
	var asking errgroup.Group
	asking.SetLimit(requestsAtOnce)
	for i, id := range list {
		asking.Go(func() error {
			_, failures[i] = r.prober.SchemaByID(ctx, id)
			return nil
		})
	}
	_ = asking.Wait() // of which there are none
	for i, id := range list {
		if err := r.unknownSchema(failures[i], id); r.isTransient(err) {
			r.note(id, known{refused: err})
		}
	}
}

// unknownSchema is [Registry.asRefused] of a schema that was asked for.
func (r *Registry) unknownSchema(err error, id int) error {
	return r.asRefused(err, "the registry does not know the schema %d", id)
}
