// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// RabbitMQ says which queues or streams are read, and how the nodes are reached.
type RabbitMQ struct {
	Addresses    []string `env:"SPOUT_RABBITMQ_ADDRESSES" attribute:"addresses" required:"true" set:"true" address:"true" doc:"Nodes of the cluster, as ´host:port´. For queues it is the port of AMQP 0.9.1, ´5672´ or with TLS ´5671´. For streams it is the port of the stream protocol, ´5552´ or with TLS ´5551´."`
	VHost        string   `env:"SPOUT_RABBITMQ_VHOST" attribute:"vhost" default:"/" doc:"Virtual host."`
	Queues       []string `env:"SPOUT_RABBITMQ_QUEUES" attribute:"queues" set:"true" doc:"Classic or quorum queues to read. The runner acknowledges a message once it is in a finished commit, and the queue then forgets it. Set either this or SPOUT_RABBITMQ_STREAMS and SPOUT_RABBITMQ_SUPER_STREAMS."`
	Streams      []string `env:"SPOUT_RABBITMQ_STREAMS" attribute:"streams" set:"true" doc:"Streams to read. A stream keeps its messages as its retention says, whoever reads them."`
	SuperStreams []string `env:"SPOUT_RABBITMQ_SUPER_STREAMS" attribute:"super_streams" set:"true" doc:"Super streams to read, all partitions of each. A partition is a stream of its own, with a name of its own. The runner finds partitions that are added later within a minute, and reads them from their beginning."`

	Prefetch        int      `env:"SPOUT_RABBITMQ_PREFETCH" attribute:"prefetch" default:"10000" doc:"Most messages of each queue that are out without an acknowledgement. A batch is committed at the latest when half as many have come, so that others come meanwhile. From 2 to 25000, and 50000 for all queues together."`
	ConsumerTimeout Duration `env:"SPOUT_RABBITMQ_CONSUMER_TIMEOUT" attribute:"consumer_timeout" default:"30m" doc:"The ´consumer_timeout´ of the nodes: how long a queue waits for an acknowledgement before it closes the channel. Batches are committed in time for it. At least three times SPOUT_BATCH_MAX_AGE."`
	Start           string   `env:"SPOUT_RABBITMQ_START" attribute:"start" time:"true" default:"first" doc:"Where to begin with streams while the output branch holds no position yet. Queues have no such choice." forms:"first: at the first message that there is\nnext: with messages that come from now on\n2026-01-31T00:00:00Z: at a time, in RFC 3339, with the precision of the stream's chunks"`
	OnReset         string   `env:"SPOUT_RABBITMQ_ON_RESET" attribute:"on_reset" default:"stop" doc:"What to do when a stream is not the one that was read: it was deleted and made again, or restored from an older backup." values:"stop: the runner stops|restart: it reads the new stream from its beginning, whose files then get names of their own"`
	OnGap           string   `env:"SPOUT_RABBITMQ_ON_GAP" attribute:"on_gap" default:"stop" doc:"What to do when a stream's retention has dropped the next messages before they were read, or when a batch of them cannot be read as its publisher made it." values:"stop: the runner stops|skip: it continues at the next message that there is. The gap is logged and kept in the commit's description"`

	TLS         OptionalTLS `attribute:"tls" prefix:"SPOUT_RABBITMQ_TLS" doc:"Use TLS. ´{}´ trusts the system's authorities."`
	Mechanism   string      `env:"SPOUT_RABBITMQ_MECHANISM" attribute:"mechanism" default:"plain" doc:"How the runner logs in." values:"plain: user name and password|external: the client certificate of SPOUT_RABBITMQ_TLS. The nodes need the plugin ´rabbitmq_auth_mechanism_ssl´, and for streams a release of June 2023 or later"`
	Credentials `attribute:"credentials_secret" prefix:"SPOUT_RABBITMQ" doc:"Kubernetes secret with the user name and the password."`

	AllowCleartext bool `env:"SPOUT_RABBITMQ_ALLOW_CLEARTEXT_CREDENTIALS" attribute:"allow_cleartext_credentials" default:"false" doc:"Whether the password may be sent without TLS. Everybody on the way can read it. Without this, the runner sends it to this machine only."`
}

// Kinds of what is read.
const (
	RabbitMQQueue  = "queue"
	RabbitMQStream = "stream"
)

var rabbitMQLayouts = []Layout{
	{Kind: RabbitMQQueue, Stream: "queue", Offset: "ordinal", ID: "message_id"},
	{Kind: RabbitMQStream, Stream: "stream", Offset: "offset"},
}

var rabbitMQStarts = []string{"first", "next"}

// Most messages that may be out: twice as many ids are kept in commits'
// descriptions, as far as there is room.
const (
	maxPrefetch = 25_000
	maxOut      = 50_000
)

// OfStreams says whether streams are read, and not queues.
func (r RabbitMQ) OfStreams() bool { return len(r.Queues) == 0 }

// StartTime returns the time that Start names, and whether it is a time.
func (r RabbitMQ) StartTime() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, r.Start)
	return t, err == nil
}

func (r RabbitMQ) kind() string {
	if r.OfStreams() {
		return RabbitMQStream
	}
	return RabbitMQQueue
}

func (r RabbitMQ) streams() streams {
	if r.OfStreams() {
		return streams{names: r.Streams, others: len(r.SuperStreams) > 0, variables: []string{"SPOUT_RABBITMQ_STREAMS"}}
	}
	return streams{names: r.Queues, variables: []string{"SPOUT_RABBITMQ_QUEUES"}}
}

func (RabbitMQ) largestBatch() Bytes { return 0 }

// maxRabbitMQName is how long the name of a queue or stream may be here.
// RabbitMQ allows 255, but a file's name must have room for it.
const maxRabbitMQName = 249

// IsQueueName says whether a queue or stream of a name can be read. RabbitMQ
// itself allows all names. In paths they are escaped, see [AppendPathValue].
func IsQueueName(name string) bool {
	return name != "" && len(name) <= maxRabbitMQName && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

func (r RabbitMQ) validate(all Settings) (p Problems) {
	if len(r.Addresses) == 0 {
		p.add("SPOUT_RABBITMQ_ADDRESSES", "", "must name at least one node, such as rabbitmq.example.com:5672")
	}
	addresses := r.Addresses
	if list := strings.Join(addresses, ","); address.HasLogin(list) {
		addresses = []string{list} // a comma may be a password's
	}
	for _, node := range addresses {
		host, port, err := net.SplitHostPort(node)
		if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 || address.HasLogin(node) {
			p.add("SPOUT_RABBITMQ_ADDRESSES", node, "must be host:port, such as rabbitmq.example.com:5672, without a user or password")
		}
	}
	if r.VHost == "" {
		p.add("SPOUT_RABBITMQ_VHOST", "", "must not be empty; leave it out for the default, /")
	}
	p = append(p, r.validateNames()...)
	if r.OfStreams() {
		p = append(p, r.validateStreams()...)
	} else {
		p = append(p, r.validateQueues(all)...)
	}
	return append(p, r.TLS.validate("SPOUT_RABBITMQ_TLS")...)
}

// validateNames checks what is to be read.
func (r RabbitMQ) validateNames() (p Problems) {
	switch {
	case len(r.Queues)+len(r.Streams)+len(r.SuperStreams) == 0:
		p.add("SPOUT_RABBITMQ_QUEUES", "", "must name at least one queue, or SPOUT_RABBITMQ_STREAMS or SPOUT_RABBITMQ_SUPER_STREAMS a stream", "SPOUT_RABBITMQ_STREAMS", "SPOUT_RABBITMQ_SUPER_STREAMS")
	case len(r.Queues) > 0 && len(r.Streams)+len(r.SuperStreams) > 0:
		p.add("SPOUT_RABBITMQ_QUEUES", strings.Join(r.Queues, ","), "cannot be set together with SPOUT_RABBITMQ_STREAMS or SPOUT_RABBITMQ_SUPER_STREAMS; read queues and streams with a spout each", "SPOUT_RABBITMQ_STREAMS", "SPOUT_RABBITMQ_SUPER_STREAMS")
	}
	for _, list := range []struct {
		variable string
		names    []string
	}{{"SPOUT_RABBITMQ_QUEUES", r.Queues}, {"SPOUT_RABBITMQ_STREAMS", r.Streams}, {"SPOUT_RABBITMQ_SUPER_STREAMS", r.SuperStreams}} {
		for i, name := range list.names {
			switch {
			case !IsQueueName(name):
				p.add(list.variable, name, fmt.Sprintf("cannot be read: names must have 1 to %d bytes of UTF-8, and no control characters", maxRabbitMQName))
			case slices.Contains(list.names[:i], name):
				p.add(list.variable, name, "is there twice; name each once")
			}
		}
	}
	return p
}

// validateStreams checks what goes with streams.
func (r RabbitMQ) validateStreams() (p Problems) {
	if _, isTime := r.StartTime(); !isTime && !slices.Contains(rabbitMQStarts, r.Start) {
		p.add("SPOUT_RABBITMQ_START", r.Start, "must be first, next or a time such as 2026-01-31T00:00:00Z")
	}
	return p
}

// validateQueues checks what goes with queues.
func (r RabbitMQ) validateQueues(all Settings) (p Problems) {
	for variable, value := range map[string][2]string{
		"SPOUT_RABBITMQ_START":    {r.Start, def.RabbitMQ.Start},
		"SPOUT_RABBITMQ_ON_RESET": {r.OnReset, def.RabbitMQ.OnReset},
		"SPOUT_RABBITMQ_ON_GAP":   {r.OnGap, def.RabbitMQ.OnGap},
	} {
		if value[0] != value[1] {
			p.add(variable, value[0], "is for streams; a queue gives what it has. Take it out", "SPOUT_RABBITMQ_QUEUES")
		}
	}
	switch {
	case r.Prefetch < 2 || r.Prefetch > maxPrefetch:
		p.add("SPOUT_RABBITMQ_PREFETCH", strconv.Itoa(r.Prefetch), fmt.Sprintf("must be from 2 to %d", maxPrefetch))
	case r.Prefetch*len(r.Queues) > maxOut:
		p.add("SPOUT_RABBITMQ_PREFETCH", strconv.Itoa(r.Prefetch), fmt.Sprintf("must be at most %d with %d queues, since %d messages may be out together", maxOut/len(r.Queues), len(r.Queues), maxOut), "SPOUT_RABBITMQ_QUEUES")
	}
	if least := 3 * all.Batch.MaxAge; r.ConsumerTimeout < least {
		p.add("SPOUT_RABBITMQ_CONSUMER_TIMEOUT", r.ConsumerTimeout.String(), fmt.Sprintf("must be at least %s, three times SPOUT_BATCH_MAX_AGE, or the node would take messages back before they are committed. "+
			"Shorten SPOUT_BATCH_MAX_AGE, or raise consumer_timeout here and at the nodes", least), "SPOUT_BATCH_MAX_AGE")
	}
	return p
}

func (r RabbitMQ) validateSecrets() (p Problems) {
	if r.Mechanism == "external" {
		if r.Username != "" || r.Password != "" {
			p.add("SPOUT_RABBITMQ_MECHANISM", r.Mechanism, "takes the user from the client certificate; take SPOUT_RABBITMQ_USERNAME and SPOUT_RABBITMQ_PASSWORD out, or set it to plain", "SPOUT_RABBITMQ_USERNAME", "SPOUT_RABBITMQ_PASSWORD")
		}
		if r.TLS.Cert == "" && r.TLS.CertFile == "" {
			p.add("SPOUT_RABBITMQ_MECHANISM", r.Mechanism, "needs a client certificate; set SPOUT_RABBITMQ_TLS_CERT and SPOUT_RABBITMQ_TLS_KEY from a secret, or SPOUT_RABBITMQ_TLS_CERT_FILE and SPOUT_RABBITMQ_TLS_KEY_FILE", "SPOUT_RABBITMQ_TLS_CERT", "SPOUT_RABBITMQ_TLS_CERT_FILE")
		}
	} else if r.Username == "" || r.Password == "" {
		p.add("SPOUT_RABBITMQ_USERNAME, SPOUT_RABBITMQ_PASSWORD", "", "must both be set from a Kubernetes secret, unless SPOUT_RABBITMQ_MECHANISM is external",
			"SPOUT_RABBITMQ_USERNAME", "SPOUT_RABBITMQ_PASSWORD", "SPOUT_RABBITMQ_MECHANISM")
	}
	return append(p, r.TLS.validateSecrets("SPOUT_RABBITMQ_TLS")...)
}

func (r RabbitMQ) exposures() []exposure {
	at := slices.IndexFunc(r.Addresses, func(node string) bool { return !address.IsLoopback(node) })
	if r.TLS.Enabled || r.Mechanism == "external" || at < 0 {
		return nil
	}
	node := address.Redacted(r.Addresses[at])
	return []exposure{{variable: "SPOUT_RABBITMQ_ADDRESSES", value: node, fix: "use TLS (SPOUT_RABBITMQ_TLS)",
		what:  "gets a password that everybody on the way can read, since there is no TLS",
		allow: "SPOUT_RABBITMQ_ALLOW_CLEARTEXT_CREDENTIALS", allowed: r.AllowCleartext, with: []string{"SPOUT_RABBITMQ_TLS"}}}
}

// MayLogin says whether the password may be sent to a node: its address may be
// one that other nodes have told.
func (r RabbitMQ) MayLogin(node string) bool {
	return r.TLS.Enabled || r.Mechanism == "external" || r.AllowCleartext || address.IsLoopback(node)
}
