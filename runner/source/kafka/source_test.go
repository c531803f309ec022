// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestReadsWhatWasProduced(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(3))
	createTopic(t, c, "orders", 5)
	cl := client(t, c)
	for p := range int32(5) {
		produce(t, cl, numbered("orders", p, 0, 100)...)
	}
	s, _ := open(t, config(c, "orders"), nil)
	same(t, readToEnd(t, c, s, "orders"), oracle(t, c, kgo.ReadCommitted(), 500, "orders"))
	t.Logf("%s", s.Position())
}
