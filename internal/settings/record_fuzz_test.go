// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
)

// bounded fails if parsing a text takes more than its length explains.
func bounded(t *testing.T, text string, parse func()) {
	t.Helper()
	rsstest.Bounded(t, 64<<20+1024*int64(len(text)), 5*time.Second, parse)
}

// FuzzPathTemplate: whatever a path's template is, it is taken or refused in
// bounded time, and one that is taken renders.
func FuzzPathTemplate(f *testing.F) {
	for _, seed := range []string{"/{topic}/{partition}/{first_offset}-{last_offset}.{ext}", "{value:a.b}/{key}/{header:x}/{year}", "{", "{{topic}}", "a//b/../{ext}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bounded(t, text, func() {
			s, err := Parse([]string{"SPOUT_KAFKA_BROKERS=b:1", "SPOUT_KAFKA_TOPICS=t", "SPOUT_FILE_PATH=" + text})
			if err != nil {
				return
			}
			if path := s.FilePath().Render(PathFields{Stream: "t", Ext: "txt", Values: "a/b/c/d/e/f/g/h"}); len(path) > 100*(len(text)+100) {
				t.Errorf("%q renders %d bytes", text, len(path))
			}
		})
	})
}

// FuzzFilter: whatever a filter is, it is taken or refused in bounded time, and
// has no more conditions than bytes.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{`value:status == "paid" and header:env != test`, `value:type in (order, refund) and key exists`, `value:a`, `key in (`, `"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bounded(t, text, func() {
			s, err := Parse([]string{"SPOUT_KAFKA_BROKERS=b:1", "SPOUT_KAFKA_TOPICS=t", "SPOUT_RECORD_FILTER=" + text})
			if err == nil && len(s.Record.Filter.Conditions) > len(text) {
				t.Errorf("%q has %d conditions", text, len(s.Record.Filter.Conditions))
			}
		})
	})
}

// FuzzMask: whatever masks are, they are taken or refused in bounded time.
func FuzzMask(f *testing.F) {
	for _, seed := range []string{"customer.email=hash,card=redact", "a", "=hash", "a..b=hash", ","} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bounded(t, text, func() {
			_, _ = Parse([]string{"SPOUT_KAFKA_BROKERS=b:1", "SPOUT_KAFKA_TOPICS=t", "SPOUT_RECORD_MASK=" + text}) //nolint:errcheck // most are no masks
		})
	})
}
