// SPDX-License-Identifier: Apache-2.0

package spoutcommit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// FuzzDescription reads descriptions that others wrote. What can be read is
// written so that it is read as the same.
func FuzzDescription(f *testing.F) {
	f.Add("a user's")
	f.Add("spout/2 {}")
	f.Add(`spout/1 {"source":"kafka","epoch":9223372036854775807,"gaps":[{"topic":"t","from":1,"to":2}],"position":{"topics":{}}}`)
	f.Add(`spout/1 {"position":[[[[[[]]]]]],"read":1e999}`)
	f.Fuzz(func(t *testing.T, text string) {
		rsstest.Bounded(t, 1<<20+64*int64(len(text)), 5*time.Second, func() {
			d, ok, err := spoutcommit.ParseDescription(text)
			if !ok || err != nil {
				return
			}
			written := d.String()
			again, ok, err := spoutcommit.ParseDescription(written)
			if !ok || err != nil || again.String() != written || !slices.Equal(d.Gaps, again.Gaps) {
				t.Errorf("%s is read as %v, %v", written, again, err)
			}
		})
	})
}
