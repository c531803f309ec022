// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import (
	"bytes"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// ConsumerGroups runs kafka-consumer-groups.sh and returns what it prints.
func (c *Cluster) ConsumerGroups(args ...string) (string, error) {
	args = append([]string{"-Xmx128m", "-XX:TieredStopAtLevel=1", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
		"--bootstrap-server", c.brokers[0].Address(Plaintext)}, args...)
	cmd := c.java(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := child.Start(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("kafka-consumer-groups: %w\n%s", err, &out)
	}
	return out.String(), nil
}
