// SPDX-License-Identifier: Apache-2.0

// Command brokerd is a Kafka broker in a process of its own, which can be
// stopped and started again with all it holds.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	dir := flag.String("dir", "", "folder that keeps the records")
	port := flag.Int("port", 0, "port to listen on, on the loopback address")
	topic := flag.String("topic", "", "topic to make")
	partitions := flag.Int("partitions", 1, "its number of partitions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(*port), kfake.DataDir(*dir),
		kfake.SeedTopics(int32(*partitions), *topic))
	if err != nil {
		fmt.Fprintln(os.Stderr, "brokerd:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	<-ctx.Done()
	cluster.Close()
}
