// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

type positionCommand struct {
	Show   showCommand   `cmd:"" help:"Show which part of the stream an output branch holds, and its newest commits."`
	Verify verifyCommand `cmd:"" help:"Read the records of commits again from Kafka and compare them with the files, record by record. Exit code 0: all the same; 1: something differs; 2: it could not be compared."`
}

// branchTarget names an output branch of a cluster, from anywhere.
type branchTarget struct {
	Spout                     string `arg:"" name:"[project/]pipeline[@branch]" help:"The spout. Defaults: the project default, and the pipeline's output branch."`
	Address                   string `placeholder:"ADDRESS" help:"Address of pachd, as grpcs://HOST:PORT, to which the token in $$PACHYDERM_AUTH_TOKEN is sent (default: as pachctl has it, $$PACHD_ADDRESS or its configuration)."`
	Config                    string `placeholder:"FILE" help:"pachctl's configuration (default: $$PACH_CONFIG or ~/.pachyderm/config.json)."`
	AllowCleartextCredentials bool   `help:"Send a token without TLS to another machine, too, where the network is trusted."`

	Context string `placeholder:"NAME" help:"Context in pachctl's configuration (default: $$PACH_CONTEXT or the active one)."`
}

// open connects, and finds the pipeline and its output branch.
func (t branchTarget) open(ctx context.Context) (*pachyderm.Client, *pachyderm.Pipeline, *pachyderm.Branch, error) {
	found, err := pachyderm.Sources{Address: t.Address, ConfigPath: t.Config, Context: t.Context, AllowCleartext: t.AllowCleartextCredentials}.Resolve()
	var exposed *pachyderm.ExposedError
	if errors.As(err, &exposed) {
		err = fmt.Errorf("%w, or give --allow-cleartext-credentials where the network is trusted", err)
	}
	if errors.Is(err, pachyderm.ErrNoAddress) {
		err = fmt.Errorf("nothing says which Pachyderm is meant: give --address or set %s, or log in with pachctl", pachyderm.EnvAddress)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	for _, warning := range found.Warnings {
		fmt.Fprintln(os.Stderr, "spout-runner:", warning)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: found.Address, Token: found.Token, CACertificate: found.CACertificate, UserAgent: "spout-runner/" + version})
	if err != nil {
		return nil, nil, nil, err
	}
	rest, branch, _ := strings.Cut(t.Spout, "@")
	id := pachyderm.PipelineID{Project: pachyderm.DefaultProject, Name: rest}
	if project, name, ok := strings.Cut(rest, "/"); ok {
		id = pachyderm.PipelineID{Project: project, Name: name}
	}
	pipeline, err := client.InspectPipeline(ctx, id)
	if pachyderm.IsNotFound(err) {
		err = fmt.Errorf("there is no pipeline %s in the project %s of the Pachyderm at %s, or you may not see it. List those that there are: pachctl list pipeline --project %s", id.Name, id.Project, found.Address, id.Project)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, client.Close())
	}
	return client, pipeline, client.Branch(id.Project, id.Name, cmp.Or(branch, pipeline.OutputBranch)), nil
}

type showCommand struct {
	branchTarget
	Last int  `default:"10" help:"How many of the newest commits are shown (default: ${default})."`
	JSON bool `help:"Print JSON."`
}

// Run prints what the branch holds.
func (c showCommand) Run(ctx context.Context) error {
	client, _, branch, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // only read
	held, err := readBranch(ctx, branch, c.Last)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(held)
	}
	return held.print(os.Stdout, time.Now())
}

// heldBranch is what a branch holds.
type heldBranch struct {
	Project    string         `json:"project"`
	Repo       string         `json:"repo"`
	Branch     string         `json:"branch"`
	Source     string         `json:"source"`
	Cluster    string         `json:"kafka_cluster,omitempty"`
	Records    int64          `json:"records"` // in all commits that count
	Bytes      int64          `json:"bytes"`
	Commits    int            `json:"commits"`
	RolledBack int            `json:"rolled_back"`
	Gaps       int            `json:"gaps"`
	Others     int            `json:"other_commits"` // that are no runner's
	Open       bool           `json:"head_is_open"`
	Position   []heldPosition `json:"position"`
	Newest     []heldCommit   `json:"newest_commits"`
}

type heldPosition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next_offset"` // all before it was read
}

type heldCommit struct {
	ID           string             `json:"commit"`
	Finished     time.Time          `json:"finished"`
	Reason       spoutcommit.Reason `json:"reason"`
	Records      int64              `json:"records"`
	Filtered     int64              `json:"filtered"`
	DeadLettered int64              `json:"dead_lettered"`
	Files        int                `json:"files"`
	Bytes        int64              `json:"bytes"`
	Writer       string             `json:"writer"`
}

// readBranch walks all commits of a branch.
func readBranch(ctx context.Context, branch *pachyderm.Branch, newest int) (*heldBranch, error) {
	h := &heldBranch{Project: branch.Project, Repo: branch.Repo, Branch: branch.Name, Position: []heldPosition{}, Newest: []heldCommit{}}
	head, err := branch.Head(ctx)
	if err != nil || head == nil {
		return h, err
	}
	h.Open = head.Open()
	var position json.RawMessage
	var problem error
	err = branch.Ancestry(ctx, head.ID, func(c *pachyderm.Commit) bool {
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		switch {
		case c.Finished.IsZero():
		case c.Error != "":
			h.RolledBack++
		case err != nil:
			problem = fmt.Errorf("commit %s: %w", c.ID, err)
		case ours && d.Position != nil:
			if position == nil {
				position, h.Source = d.Position, d.Source
			}
			h.add(c, d, newest)
		case !ours:
			h.Others++
		}
		return problem == nil
	})
	if err := errors.Join(err, problem); err != nil || position == nil {
		return h, err
	}
	return h, h.read(position)
}

func (h *heldBranch) add(c *pachyderm.Commit, d spoutcommit.Description, newest int) {
	h.Commits++
	h.Records += d.Written
	h.Bytes += d.Bytes
	h.Gaps += len(d.Gaps)
	if len(h.Newest) < newest {
		h.Newest = append(h.Newest, heldCommit{c.ID, c.Finished, d.Reason, d.Written, d.Filtered, d.DeadLettered, d.Files, d.Bytes, d.Writer})
	}
}

// read lists a position of Kafka.
func (h *heldBranch) read(position json.RawMessage) error {
	if h.Source != spoutcommit.SourceKafka {
		return fmt.Errorf("the branch holds a position of the source %s, which this release cannot read", h.Source)
	}
	var identity struct{ Cluster string }
	offsets, err := kafka.Offsets(position)
	if err == nil {
		err = json.Unmarshal(position, &identity)
	}
	if err != nil {
		return fmt.Errorf("position: %w", err)
	}
	h.Cluster = identity.Cluster
	for stream, next := range offsets {
		h.Position = append(h.Position, heldPosition{stream.Name, stream.Partition, next})
	}
	slices.SortFunc(h.Position, func(a, b heldPosition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return nil
}

// print writes tables for people.
func (h *heldBranch) print(out io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) {
		fmt.Fprintf(w, format+"\n", args...) //nolint:errcheck // Flush tells
	}
	switch {
	case h.Commits > 0:
		line("%s@%s of project %s: %d records in %d commits, %d bytes", h.Repo, h.Branch, h.Project, h.Records, h.Commits, h.Bytes)
	case h.Others > 0:
		line("%s@%s of project %s holds no position: none of its %d commits was made by the bundled runner", h.Repo, h.Branch, h.Project, h.Others)
	default:
		line("%s@%s of project %s holds no position: the bundled runner has not finished a commit yet", h.Repo, h.Branch, h.Project)
	}
	if h.RolledBack > 0 {
		line("%d commits were rolled back and do not count", h.RolledBack)
	}
	if h.Gaps > 0 {
		line("%d ranges of records were gone at the source", h.Gaps)
	}
	if h.Open {
		line("a commit is open")
	}
	if len(h.Position) > 0 {
		line("\nTOPIC\tPARTITION\tNEXT OFFSET")
	}
	for _, p := range h.Position {
		line("%s\t%d\t%d", p.Topic, p.Partition, p.Next)
	}
	if len(h.Newest) > 0 {
		line("\nCOMMIT\tFINISHED\tAGO\tREASON\tRECORDS\tFILES\tBYTES")
	}
	for _, c := range h.Newest {
		line("%s\t%s\t%v\t%s\t%d\t%d\t%d", c.ID, c.Finished.UTC().Format(time.RFC3339), now.Sub(c.Finished).Round(time.Second), c.Reason, c.Records, c.Files, c.Bytes)
	}
	return w.Flush()
}
