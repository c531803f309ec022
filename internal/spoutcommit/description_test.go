// SPDX-License-Identifier: Apache-2.0

package spoutcommit_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

func TestDescriptionIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	d := spoutcommit.Description{Source: "kafka", Writer: "pod/1", Epoch: 7, Reason: spoutcommit.ReasonBytes, Read: 10, Written: 9, Files: 2, Bytes: 100, Total: &spoutcommit.Total{Commits: 3, Records: 30, Bytes: 300},
		Gaps:     []spoutcommit.StreamGap{{StreamWord: "topic", PartitionWord: "partition", Stream: "t", Partition: 3, From: 1, To: 5, Reason: "retention"}},
		Position: json.RawMessage(`{"cluster":"c","topics":{"t":{"id":"x","partitions":{"0":[1200,5],"3":[5,-1]}},"u":{"partitions":{}}}}`)}
	got, ours, err := spoutcommit.ParseDescription(d.String())
	if err != nil || !ours || !reflect.DeepEqual(got, d) {
		t.Errorf("read %+v, %v, %v", got, ours, err)
	}
	// What earlier releases wrote stays readable to the letter.
	const old = `spout/1 {"source":"kafka","writer":"w","epoch":1,"reason":"age","read":1,"written":1,"files":1,"bytes":5,` +
		`"gaps":[{"topic":"t","partition":0,"from":3,"to":9,"reason":"retention"}],"position":{"topics":{}}}`
	if got, ours, err := spoutcommit.ParseDescription(old); err != nil || !ours || got.String() != old {
		t.Errorf("read %v, %v, %v", got, ours, err)
	}
}

func TestTotals(t *testing.T) {
	t.Parallel()
	d := spoutcommit.Description{Written: 9, DeadLettered: 1, Bytes: 100, Gaps: make([]spoutcommit.StreamGap, 2)}
	if got, want := (spoutcommit.Total{}).Add(d).Add(d), (spoutcommit.Total{Commits: 2, Records: 18, Bytes: 200, Gaps: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestDescriptionsOfOthers(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct{ ours, fails bool }{
		"":                 {false, false},
		"by hand":          {false, false},
		"spout/1 {}":       {true, false},
		"spout/1 {":        {true, true},
		"spout/2 anything": {true, true},
	} {
		_, ours, err := spoutcommit.ParseDescription(text)
		if ours != c.ours || (err != nil) != c.fails {
			t.Errorf("%q: ours %v, %v", text, ours, err)
		}
	}
}
