// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// NATS says which messages of a JetStream stream are read, and how the servers
// are reached.
type NATS struct {
	Servers  []string `env:"SPOUT_NATS_SERVERS" attribute:"servers" required:"true" set:"true" address:"true" doc:"Servers to connect to, as ´host:port´. The runner tries the others when one fails, and those that the servers tell it of."`
	Stream   string   `env:"SPOUT_NATS_STREAM" attribute:"stream" required:"true" doc:"JetStream stream to read."`
	Subjects []string `env:"SPOUT_NATS_SUBJECTS" attribute:"subjects" set:"true" doc:"Subjects of the stream to read, for example ´orders.eu.>´. ´*´ stands for one token and ´>´ for all that follow. No message may match two of them. More than one needs NATS 2.10. Left out, all subjects."`

	Retention string `env:"SPOUT_NATS_RETENTION" attribute:"retention" default:"limits" doc:"Retention policy of the stream, which decides how it is read. The runner stops if the stream has another one." values:"limits: messages stay whether they were read or not. The runner reads by sequence and changes nothing at the server|workqueue: a message is deleted once it is acknowledged, which the runner does after its commit is FINISHED|interest: a message is deleted once every consumer has acknowledged it. The runner does so after its commit is FINISHED"`
	Start     string `env:"SPOUT_NATS_START" attribute:"start" time:"true" default:"earliest" doc:"Where to begin while the output branch holds no position yet. A work queue is always read from its beginning." forms:"earliest: at the first message that there is\nlatest: with messages that come from now on\n2026-01-31T00:00:00Z: at a time, in RFC 3339"`
	Consumer  string `env:"SPOUT_NATS_CONSUMER" attribute:"consumer" doc:"Name of the consumer that the runner makes at the server, for the retention ´workqueue´ and ´interest´. It must differ between spouts that read the same stream. The runner makes ´NAME-a´ and ´NAME-b´ in turns."`
	Domain    string `env:"SPOUT_NATS_DOMAIN" attribute:"domain" doc:"JetStream domain of the stream, where it is not the one of the servers, for example behind a leaf node."`

	AckWait       Duration `env:"SPOUT_NATS_ACK_WAIT" attribute:"ack_wait" default:"30s" doc:"How long the server waits for an acknowledgement before it delivers a message again, for the retention ´workqueue´ and ´interest´. The runner asks for more time until the commit is FINISHED, and leaves out what comes again."`
	MaxAckPending int      `env:"SPOUT_NATS_MAX_ACK_PENDING" attribute:"max_ack_pending" default:"10000" doc:"Most messages that the server gives out without an acknowledgement, for the retention ´workqueue´ and ´interest´. A batch ends when there are so many."`

	OnReset string `env:"SPOUT_NATS_ON_RESET" attribute:"on_reset" default:"stop" doc:"What to do when the stream is not the one that was read: it was deleted and made again, or restored from a backup that ends before what was read." values:"stop: the runner stops|restart: it reads the stream from its beginning, whose files then get names of their own"`
	OnGap   string `env:"SPOUT_NATS_ON_GAP" attribute:"on_gap" default:"stop" doc:"What to do when the stream begins after the next message to read, since it no longer keeps it. Messages that are missing inside of the stream are no gap." values:"stop: the runner stops|skip: it continues at the first message that there is. The gap is logged and kept in the commit's description"`

	ClientName    string `env:"SPOUT_NATS_CLIENT_NAME" attribute:"client_name" default:"spout-runner" doc:"Name of the connection in the servers' logs and monitoring."`
	InboxPrefix   string `env:"SPOUT_NATS_INBOX_PREFIX" attribute:"inbox_prefix" default:"_INBOX" doc:"Begins the subjects on which the runner gets answers. The user must be allowed to subscribe to all subjects below it."`
	FetchMaxBytes Bytes  `env:"SPOUT_NATS_FETCH_MAX_BYTES" attribute:"fetch_max_bytes" default:"8MiB" doc:"Most bytes to ask the server for at once. A larger message is still read, alone. At most an eighth of SPOUT_MEMORY_BUDGET."`

	TLS            OptionalTLS `attribute:"tls" prefix:"SPOUT_NATS_TLS" doc:"Use TLS. ´{}´ trusts the system's authorities."`
	HandshakeFirst bool        `env:"SPOUT_NATS_HANDSHAKE_FIRST" attribute:"tls_handshake_first" default:"false" doc:"Begin with the TLS handshake, before the server says anything, where its ´handshake_first´ asks for that."`

	Login          NATSLogin `attribute:"credentials_secret" prefix:"SPOUT_NATS" doc:"Kubernetes secret with a user name and a password."`
	Token          NATSToken `attribute:"token_secret" prefix:"SPOUT_NATS" doc:"Kubernetes secret with a token."`
	NKey           NATSNKey  `attribute:"nkey_secret" prefix:"SPOUT_NATS" doc:"Kubernetes secret with the seed of an NKey, beginning with ´SU´. The runner proves that it has it, without sending it."`
	User           NATSUser  `attribute:"user_credentials_secret" prefix:"SPOUT_NATS" doc:"Kubernetes secret with a credentials file, which has a user's JWT and seed, as ´nsc generate creds´ writes it."`
	UserFile       string    `env:"SPOUT_NATS_USER_CREDENTIALS_FILE" attribute:"user_credentials_file" doc:"Such a file, of a secret that is mounted into the pod. The runner reads it again for each connection, so a user can be renewed while the spout runs."`
	AllowCleartext bool      `env:"SPOUT_NATS_ALLOW_CLEARTEXT_CREDENTIALS" attribute:"allow_cleartext_credentials" default:"false" doc:"Whether a password or token may be sent without TLS. Everybody on the way can read it. Without this, the runner sends it to this machine only. NKeys and the seeds of credentials files are never sent, so without TLS there is only a warning. The JWT of a credentials file is sent. One that is a bearer token is treated as a token."`
}

// Ways to log in, each a secret of its own.
type (
	// NATSLogin is a user name and a password.
	NATSLogin struct{ Credentials }
	// NATSToken is a token.
	NATSToken struct {
		Token string `env:"_TOKEN" attribute:"key" secret:"token" line:"true" doc:"Token."`
	}
	// NATSNKey is a key pair.
	NATSNKey struct {
		Seed string `env:"_NKEY_SEED" attribute:"key" secret:"seed" line:"true" doc:"Seed of an NKey."`
	}
	// NATSUser is a user's JWT with its key.
	NATSUser struct {
		Creds string `env:"_USER_CREDENTIALS" attribute:"key" secret:"user.creds" doc:"Credentials file with a user's JWT and seed."`
	}
)

// Retention policies of streams.
const (
	NATSLimits    = "limits"
	NATSWorkQueue = "workqueue"
	NATSInterest  = "interest"
)

// Acknowledges says whether messages are acknowledged, rather than read by
// their sequence.
func (n NATS) Acknowledges() bool { return n.Retention != NATSLimits }

// Consumers are the names of the consumers that may be at the server.
func (n NATS) Consumers() [2]string { return [2]string{n.Consumer + "-a", n.Consumer + "-b"} }

// StartTime returns the time that Start names, and whether it is a time.
func (n NATS) StartTime() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, n.Start)
	return t, err == nil
}

func (n NATS) streams() streams {
	return streams{names: []string{n.Stream}, variables: []string{"SPOUT_NATS_STREAM"}}
}

// left is what keeps messages for a spout that is no more. The consumer of a
// work queue ends by itself.
func (n NATS) left() Left {
	if n.Retention != NATSInterest {
		return Left{}
	}
	names := n.Consumers()
	return Left{What: fmt.Sprintf("the consumer %s or %s of the stream %s at %s", names[0], names[1], n.Stream, strings.Join(n.Servers, ", ")),
		Command: fmt.Sprintf("nats consumer rm %s NAME", n.Stream)}
}

func (NATS) largestBatch() Bytes { return 0 }

var (
	natsName  = regexp.MustCompile(`^[^\s.*>/\\\x00-\x1F\x7F]{1,255}$`)
	natsToken = regexp.MustCompile(`^[^\s.*>\x00-\x1F\x7F]+$`)

	maxNATSAckPending = 100_000
	minNATSAckWait    = time.Second
	maxNATSAckWait    = time.Hour
)

func (n NATS) validate(all Settings) (p Problems) {
	if len(n.Servers) == 0 {
		p.add("SPOUT_NATS_SERVERS", "", "must name at least one server, such as nats.example.com:4222")
	}
	servers := n.Servers
	if list := strings.Join(servers, ","); address.HasLogin(list) {
		servers = []string{list} // a comma may be a password's
	}
	for _, server := range servers {
		host, port, err := net.SplitHostPort(server)
		if number, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || number < 1 || number > 65535 || address.HasLogin(server) {
			p.add("SPOUT_NATS_SERVERS", server, "must be host:port, such as nats.example.com:4222, without nats://, a user or a password")
		}
	}
	if !natsName.MatchString(n.Stream) {
		p.add("SPOUT_NATS_STREAM", n.Stream, "must be the name of a stream, which has no blanks and none of . * > / and \\")
	}
	p = append(p, n.validateSubjects()...)
	p = append(p, n.validateRetention()...)
	if n.Domain != "" && !natsToken.MatchString(n.Domain) {
		p.add("SPOUT_NATS_DOMAIN", n.Domain, "must be the name of a JetStream domain, which has no blanks and none of . * and >")
	}
	for _, token := range strings.Split(n.InboxPrefix, ".") {
		if !natsToken.MatchString(token) {
			p.add("SPOUT_NATS_INBOX_PREFIX", n.InboxPrefix, "must be a subject without * and > and without a dot at its end, such as _INBOX or _INBOX_orders")
			break
		}
	}
	if n.ClientName == "" {
		p.add("SPOUT_NATS_CLIENT_NAME", "", "must not be empty; leave it out for the default")
	}
	if most := all.MemoryBudget / memoryPerFetch; n.FetchMaxBytes < minFetchBytes || n.FetchMaxBytes > most {
		p.add("SPOUT_NATS_FETCH_MAX_BYTES", n.FetchMaxBytes.String(), fmt.Sprintf("must be from %s to %s, an eighth of SPOUT_MEMORY_BUDGET", minFetchBytes, most), "SPOUT_MEMORY_BUDGET")
	}
	if n.HandshakeFirst && !n.TLS.Enabled {
		p.add("SPOUT_NATS_HANDSHAKE_FIRST", "true", "goes with TLS: set SPOUT_NATS_TLS=true, or take it out", "SPOUT_NATS_TLS")
	}
	return append(p, n.TLS.validate("SPOUT_NATS_TLS")...)
}

// validateSubjects checks which subjects are named, as the server does.
func (n NATS) validateSubjects() (p Problems) {
	for i, subject := range n.Subjects {
		if !isNATSFilter(subject) {
			p.add("SPOUT_NATS_SUBJECTS", subject, "is not a subject: tokens without blanks, with dots between them, each of which may be *, and the last one >")
			continue
		}
		for _, other := range n.Subjects[:i] {
			if isNATSFilter(other) && NATSOverlap(subject, other) {
				p.add("SPOUT_NATS_SUBJECTS", strings.Join(n.Subjects, ","), fmt.Sprintf("has %s and %s, which match the same messages; leave one of them out", other, subject))
			}
		}
	}
	return p
}

func isNATSFilter(subject string) bool {
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		if token != "*" && !(token == ">" && i == len(tokens)-1) && !natsToken.MatchString(token) {
			return false
		}
	}
	return true
}

// NATSOverlap says whether a subject can match both of two filters.
func NATSOverlap(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if as[i] == ">" || bs[i] == ">" {
			return true
		}
		if as[i] != bs[i] && as[i] != "*" && bs[i] != "*" {
			return false
		}
	}
	return len(as) == len(bs)
}

// validateRetention checks what goes with acknowledging, and only with it.
func (n NATS) validateRetention() (p Problems) {
	if _, isTime := n.StartTime(); !isTime && !slices.Contains(startKeywords, n.Start) {
		p.add("SPOUT_NATS_START", n.Start, "must be earliest, latest or a time such as 2026-01-31T00:00:00Z")
	} else if n.Retention == NATSWorkQueue && n.Start != "earliest" {
		p.add("SPOUT_NATS_START", n.Start, "must be earliest, since SPOUT_NATS_RETENTION is workqueue: a work queue holds what nobody has processed yet, and the server gives all of it", "SPOUT_NATS_RETENTION")
	}
	if !slices.Contains(namesOf("SPOUT_NATS_RETENTION"), n.Retention) {
		return p // it is told of by itself
	}
	if !n.Acknowledges() {
		if n.Consumer != "" {
			p.add("SPOUT_NATS_CONSUMER", n.Consumer, "is for streams whose messages are acknowledged; set SPOUT_NATS_RETENTION to workqueue or interest, or take it out", "SPOUT_NATS_RETENTION")
		}
		return p
	}
	switch {
	case n.Consumer == "":
		p.add("SPOUT_NATS_CONSUMER", "", "must name the consumer, since SPOUT_NATS_RETENTION is "+n.Retention+"; for example as the spout is called", "SPOUT_NATS_RETENTION")
	case !natsName.MatchString(n.Consumer) || len(n.Consumer) > 250:
		p.add("SPOUT_NATS_CONSUMER", n.Consumer, "must be a name without blanks and without . * > / and \\, at most 250 long")
	}
	if wait := n.AckWait.Std(); wait < minNATSAckWait || wait > maxNATSAckWait {
		p.add("SPOUT_NATS_ACK_WAIT", n.AckWait.String(), "must be from 1s to 1h")
	}
	if n.MaxAckPending < 1 || n.MaxAckPending > maxNATSAckPending {
		p.add("SPOUT_NATS_MAX_ACK_PENDING", strconv.Itoa(n.MaxAckPending), fmt.Sprintf("must be from 1 to %d", maxNATSAckPending))
	}
	return p
}

// logins are the variables of the ways to log in that are given.
func (n NATS) logins() (given []string) {
	for _, way := range []struct {
		variable string
		given    bool
	}{
		{"SPOUT_NATS_USERNAME", n.Login.Username+n.Login.Password != ""},
		{"SPOUT_NATS_TOKEN", n.Token.Token != ""},
		{"SPOUT_NATS_NKEY_SEED", n.NKey.Seed != ""},
		{"SPOUT_NATS_USER_CREDENTIALS", n.User.Creds != ""},
		{"SPOUT_NATS_USER_CREDENTIALS_FILE", n.UserFile != ""},
	} {
		if way.given {
			given = append(given, way.variable)
		}
	}
	return given
}

func (n NATS) validateSecrets() (p Problems) {
	if given := n.logins(); len(given) > 1 {
		p.add(given[1], "", "cannot be set together with "+given[0]+": there is one way to log in; set one of them", given[0])
	}
	p = append(p, n.Login.complete("SPOUT_NATS")...)
	return append(p, n.TLS.validateSecrets("SPOUT_NATS_TLS")...)
}

func (n NATS) exposures() (list []exposure) {
	given, server := n.logins(), n.exposedServer()
	if len(given) == 0 || server == "" {
		return nil
	}
	e := exposure{variable: given[0], fix: "use TLS (SPOUT_NATS_TLS)", allow: "SPOUT_NATS_ALLOW_CLEARTEXT_CREDENTIALS", allowed: n.AllowCleartext, with: []string{"SPOUT_NATS_TLS", "SPOUT_NATS_SERVERS"}}
	if n.SendsSecret() {
		e.what = "is a password or token that everybody on the way to " + address.Redacted(server) + " can read, since there is no TLS"
	} else {
		e.what, e.allow = "is not sent, but without TLS everybody on the way to "+address.Redacted(server)+" can read the records", ""
	}
	return append(list, e)
}

// SendsSecret says whether what is sent to log in lets others log in.
func (n NATS) SendsSecret() bool { return n.Login.Password != "" || n.Token.Token != "" }

// exposedServer is a server that is reached over the network without TLS.
func (n NATS) exposedServer() string {
	at := slices.IndexFunc(n.Servers, func(server string) bool { return !address.IsLoopback(server) })
	if n.TLS.Enabled || at < 0 {
		return ""
	}
	return n.Servers[at]
}

// OnlyThisMachine says that what is sent to log in may not leave this machine.
func (n NATS) OnlyThisMachine() bool {
	return n.SendsSecret() && !n.TLS.Enabled && !n.AllowCleartext
}
