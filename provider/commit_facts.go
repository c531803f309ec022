// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"strconv"

	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// commitFacts is what is shown of a commit.
type commitFacts struct {
	ID          types.String `tfsdk:"id"`
	ParentID    types.String `tfsdk:"parent_id"`
	Description types.String `tfsdk:"description"`
	Origin      types.String `tfsdk:"origin"`
	State       types.String `tfsdk:"state"`
	Error       types.String `tfsdk:"error"`
	StartedAt   types.String `tfsdk:"started_at"`
	FinishingAt types.String `tfsdk:"finishing_at"`
	FinishedAt  types.String `tfsdk:"finished_at"`
	SizeBytes   types.Int64  `tfsdk:"size_bytes"`
	Spout       *spoutFacts  `tfsdk:"spout"`
}

// spoutFacts is what the bundled runner says of a commit.
type spoutFacts struct {
	Source              types.String                `tfsdk:"source"`
	Writer              types.String                `tfsdk:"writer"`
	Reason              types.String                `tfsdk:"reason"`
	RecordsRead         types.Int64                 `tfsdk:"records_read"`
	RecordsWritten      types.Int64                 `tfsdk:"records_written"`
	RecordsFiltered     types.Int64                 `tfsdk:"records_filtered"`
	RecordsDeadLettered types.Int64                 `tfsdk:"records_dead_lettered"`
	RecordsRedelivered  types.Int64                 `tfsdk:"records_redelivered"`
	Files               types.Int64                 `tfsdk:"files"`
	Bytes               types.Int64                 `tfsdk:"bytes"`
	Restored            types.String                `tfsdk:"restored"`
	Gaps                []gapFacts                  `tfsdk:"gaps"`
	Position            types.String                `tfsdk:"position"`
	Offsets             map[string]map[string]int64 `tfsdk:"offsets"`
	Marks               []markFacts                 `tfsdk:"marks"`
}

// markFacts is where a stream is read on.
type markFacts struct {
	Stream     types.String `tfsdk:"stream"`
	Partition  types.Int64  `tfsdk:"partition"`
	Generation types.Int64  `tfsdk:"generation"`
	Next       types.Int64  `tfsdk:"next"`
	Text       types.String `tfsdk:"text"`
}

type gapFacts struct {
	Stream    types.String `tfsdk:"stream"`
	Partition types.Int64  `tfsdk:"partition"`
	From      types.Int64  `tfsdk:"from"`
	To        types.Int64  `tfsdk:"to"`
	Reason    types.String `tfsdk:"reason"`
}

func commitFactAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"id":           computedText("Id of the commit."),
		"parent_id":    computedText("Id of the commit before it. Null for the first."),
		"description":  computedText("What its writer says of it. For a spout with the bundled runner, `spout` has it in parts."),
		"origin":       computedText("Who has made it:\n    * `user`: somebody, or a spout.\n    * `auto`: Pachyderm itself."),
		"state":        computedText("Its state:\n    * `open`: it takes data.\n    * `finishing`: Pachyderm checks it.\n    * `finished`: it can be read."),
		"error":        computedText("Why it does not count: it was rolled back, or its files collide. Readers and later commits pass over it."),
		"started_at":   computedText("When it was started, in RFC 3339."),
		"finishing_at": computedText("When its writer was done with it."),
		"finished_at":  computedText("When it could be read."),
		"size_bytes":   computedNumber("Size of all files at this commit, those of earlier ones included. An upper bound while it is not finished."),
		"spout": schema.SingleNestedAttribute{Computed: true, MarkdownDescription: "What the bundled runner says of the commit. Null for commits of others.", Attributes: map[string]schema.Attribute{
			"source": computedText("Kind of the source: the attribute of `pachyderm_spout` that it is set by."),
			"writer": computedText("Pod and process that wrote it."),
			"reason": computedText("Why the runner made it:\n" +
				"    * `bytes`, `records`, `files`, `age`: the batch reached this limit.\n" +
				"    * `gaps`: many ranges of records were gone at the source.\n" +
				"    * `window full`: the source gives no more before what it gave is acknowledged.\n" +
				"    * `deadline`: the source waits no longer for its acknowledgement.\n" +
				"    * `start`: it has no records, and fixes where reading begins.\n" +
				"    * `idle position`: the position has moved without records.\n" +
				"    * `repair`: it brings back older files.\n" +
				"    * `rewound`: it goes back to an older commit.\n" +
				"    * `released`: the last one of a spout that gave up what it had made at the source."),
			"records_read":          computedNumber("Records that were taken from the source since the commit before."),
			"records_written":       computedNumber("Records in this commit's own files."),
			"records_filtered":      computedNumber("Records that the filter has left out."),
			"records_dead_lettered": computedNumber("Records that were refused, and are in files of dead letters."),
			"records_redelivered":   computedNumber("Records that came again although they are in an earlier commit, and were left out."),
			"files":                 computedNumber("Files of this commit itself."),
			"bytes":                 computedNumber("Their size in bytes."),
			"restored":              computedText("For `repair`, the commit whose files it brought back. For `rewound`, the one that it went back to."),
			"gaps": schema.ListNestedAttribute{Computed: true, MarkdownDescription: "Records that were gone at the source before they could be read, and were passed over as configured.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"stream": computedText("Name of the stream, such as a topic."), "partition": computedNumber("Number of its partition. 0 where there are none."), "from": computedNumber("First offset that was gone."),
					"to": computedNumber("First offset after it that is there."), "reason": computedText("Why they were gone."),
				}}},
			"position": computedText("Position in the source after this commit, in JSON, for `jsondecode`. All before it is in this commit and its ancestors. Null for a commit that is not finished or was rolled back."),
			"offsets": schema.MapAttribute{Computed: true, ElementType: types.MapType{ElemType: types.Int64Type},
				MarkdownDescription: "The next offset to be read, by stream (such as a topic) and partition, for example `offsets[\"orders\"][\"0\"]`. Sources without offsets of their own number their records from 0. Null where there is no position."},
			"marks": schema.ListNestedAttribute{Computed: true, MarkdownDescription: "The same as a list, with what else the source says of the place.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"stream": computedText("Name of the stream, such as a topic."), "partition": computedNumber("Number of its partition. 0 where there are none."),
					"generation": computedNumber("How often the stream was made again since reading began."), "next": computedNumber("Next offset to be read."),
					"text": computedText("The source's own name of the place. Null where it is the offset."),
				}}},
		}},
	}
}

// commitFactsOf shows a commit. What the runner of another release says is
// left out, with a warning.
func commitFactsOf(o *operation, c *pachyderm.Commit) commitFacts {
	facts := commitFacts{ID: types.StringValue(c.ID), ParentID: textOrNull(c.ParentID), Description: textOrNull(c.Description), Origin: types.StringValue(c.Origin),
		State: types.StringValue("open"), Error: textOrNull(c.Error), StartedAt: timeOrNull(c.Started), FinishingAt: timeOrNull(c.Finishing),
		FinishedAt: timeOrNull(c.Finished), SizeBytes: types.Int64Value(c.SizeBytes)}
	switch {
	case !c.Finished.IsZero():
		facts.State = types.StringValue("finished")
	case !c.Finishing.IsZero():
		facts.State = types.StringValue("finishing")
	}
	d, ours, err := spoutcommit.ParseDescription(c.Description)
	var offsets map[string]map[string]int64
	marks := []markFacts{}
	if err == nil && ours {
		offsets, marks, err = positionFacts(d)
	}
	if err != nil {
		o.diags.AddWarning("Position of commit "+c.ID+" not read", sentence(err.Error())+" The attribute spout is null. Another release of the provider may be able to read it.")
		return facts
	}
	if !ours {
		return facts
	}
	facts.Spout = &spoutFacts{Source: types.StringValue(d.Source), Writer: textOrNull(d.Writer), Reason: textOrNull(string(d.Reason)),
		RecordsRead: types.Int64Value(d.Read), RecordsWritten: types.Int64Value(d.Written),
		RecordsFiltered: types.Int64Value(d.Filtered), RecordsDeadLettered: types.Int64Value(d.DeadLettered), RecordsRedelivered: types.Int64Value(d.Redelivered), Files: types.Int64Value(int64(d.Files)), Bytes: types.Int64Value(d.Bytes),
		Restored: textOrNull(d.Restored), Gaps: []gapFacts{}, Position: textOrNull(string(d.Position)), Offsets: offsets, Marks: marks}
	for _, g := range d.Gaps {
		facts.Spout.Gaps = append(facts.Spout.Gaps, gapFacts{types.StringValue(g.Stream), types.Int64Value(int64(g.Partition)),
			types.Int64Value(g.From), types.Int64Value(g.To), types.StringValue(g.Reason)})
	}
	return facts
}

// positionFacts is what a description's position says: nothing if it has none,
// or one of a source that only newer releases know.
func positionFacts(d spoutcommit.Description) (offsets map[string]map[string]int64, marks []markFacts, err error) {
	marks = []markFacts{}
	if d.Position == nil {
		return nil, marks, nil
	}
	view, err := position.Parse(d.Source, d.Position)
	if errors.Is(err, position.ErrUnknownSource) {
		return nil, marks, nil
	}
	if err != nil {
		return nil, marks, err
	}
	offsets = map[string]map[string]int64{}
	for _, m := range view.Marks {
		if offsets[m.Stream] == nil {
			offsets[m.Stream] = map[string]int64{}
		}
		offsets[m.Stream][strconv.Itoa(int(m.Partition))] = m.Next
		marks = append(marks, markFacts{types.StringValue(m.Stream), types.Int64Value(int64(m.Partition)), types.Int64Value(int64(m.Generation)), types.Int64Value(m.Next), textOrNull(m.Text)})
	}
	return offsets, marks, nil
}
