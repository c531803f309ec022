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
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

type positionCommand struct {
	Show   showCommand   `cmd:"" help:"Show which part of the stream an output branch holds, and its newest commits."`
	Rewind rewindCommand `cmd:"" help:"In a spout's pod: go back to an older commit, so that all that came after it is read again. Says what it would do unless --apply is given."`
	Verify verifyCommand `cmd:"" help:"Read the records of commits again from the source and compare them with the files, record by record. Exit code 0: all the same; 1: something differs; 2: it could not be compared."`
}

// branchTarget names an output branch of a cluster, from anywhere.
type branchTarget struct {
	Spout                     string `arg:"" name:"[project/]pipeline[@branch]" help:"The spout. Defaults: the project default, and the pipeline's output branch."`
	Address                   string `placeholder:"ADDRESS" help:"Address of pachd, for example grpcs://HOST:PORT, to which the token of $$PACHYDERM_AUTH_TOKEN, $$PACHYDERM_AUTH_TOKEN_FILE or $$PACHYDERM_ID_TOKEN is sent (default: as pachctl has it, $$PACHD_ADDRESS or its configuration)."`
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
	client, err := connectAs(ctx, found)
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

// connectAs connects with the token that was found, or the one that an id token
// stands for.
func connectAs(ctx context.Context, found *pachyderm.Credentials) (*pachyderm.Client, error) {
	options := pachyderm.Options{Address: found.Address, Token: found.Token, TokenFile: found.TokenFile, CACertificate: found.CACertificate, UserAgent: "spout-runner/" + version, CallTimeout: callTimeout}
	if found.IDToken != "" {
		client, err := pachyderm.Connect(options)
		if err != nil {
			return nil, err
		}
		options.Token, err = client.Login(ctx, found.IDToken)
		if err := errors.Join(err, client.Close()); err != nil {
			return nil, err
		}
	}
	return pachyderm.Connect(options)
}

type showCommand struct {
	branchTarget
	Last int  `default:"10" help:"How many of the newest commits are shown (default: ${default})."`
	All  bool `help:"Look at all commits, in place of as many as are shown, and count those that do not count, too: rolled back, left behind by a rewind, or made by others. With thousands of commits it takes seconds."`
	JSON bool `help:"Print JSON."`
}

// Run prints what the branch holds.
func (c showCommand) Run(ctx context.Context) error {
	client, _, branch, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // only read
	held, err := readBranch(ctx, branch, c.Last, c.All)
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
	Identity   string         `json:"identity,omitempty"` // what the source is, as Kafka's cluster id
	Records    int64          `json:"records"`            // in all commits that count
	Bytes      int64          `json:"bytes"`
	Commits    int            `json:"commits"`
	Gaps       int            `json:"gaps"`
	Looked     int            `json:"looked_at"` // commits, of which the next three count
	RolledBack int            `json:"rolled_back"`
	Behind     int            `json:"left_behind"`   // by rewinds
	Others     int            `json:"other_commits"` // that are no runner's
	Open       bool           `json:"head_is_open"`
	Position   []heldPosition `json:"position"`
	Newest     []heldCommit   `json:"newest_commits"`

	layout settings.Layout
}

// heldPosition is where a stream is read on, in the source's words:
//
//	{"topic":"orders","partition":3,"next_offset":7}
//
// All before the offset was read.
type heldPosition struct {
	position.Mark
	layout settings.Layout
}

// MarshalJSON implements [json.Marshaler].
func (p heldPosition) MarshalJSON() ([]byte, error) {
	members := map[string]any{p.layout.Stream: p.Stream, "next_" + p.layout.Offset: p.Next}
	if p.layout.Partition != "" {
		members[p.layout.Partition] = p.Partition
	}
	if p.Generation > 0 {
		members["generation"] = p.Generation
	}
	if p.Text != "" {
		members[p.layout.ID] = p.Text
	}
	return json.Marshal(members)
}

type heldCommit struct {
	ID           string             `json:"commit"`
	Finished     time.Time          `json:"finished"`
	Reason       spoutcommit.Reason `json:"reason"`
	Records      int64              `json:"records"`
	Filtered     int64              `json:"filtered"`
	DeadLettered int64              `json:"dead_lettered"`
	Redelivered  int64              `json:"redelivered"`
	Files        int                `json:"files"`
	Bytes        int64              `json:"bytes"`
	Writer       string             `json:"writer"`
}

// readBranch walks the newest commits of a branch, as many as are to be shown,
// and all below if they do not say what is there, or if all are asked for.
func readBranch(ctx context.Context, branch *pachyderm.Branch, newest int, all bool) (*heldBranch, error) {
	h := &heldBranch{Project: branch.Project, Repo: branch.Repo, Branch: branch.Name, Position: []heldPosition{}, Newest: []heldCommit{}}
	head, err := branch.Head(ctx)
	if err != nil || head == nil {
		return h, err
	}
	h.Open = head.Open()
	var newestPosition json.RawMessage
	var problem error
	var rewinds spoutcommit.Rewinds
	err = branch.Ancestry(ctx, head.ID, func(c *pachyderm.Commit) bool {
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		h.Looked++
		switch {
		case c.Finished.IsZero():
		case c.Error != "":
			h.RolledBack++
		case err != nil:
			problem = fmt.Errorf("commit %s: %w", c.ID, err)
		case rewinds.Behind(c.ID, d):
			h.Behind++
		case ours && d.Position != nil:
			if newestPosition == nil {
				newestPosition, h.Source = d.Position, d.Source
			}
			if d.Total != nil && len(h.Newest) >= newest && !all {
				h.addAll(d.Total)
				return false
			}
			h.add(c, d, newest)
		case !ours:
			h.Others++
		}
		return problem == nil
	})
	if err := errors.Join(err, problem); err != nil || newestPosition == nil {
		return h, err
	}
	return h, h.read(newestPosition)
}

// addAll adds what a commit says of itself and all below.
func (h *heldBranch) addAll(t *spoutcommit.Total) {
	h.Commits += int(t.Commits)
	h.Records += t.Records
	h.Bytes += t.Bytes
	h.Gaps += int(t.Gaps)
}

func (h *heldBranch) add(c *pachyderm.Commit, d spoutcommit.Description, newest int) {
	h.Commits++
	h.Records += d.Written
	h.Bytes += d.Bytes
	h.Gaps += len(d.Gaps)
	if len(h.Newest) < newest {
		h.Newest = append(h.Newest, heldCommit{c.ID, c.Finished, d.Reason, d.Written, d.Filtered, d.DeadLettered, d.Redelivered, d.Files, d.Bytes, d.Writer})
	}
}

// read lists a position.
func (h *heldBranch) read(raw json.RawMessage) error {
	view, err := position.Parse(h.Source, raw)
	if err != nil {
		return err
	}
	h.layout = settings.LayoutOf(h.Source, view.Kind)
	h.Identity = view.Identity
	for _, mark := range view.Marks {
		h.Position = append(h.Position, heldPosition{mark, h.layout})
	}
	return nil
}

// print writes tables for people.
func (h *heldBranch) print(out io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { // names are those that Pachyderm tells
		fmt.Fprintln(w, pachyderm.Plain(fmt.Sprintf(format, args...))) //nolint:errcheck // Flush tells
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
		line("%d of the newest %d commits were rolled back and do not count", h.RolledBack, h.Looked)
	}
	if h.Behind > 0 {
		line("%d of the newest %d commits were left behind by a rewind and do not count", h.Behind, h.Looked)
	}
	if h.Gaps > 0 {
		line("%d ranges of records were gone at the source", h.Gaps)
	}
	if h.Open {
		line("a commit is open")
	}
	h.printPosition(line)
	if len(h.Newest) > 0 {
		line("\nCOMMIT\tFINISHED\tAGO\tREASON\tRECORDS\tFILES\tBYTES")
	}
	for _, c := range h.Newest {
		line("%s\t%s\t%v\t%s\t%d\t%d\t%d", c.ID, c.Finished.UTC().Format(time.RFC3339), now.Sub(c.Finished).Round(time.Second), c.Reason, c.Records, c.Files, c.Bytes)
	}
	return w.Flush()
}

// printPosition writes the table of streams, with the columns that the source has.
func (h *heldBranch) printPosition(line func(format string, args ...any)) {
	if len(h.Position) == 0 {
		return
	}
	named := h.layout.ID != "" && slices.ContainsFunc(h.Position, func(p heldPosition) bool { return p.Text != "" })
	head := []string{"\n" + h.layout.Stream, h.layout.Partition, "next " + h.layout.Offset, h.layout.ID}
	row := func(cells ...string) {
		if !named {
			cells = cells[:3]
		}
		if h.layout.Partition == "" {
			cells = slices.Delete(cells, 1, 2)
		}
		line("%s", strings.Join(cells, "\t"))
	}
	for i := range head {
		head[i] = strings.ToUpper(head[i])
	}
	row(head...)
	for _, p := range h.Position {
		row(p.Stream, strconv.Itoa(int(p.Partition)), strconv.FormatInt(p.Next, 10), p.Text)
	}
}
