// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// waitFor tries until it succeeds, ctx ends or an operator has to decide. What
// it waits for is noted and logged.
func waitFor[T any](ctx context.Context, log hclog.Logger, secret string, note func(error), try func() (T, error)) (T, error) {
	var none T
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		got, err := try()
		err = source.Quoted(err, secret)
		if err == nil {
			note(nil)
			return got, nil
		}
		if source.IsStop(err) || ctx.Err() != nil {
			return none, errors.Join(ctx.Err(), err)
		}
		note(err)
		log.Warn("waiting for RabbitMQ", "reason", err)
		select {
		case <-ctx.Done():
			return none, ctx.Err()
		case <-time.After(pause):
		}
	}
}
