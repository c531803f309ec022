// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/conformance"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// The sources of these tests are the smallest there are of each kind: they are
// what runner/source asks for, and nothing else.

func TestReplay(t *testing.T) {
	conformance.Run(t, func(testing.TB) conformance.Side { return newJournal(false) })
}

func TestTransactions(t *testing.T) {
	conformance.Run(t, func(testing.TB) conformance.Side { return newJournal(true) })
}

func TestAcknowledge(t *testing.T) {
	conformance.Run(t, func(testing.TB) conformance.Side {
		return newQueue(source.Traits{Kind: source.Acknowledge, Window: 12, Idle: 30 * time.Millisecond})
	})
}

func TestRequest(t *testing.T) {
	conformance.Run(t, func(testing.TB) conformance.Side {
		return newQueue(source.Traits{Kind: source.Request, AckWithin: 300 * time.Millisecond, Idle: 30 * time.Millisecond})
	})
}
