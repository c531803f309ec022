// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// operation is one create, read, update or delete of one object.
type operation struct {
	ctx        context.Context
	client     *pachyderm.Client
	connection *connection
	kind       string // what messages call it, as "repo"
	name       string // which one, as default/orders: its import id
	diags      *diag.Diagnostics
}

// CleanUp bounds each of the two things that an operation may still do when its
// own time is over: to find out what became of a call, and to set right what
// was left half done.
const CleanUp = 20 * time.Second

// inProgress counts the operations of this process.
var inProgress atomic.Int64

// Busy says whether this process has an operation in progress.
func Busy() bool { return inProgress.Load() > 0 }

// begin prepares an operation, which is over when its calls are, or at the
// limit, if that is not 0. It is nil after an error; the function that comes
// with it is to be called in any case.
func (c *connection) begin(ctx context.Context, kind, name string, limit time.Duration, diags *diag.Diagnostics) (*operation, context.CancelFunc) {
	if diags.HasError() {
		return nil, func() {}
	}
	ctx = c.masked(ctx)
	ctx = tflog.SetField(ctx, kind, name)
	cancel := context.CancelFunc(func() {})
	if limit > 0 && c != nil {
		ctx, cancel = c.within(ctx, limit)
	}
	client, err := c.open(ctx)
	if err != nil {
		cancel()
		detail := sentence(pachyderm.Reason(err))
		if c != nil {
			detail = c.explain(err)
		}
		diags.AddError("Cannot connect to Pachyderm", detail)
		return nil, func() {}
	}
	inProgress.Add(1)
	end := sync.OnceFunc(func() {
		cancel()
		inProgress.Add(-1)
	})
	return &operation{ctx: ctx, client: client, connection: c, kind: kind, name: name, diags: diags}, end
}

// boundByRequest gives the whole operation no more time than one call has, for
// a look that may be left out. Streams have no limit of their own.
func (o *operation) boundByRequest() context.CancelFunc {
	ctx, cancel := context.WithTimeout(o.ctx, o.connection.requestTimeout)
	o.ctx = ctx
	return cancel
}

// capital makes the first letter a capital.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func uncapital(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// label is how messages name the object, as "repo default/orders".
func (o *operation) label() string {
	if o.name == "" {
		return o.kind
	}
	return o.kind + " " + o.name
}

// fail says that something could not be done, as fail("create", err).
func (o *operation) fail(verb string, err error) {
	o.diags.AddError("Cannot "+verb+" "+o.label(), o.connection.explain(err))
}

// gone reports that the object was deleted after the plan was made.
func (o *operation) gone() {
	o.refuse("is gone", "It was there when the plan was made, and was deleted since, by somebody else. Nothing was changed. Plan again: the new plan creates it, or drops it from the state.")
}

// refuse says what the object is, or is not, and what to do about it.
func (o *operation) refuse(what, detail string, args ...any) {
	o.diags.AddError(capital(o.label())+" "+what, fmt.Sprintf(detail, args...))
}

// command is how the object is brought into the state.
func (o *operation) command() string {
	return "\n\n  terraform import <address of this resource> " + o.name
}

// exists says that the object was there before. more may say what else helps.
func (o *operation) exists(more string) {
	o.refuse("exists already", "This configuration did not create it. To manage it from here, import it:%s\n\nOtherwise choose another name. To replace what this configuration did create, leave create_before_destroy out of its lifecycle block: two of one name cannot be there at once.%s", o.command(), more)
}

// creation is how an object is made. look says whether it is there and, if so,
// whether it is what this operation asks for.
type creation struct {
	look   func(context.Context) (there, same bool, err error)
	create func(context.Context) error
	more   string // for the message that it exists already
}

// lookFor is how to look for an object that inspect returns.
func lookFor[T any](inspect func(context.Context) (T, error), same func(T) bool) func(context.Context) (bool, bool, error) {
	return func(ctx context.Context) (there, asked bool, err error) {
		v, err := inspect(ctx)
		if pachyderm.IsNotFound(err) {
			return false, false, nil
		}
		return err == nil, err == nil && same(v), err
	}
}

// make makes an object, and says whether it is there now and this operation's
// own. What was there before is not, whatever it looks like. A call that got
// no answer is followed up: as the state knows nothing of the object yet, it
// would be lost otherwise.
func (o *operation) make(c creation) bool {
	there, _, err := c.look(o.ctx)
	switch {
	case err != nil:
		o.fail("create", err)
		return false
	case there:
		o.exists(c.more)
		return false
	}
	tflog.Info(o.ctx, "creating "+o.kind)
	switch err := c.create(o.ctx); {
	case err == nil:
		return true
	case pachyderm.IsUnanswered(err):
		return o.followUp(c.look, err)
	case pachyderm.IsAlreadyExists(err):
		o.exists(c.more)
	default:
		o.fail("create", err)
	}
	return false
}

// followUp finds out what became of a create that got no answer.
func (o *operation) followUp(look func(context.Context) (there, same bool, err error), cause error) bool {
	ctx, cancel := o.after()
	defer cancel()
	tflog.Warn(ctx, "no answer; looking whether the request has arrived", map[string]any{"error": pachyderm.Reason(cause)})
	unclear := "Pachyderm gave no answer (" + pachyderm.Reason(cause) + "), "
	var there, same bool
	var err error
	for range 3 {
		if there, same, err = look(ctx); err == nil && there {
			break
		}
		o.pause(ctx)
	}
	switch {
	case err != nil:
		o.diags.AddError("It is not known whether "+o.label()+" was created", unclear+"and cannot be asked now: "+pachyderm.Reason(err)+
			". Apply again. If it turns out that the "+o.kind+" is there, import it:"+o.command())
	case !there:
		o.refuse("was probably not created", "%sand there is no such %s. Apply again. If it has appeared by then, import it:%s", unclear, o.kind, o.command())
	case !same:
		o.refuse("is not what was asked for", "%sand what is there differs from the configuration: somebody else changed it first. If it is what you want to manage, import it:%s", unclear, o.command())
	}
	return err == nil && there && same
}

// after is a context for what is to be done although the operation's own time
// may be over, or Terraform was interrupted.
func (o *operation) after() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(o.ctx), CleanUp)
}

// pause waits between two looks.
func (o *operation) pause(ctx context.Context) {
	select {
	case <-time.After(o.connection.wait.Poll):
	case <-ctx.Done():
	}
}
