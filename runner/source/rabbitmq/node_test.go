// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
)

// node is the one that all tests of this package share.
var node struct {
	sync.Once
	*rabbitmqcluster.Node
	err error
}

// startNode starts the node if it does not run yet, and skips the test where
// there is no RabbitMQ.
func startNode(t testing.TB) *rabbitmqcluster.Node {
	t.Helper()
	node.Do(func() { node.Node, node.err = rabbitmqcluster.Start(context.Background(), rabbitmqcluster.Options{}) })
	if errors.Is(node.err, rabbitmqcluster.ErrMissing) {
		t.Skip(node.err)
	}
	if node.err != nil {
		t.Fatal(node.err)
	}
	return node.Node
}

func TestMain(m *testing.M) {
	code := m.Run()
	if node.Node != nil {
		if code != 0 {
			fmt.Println(node.LogTail())
		}
		node.Stop()
	}
	os.Exit(code)
}
