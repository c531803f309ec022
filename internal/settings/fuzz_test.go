// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
)

// FuzzParse reads settings, a variable per line. What can be read is written so
// that it is read as the same.
func FuzzParse(f *testing.F) {
	f.Add("SPOUT_KAFKA_BROKERS=kafka:9092\nSPOUT_KAFKA_TOPICS=orders,refunds")
	f.Add("SPOUT_KAFKA_BROKERS=kafka:9092\nSPOUT_KAFKA_TOPICS_PATTERN=(a{1,9}){1,9}.*\nSPOUT_KAFKA_SHARD=2/8")
	f.Add("SPOUT_KAFKA_BROKERS=kafka:9092\nSPOUT_KAFKA_TOPICS=t\nSPOUT_KAFKA_START_OFFSETS=t:0=9223372036854775807\nSPOUT_MEMORY_BUDGET=1e9GiB")
	f.Add("SPOUT_KAFKA_BROKERS=kafka:9092\nSPOUT_KAFKA_TOPICS=t\nSPOUT_FILE_PATH={topic}/{key}/{value:a.b}/{partition}/{first_offset}\nSPOUT_RECORD_FILTER=value:a == 'x' and key exists")
	f.Fuzz(func(t *testing.T, lines string) {
		if len(lines) > 1<<16 {
			return
		}
		rsstest.Bounded(t, 64<<20+1024*int64(len(lines)), 5*time.Second, func() {
			s, err := Parse(strings.Split(lines, "\n"))
			if err != nil {
				return
			}
			var again []string
			for name, value := range s.Environment() {
				again = append(again, name+"="+value)
			}
			slices.Sort(again)
			if read, err := Parse(again); err != nil || !sameEnvironment(read, s) {
				t.Errorf("%v is read as %+v, %v", again, read, err)
			}
		})
	})
}

func sameEnvironment(a, b Settings) bool {
	have, want := a.Environment(), b.Environment()
	for name, value := range want {
		if have[name] != value {
			return false
		}
	}
	return len(have) == len(want)
}
