// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// stay leaves everything running, with a few records a second, until somebody
// has seen enough and interrupts. It says how to look at it.
func (d *demo) stay(ctx context.Context) error {
	for _, pod := range d.cluster.Pods("default", spout) {
		d.say("status page: http://%s:9464", pod.IP)
	}
	dir := d.workspace.Dir
	fmt.Printf(`
It stays like this until you press Ctrl-C. In another terminal:

  export PACHD_ADDRESS=%[1]s PACH_CONFIG=%[2]s
  %[3]s list commit %[4]s@master              # what each commit holds
  %[3]s logs --pipeline %[4]s --master

  cd %[5]s                       # the configuration, to change
  export TF_CLI_CONFIG_FILE=%[6]s
  %[7]s plan

Records of your own go to the topic %[8]s of the broker at %[9]s.

`, d.cluster.Address(), d.cluster.ConfigPath(), d.cluster.PachctlPath(), spout, dir, filepath.Join(dir, ".terraformrc"), d.workspace.ExecPath(), topic, d.broker.AddressList())
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		value := fmt.Sprintf(`{"order":%d,"item":"one more"}`, n)
		if err := d.broker.Produce(ctx, uncounted, &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: []byte(value)}); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// uncounted is told of records after the audit, which has nothing to do with them.
func uncounted(string, int32, int64, string) {}
