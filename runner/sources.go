// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/nats"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/webhook"
)

// sources are all that the runner can read, by the name in SPOUT_SOURCE.
var sources = map[string]source.Driver{
	"kafka":    {New: kafka.Make, Reread: kafka.Reread},
	"nats":     {New: nats.Make, Reread: nats.Reread},
	"webhook":  {New: webhook.Make},
	"rabbitmq": {New: rabbitmq.Make},
	"postgres": {New: postgres.Make},
}

// newSource makes the source that the settings name.
func newSource(s settings.Settings, log hclog.Logger) (source.Source, error) {
	driver, ok := sources[s.Source]
	if !ok {
		return nil, &source.Stop{Err: fmt.Errorf("this runner cannot read the source %s; use the image that belongs to the provider", s.Source)}
	}
	return driver.New(s, source.Options{Memory: ingest.SourceShare(s), Log: log.Named(s.Source)})
}
