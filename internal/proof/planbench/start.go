// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
)

// maxStartCPU is how much CPU time the provider may need until Terraform has
// its schema, in milliseconds.
const maxStartCPU = 150

// start measures what Terraform waits for before anything else, in each of its
// commands: the provider's start, and its schema.
func (b *bench) start(ctx context.Context) ([]figures.Figure, error) {
	var times []float64
	for range b.rounds {
		cpu, err := b.startOnce(ctx)
		if err != nil {
			return nil, fmt.Errorf("start the provider: %w", err)
		}
		times = append(times, cpu)
	}
	return []figures.Figure{{Name: "provider_start_cpu", Value: figures.Median(times), Target: figures.Target(maxStartCPU), Better: figures.Lower, Unit: "ms"}}, nil
}

// startOnce speaks with the provider as Terraform does, with the handshake of
// go-plugin: a line of CORE|PROTOCOL|NETWORK|ADDRESS|… on standard output, and
// then gRPC.
func (b *bench) startOnce(ctx context.Context) (cpu float64, err error) {
	cmd := exec.CommandContext(ctx, b.provider)
	cmd.Env = append(os.Environ(), "TF_PLUGIN_MAGIC_COOKIE=d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2", "PLUGIN_PROTOCOL_VERSIONS=6")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	size, err := schemaSize(ctx, bufio.NewReader(out))
	_ = cmd.Process.Kill() // its only way to end; the error of Wait is that
	_ = cmd.Wait()
	if err == nil && size < 10_000 {
		err = fmt.Errorf("a schema of only %d bytes", size)
	}
	usage := cmd.ProcessState
	return float64((usage.UserTime() + usage.SystemTime()).Microseconds()) / 1000, err
}

func schemaSize(ctx context.Context, out *bufio.Reader) (int, error) {
	line, err := out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	parts := strings.Split(strings.TrimSpace(line), "|")
	if len(parts) < 4 {
		return 0, fmt.Errorf("no handshake: %q", line)
	}
	conn, err := grpc.NewClient(parts[2]+":"+parts[3], grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // the provider is about to be killed
	var reply []byte
	err = conn.Invoke(ctx, "/tfplugin6.Provider/GetProviderSchema", []byte{}, &reply)
	return len(reply), err
}

// rawCodec leaves messages as they are: a []byte to send, a *[]byte to receive.
type rawCodec struct{}

func (rawCodec) Name() string                    { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }
