// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostileDescriptions: whoever may write to the output repo, or is in pachd's
// place, has commits say what no runner does.
func TestHostileDescriptions(t *testing.T) {
	const long = 15 << 20
	many := func(before, each, after string) string {
		return before + strings.Repeat(each+",", (long-len(before)-len(after))/(len(each)+1)) + each + after
	}
	var topics, partitions strings.Builder
	for i := range 700_000 {
		if i > 0 {
			topics.WriteByte(',')
			partitions.WriteByte(',')
		}
		fmt.Fprintf(&topics, `"t%d":{}`, i)
		fmt.Fprintf(&partitions, `"%d":[1,1]`, i)
	}
	for name, description := range map[string]string{
		"gaps":       many(`spout/1 {"source":"kafka","gaps":[`, `{"t":""}`, `]}`),
		"topics":     `spout/1 {"source":"kafka","position":{"topics":{` + topics.String() + `}}}`,
		"partitions": `spout/1 {"source":"kafka","position":{"topics":{"orders":{"partitions":{` + partitions.String() + `}}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := attack(t, 0)
			client := dialPachd(t, a.server.Sidecar("default", "spout"))
			branch := client.Branch("default", "spout", "master")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			made := false
			for !made && ctx.Err() == nil { // the runner may roll it back
				if id, err := branch.Start(ctx, ""); err == nil {
					made = branch.Finish(ctx, id, description) == nil
				}
			}
			if !made {
				t.Fatal("the commit was not made")
			}
			deadline := time.Now().Add(time.Minute)
			for said := false; !said; said = strings.Contains(a.log.String(), "is damaged: ") {
				if time.Now().After(deadline) {
					t.Fatal("the commit is not complained of")
				}
				time.Sleep(50 * time.Millisecond)
			}
			const most = 64<<20/4*5 + 64<<20
			if peak, _ := a.memory(t); peak > most {
				t.Errorf("%d MiB in place of %d at most", peak>>20, int64(most)>>20)
			} else {
				t.Logf("at most %d MiB", peak>>20)
			}
		})
	}
}
