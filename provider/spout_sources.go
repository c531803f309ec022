// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// spoutSources are the attributes of which one says what the bundled runner
// reads. This is the place where the provider gets to know a source: its field
// here, and its line in the list below. What it has to say of it besides is in a
// file of its own; all else is made of what internal/settings says.
type spoutSources struct {
	Kafka    types.Object `tfsdk:"kafka"`
	NATS     types.Object `tfsdk:"nats"`
	Webhook  types.Object `tfsdk:"webhook"`
	RabbitMQ types.Object `tfsdk:"rabbitmq"`
	Postgres types.Object `tfsdk:"postgres"`
}

// spoutSourceList is the list.
var spoutSourceList = []spoutSource{
	{name: "kafka", of: func(s *spoutSources) *types.Object { return &s.Kafka }, warn: warnOfShard},
	{name: "nats", of: func(s *spoutSources) *types.Object { return &s.NATS }},
	{name: "webhook", of: func(s *spoutSources) *types.Object { return &s.Webhook }, check: (*spoutValidator).webhook},
	{name: "rabbitmq", of: func(s *spoutSources) *types.Object { return &s.RabbitMQ }},
	{name: "postgres", of: func(s *spoutSources) *types.Object { return &s.Postgres }},
}

type spoutSource struct {
	name string // of the attribute, and of the source in internal/settings
	of   func(*spoutSources) *types.Object
	// warn warns of what it means to go from one configuration to another one
	// of the same source. It may be nil.
	warn func(was, is *spoutModel, diags *diag.Diagnostics)
	// check refuses what of a spout does not go with the source's settings. It
	// may be nil.
	check func(v *spoutValidator, read runnerSettings)
}

// source is the one that is chosen. It is not ok if there is none, or more than
// one, or if an attribute that may be one is not known yet.
func (s *spoutSources) source() (chosen spoutSource, o types.Object, ok bool) {
	for _, source := range spoutSourceList {
		switch value := *source.of(s); {
		case value.IsNull():
		case value.IsUnknown() || ok:
			return spoutSource{}, types.Object{}, false
		default:
			chosen, o, ok = source, value, true
		}
	}
	return chosen, o, ok
}

// anySource says whether some source is set, and whether one is not known yet.
func (s *spoutSources) anySource() (set, unknown bool) {
	for _, source := range spoutSourceList {
		value := *source.of(s)
		set, unknown = set || known(value), unknown || value.IsUnknown()
	}
	return set, unknown
}

// sourceNames are the attributes that choose a source, each in quotes.
func sourceNames(quote string) string {
	names := make([]string, len(spoutSourceList))
	for i, source := range spoutSourceList {
		names[i] = quote + source.name + quote
	}
	return strings.Join(names, ", ")
}
