// SPDX-License-Identifier: Apache-2.0

// Command demo shows the whole of it on one machine: a real Pachyderm, a
// Kafka broker, Terraform applying examples/quickstart, and a runner that is
// killed halfway. It then compares what was produced with what every commit
// holds, record by record.
//
//	make demo
//	make demo ARGS=-keep          leaves it running, to look at, until Ctrl-C
//	DEMO_INPUT=FILE make demo     takes the lines of a file as records
//	SOURCE=postgres make demo     with a PostgreSQL, and random transactions: see postgres.go
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

const (
	version    = "0.1.0" // that the provider is installed under
	image      = "demo.local/spout-runner:latest"
	topic      = "quickstart"
	partitions = 4
	spout      = "quickstart"
)

func main() {
	rate := flag.Int("rate", 2000, "records to produce a second")
	seconds := flag.Int("seconds", 25, "for how long")
	keep := flag.Bool("keep", false, "leave it running in the end, until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{produced: audit.NewProduced(audit.OffsetsOf("kafka")), input: os.Getenv("DEMO_INPUT"), rate: *rate, seconds: *seconds, keep: *keep, began: time.Now()}
	if source := os.Getenv("SOURCE"); source == "postgres" {
		os.Exit(d.showPostgres(ctx))
	} else if source != "" && source != "kafka" {
		fmt.Fprintf(os.Stderr, "demo: SOURCE=%s: there are demos of kafka and postgres\n", source)
		os.Exit(2)
	}
	report, err := d.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	if report == nil {
		os.Exit(1)
	}
	fmt.Printf("demo: produced %d, ingested %d, lost %d, duplicated %d\n", d.produced.Count(), report.Records, report.Lost, report.Duplicated)
	if err != nil || !report.OK() {
		os.Exit(1)
	}
}

// demo is one run.
type demo struct {
	produced *audit.Produced
	input    string // file whose lines are the records; "" for made-up ones
	rate     int
	seconds  int
	keep     bool
	began    time.Time

	cluster   *cluster.Cluster
	broker    *kafkatest.Broker
	workspace *terraformcli.Workspace
	branch    *pachyderm.Branch
}

func (d *demo) say(format string, args ...any) {
	fmt.Printf("%5.1fs  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

// run does everything, and stops and removes what it has started.
func (d *demo) run(ctx context.Context) (report *audit.Report, err error) {
	dir, err := os.MkdirTemp("", "spout-demo-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if err := d.start(ctx, dir); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := d.apply(ctx); err != nil {
		return nil, err
	}
	if err := d.ingest(ctx); err != nil {
		return nil, err
	}
	d.say("comparing every record of every commit with what was produced")
	report, err = audit.Branch(ctx, d.branch, settings.LayoutOf("kafka", ""), d.produced)
	if err != nil {
		return nil, err
	}
	d.say("audit: %s", report)
	if d.keep {
		// What is interrupted is stopped with the cluster, not destroyed one by one.
		return report, d.stay(ctx)
	}
	d.say("terraform destroy")
	return report, d.workspace.Destroy(ctx, tfexec.Refresh(true))
}

// start builds the programs and starts Pachyderm and Kafka.
func (d *demo) start(ctx context.Context, dir string) error {
	return d.startWith(ctx, dir, "a Kafka broker", "quickstart", func() (string, error) {
		var err error
		if d.broker, err = kafkatest.Start(1, kafkatest.Topic{Name: topic, Partitions: partitions}); err != nil {
			return "", err
		}
		return fmt.Sprintf("brokers = [%s]\ntopic   = %q\nname    = %q\nimage   = %q\n", d.broker.AddressList(), topic, spout, image), nil
	})
}

// startWith builds the programs, starts Pachyderm and what else there is to
// start, and copies an example, whose variables that tells.
func (d *demo) startWith(ctx context.Context, dir, other, example string, start func() (variables string, err error)) error {
	cli, err := terraformcli.Find(ctx, os.Stdout)
	if err != nil {
		return err
	}
	d.say("building the provider and the runner")
	provider, err := artifacts.Provider(ctx, dir, version)
	if err != nil {
		return err
	}
	images := filepath.Join(dir, "image")
	if _, err := artifacts.Runner(ctx, images, version); err != nil {
		return err
	}
	d.say("starting Pachyderm and %s", other)
	if d.cluster, err = cluster.New(ctx, cluster.Options{Images: map[string]string{image: images}, Quick: true, WithoutPachctl: !d.keep, Log: os.Stdout}); err != nil {
		return err
	}
	variables, err := start()
	if err != nil {
		return err
	}
	address, err := pachyderm.ParseAddress(d.cluster.Address())
	if err != nil {
		return err
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: address, UserAgent: "spout-demo"})
	if err != nil {
		return err
	}
	d.branch = client.Branch(pachyderm.DefaultProject, spout, "master")
	return d.prepareWorkspace(ctx, cli, filepath.Join(dir, example), provider, variables)
}

// prepareWorkspace copies the example, so that nothing is left beside it.
func (d *demo) prepareWorkspace(ctx context.Context, cli terraformcli.CLI, dir, provider, variables string) error {
	root, err := artifacts.Root(ctx)
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", filepath.Base(dir)))); err != nil {
		return fmt.Errorf("copy the example: %w", err)
	}
	d.workspace, err = cli.NewWorkspace(dir, provider, version, map[string]string{"PACHD_ADDRESS": d.cluster.Address()})
	if err == nil {
		err = d.workspace.Write("terraform.tfvars", variables)
	}
	if err == nil {
		d.workspace.SetStdout(os.Stdout)
		d.workspace.SetStderr(os.Stderr)
	}
	return err
}

func (d *demo) apply(ctx context.Context) error {
	d.say("terraform init")
	if err := d.workspace.Init(ctx); err != nil {
		return err
	}
	d.say("terraform plan")
	if _, err := d.workspace.Plan(ctx); err != nil {
		return err
	}
	d.say("terraform apply")
	return d.workspace.Apply(ctx)
}

// stop ends whatever was started.
func (d *demo) stop() error {
	if d.broker != nil {
		d.broker.Stop()
	}
	if d.cluster == nil {
		return nil
	}
	d.say("stopping Pachyderm")
	return d.cluster.Stop()
}
