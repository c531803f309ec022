// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

// side is the other side of a spout: what it reads from, and what this campaign
// knows of the records there, by means that have nothing to do with the
// runner's. To have campaigns with a source, write its side and list it.
type side interface {
	// configure sets what the spout must know to read from here.
	configure(*settings.Settings)
	// produce makes n records, and waits neither for the server nor for the
	// spout. It goes on trying while the server is away.
	produce(ctx context.Context, random *rand.Rand, n int)
	// settle waits until what was produced is there to be read, and known.
	settle(context.Context) error
	// reached says whether all that is known is in commits, by the last of them.
	reached(spoutcommit.Description) (bool, error)
	// known is how many records are.
	known() int64
	// audit compares every commit of the branch with what the server has kept.
	audit(context.Context, *pachyderm.Branch) (*audit.Report, error)
	// close ends all that was started.
	close() error
}

// server is a side whose server runs in a process of its own. It keeps its
// address and what it holds when it is restarted.
type server interface {
	signal(syscall.Signal) error
	restart(context.Context) error // in good order
}

// killable is a server that keeps each record it has taken when it is killed.
type killable interface {
	kill(context.Context) error // and starts it again
}

// withSecrets is a side that the runner logs in to. Its pod gets them as plain
// variables: nobody else can read those of these servers.
type withSecrets interface{ secrets() map[string]string }

func always(Options) bool { return true }

// kind is how to start a side.
type kind struct {
	name   string             // of the source
	server bool               // it is a server
	kills  func(Options) bool // it is killable; nil for never
	// listens says that the runner takes a port, which a second one cannot have
	// on the same machine while the first is stopped; in pods each has its own.
	listens bool
	start   func(ctx context.Context, s *spout, dir string) (side, error)
}

// kinds are the sources that there can be campaigns with.
var kinds = []kind{
	{name: "kafka", server: true, kills: func(o Options) bool { return o.Broker == "" }, start: startKafka},
	{name: "nats", server: true, kills: always, start: startNATS},
	{name: "rabbitmq", server: true, kills: always, start: startStreams},
	{name: "rabbitmq_queues", server: true, kills: always, start: startQueues},
	{name: "webhook", listens: true, start: startWebhook},
	{name: "postgres", server: true, kills: always, start: startPostgres},
}

// SourceNames lists the sources that there can be campaigns with.
func SourceNames() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

func kindOf(source string) (kind, error) {
	at := slices.IndexFunc(kinds, func(k kind) bool { return k.name == source })
	if at < 0 {
		return kind{}, fmt.Errorf("there is no campaign with the source %q; there are %s", source, strings.Join(SourceNames(), ", "))
	}
	return kinds[at], nil
}
