// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"errors"
	"iter"
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

// Foresee is told which schemas come after one that the registry does not have,
// and finds out which others it does not have: who may produce records can name
// a new one in each. It asks for several at a time, and at most for a number of
// them; those that are there are left to [Registry.Lookup].
func (r *Registry) Foresee(ctx context.Context, ids iter.Seq[int]) {
	list := r.unforeseen(ids)
	failures := make([]error, len(list))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(requestsAtOnce)
	for i, id := range list {
		asking.Go(func() error {
			_, err := r.schema(ctx, r.prober, id)
			if failures[i] = r.unknownSchema(err, id); errors.Is(err, errThere) || IsUnknown(failures[i]) {
				return nil
			}
			return failures[i] // the others would fail likewise
		})
	}
	_ = asking.Wait() // the lookup will see, and wait for what is out of order
	for i, id := range list {
		switch err := failures[i]; {
		case IsUnknown(err):
			r.note(id, known{refused: err})
		case errors.Is(err, errThere):
			r.there[id] = true
		}
	}
	if len(r.there) > maxUnknown {
		clear(r.there)
	}
}

// unforeseen returns the first of the schemas of which nothing is known.
func (r *Registry) unforeseen(ids iter.Seq[int]) (list []int) {
	listed := map[int]bool{}
	for id := range ids {
		if _, _, known := r.Known(id); known || listed[id] || r.there[id] {
			continue
		}
		listed[id] = true
		if list = append(list, id); len(list) == manyAtOnce {
			break
		}
	}
	return list
}

// unknownSchema is [Registry.asRefused] of a schema that was asked for.
func (r *Registry) unknownSchema(err error, id int) error {
	return r.asRefused(err, "the registry does not know the schema %s", r.NameOf(id))
}
