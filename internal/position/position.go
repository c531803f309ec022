// SPDX-License-Identifier: Apache-2.0

// Package position reads the positions that commits carry, of any source.
// Each source has a package below for its own; here is the list of them.
package position

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/nats"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/view"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/webhook"
)

// View is what a position says.
type View = view.View

// Mark is where a stream is read on.
type Mark = view.Mark

// parsers are those of all sources.
var parsers = map[string]func(json.RawMessage) (View, error){
	"kafka":    kafka.View,
	"nats":     nats.View,
	"webhook":  webhook.View,
	"rabbitmq": rabbitmq.View,
	"postgres": postgres.View,
}

// ErrUnknownSource says that a position is of a source that this release does
// not know.
var ErrUnknownSource = errors.New("this release does not know that source")

// Parse reads a position of a source.
func Parse(source string, raw json.RawMessage) (View, error) {
	parse, ok := parsers[source]
	if !ok {
		return View{}, fmt.Errorf("the position of the source %s cannot be read: %w", source, ErrUnknownSource)
	}
	v, err := parse(raw)
	if err != nil {
		return View{}, fmt.Errorf("the position %.40q… is damaged: %w", raw, err)
	}
	v.Source = source
	v.Sort()
	return v, nil
}
