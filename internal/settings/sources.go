// SPDX-License-Identifier: Apache-2.0

package settings

import "slices"

// Sources are the settings of each source, of which those of one apply. This is
// the place where a source gets known to the contract: its struct here, and its
// line in the list below. All else that depends on a source is in its own file.
//
// The tag source is the name of the source, and of the attribute of
// pachyderm_spout that chooses it.
type Sources struct {
	Source string `env:"SPOUT_SOURCE" default:"kafka" doc:"What is read."`

	Kafka    Kafka    `source:"kafka" title:"Kafka" doc:"Read topics of Apache Kafka with the bundled runner."`
	NATS     NATS     `source:"nats" title:"NATS JetStream" doc:"Read a stream of NATS JetStream with the bundled runner."`
	Webhook  Webhook  `source:"webhook" title:"Webhooks" doc:"Take HTTP requests of webhooks and CloudEvents with the bundled runner."`
	RabbitMQ RabbitMQ `source:"rabbitmq" title:"RabbitMQ" doc:"Read queues or streams of RabbitMQ with the bundled runner."`
	Postgres Postgres `source:"postgres" title:"PostgreSQL" doc:"Read tables of a PostgreSQL database, by logical replication, with the bundled runner: what is in them at first, and all changes."`
}

// sources is the list.
var sources = []source{
	{"kafka", []Layout{{Stream: "topic", Partition: "partition", Offset: "offset"}}, func(s Sources) sourceSettings { return s.Kafka }},
	{"nats", []Layout{{Stream: "stream", Offset: "sequence"}}, func(s Sources) sourceSettings { return s.NATS }},
	{"webhook", []Layout{{Stream: "endpoint", Offset: "ordinal", ID: "id"}}, func(s Sources) sourceSettings { return s.Webhook }},
	{"rabbitmq", rabbitMQLayouts, func(s Sources) sourceSettings { return s.RabbitMQ }},
	{"postgres", []Layout{{Stream: "table", Offset: "ordinal", ID: "lsn"}}, func(s Sources) sourceSettings { return s.Postgres }},
}

type source struct {
	name    string
	layouts []Layout // one of each kind of streams that it reads, the first for all that say no kind
	of      func(Sources) sourceSettings
}

// layout is the one of a kind.
func (s source) layout(kind string) Layout {
	at := slices.IndexFunc(s.layouts, func(l Layout) bool { return l.Kind == kind })
	return s.layouts[max(at, 0)]
}

// sourceSettings are the settings of one source. Its problems name its
// variables; those which another source knows are never asked about.
type sourceSettings interface {
	// validate checks what can be known without a connection and without secrets.
	validate(all Settings) Problems
	// validateSecrets checks that the secrets which the others call for are there.
	validateSecrets() Problems
	// exposures are the connections on which others can read along.
	exposures() []exposure
	// streams are what is read, of which each has a folder in most paths.
	streams() streams
	// largestBatch is how much one batch of records may hold at most, 0 for the
	// part of the memory budget that is for one.
	largestBatch() Bytes
}

// kinded are the settings of a source whose streams are of several kinds, as
// queues and logs, which have other coordinates.
type kinded interface {
	kind() string // of the layout
}

// streams says which streams a source reads, as far as the settings name them.
type streams struct {
	names     []string
	others    bool     // there may be more, which only the source knows
	variables []string // that name them
}

// SourceNames lists the sources.
func SourceNames() []string {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.name
	}
	return names
}

// Layout is what the chosen source calls the coordinates of its records.
func (s Settings) Layout() Layout {
	if chosen, ok := s.chosen(); ok {
		if k, ok := chosen.(kinded); ok {
			return LayoutOf(s.Source, k.kind())
		}
	}
	return LayoutOf(s.Source, "")
}

// LayoutOf is what a source calls the coordinates of records of streams of a kind.
func LayoutOf(source, kind string) Layout {
	if at := sourceAt(source); at >= 0 {
		return sources[at].layout(kind)
	}
	return Layout{Stream: "stream", Partition: "partition", Offset: "offset"} // validation tells of a source that there is not
}

// chosen returns the settings of the chosen source; it is not ok if no source
// is called so.
func (s Settings) chosen() (settings sourceSettings, ok bool) {
	at := sourceAt(s.Source)
	if at < 0 {
		return nil, false
	}
	return sources[at].of(s.Sources), true
}

// streams are those of the chosen source.
func (s Settings) streams() streams {
	source, ok := s.chosen()
	if !ok {
		return streams{}
	}
	return source.streams()
}

func sourceAt(name string) int {
	return slices.IndexFunc(sources, func(s source) bool { return s.name == name })
}

// OnlyStream is the stream that is read, if the settings name just one.
func (s Settings) OnlyStream() string {
	if read := s.streams(); len(read.names) == 1 && !read.others {
		return read.names[0]
	}
	return ""
}
