// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"math"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/registrytest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestFooter: what the row groups of a wide file take until the footer is
// written is counted while the file is filled.
func TestFooter(t *testing.T) {
	t.Parallel()
	const columns = 2400
	if !rsstest.Child(t) {
		rsstest.Run(t, rsstest.Limits{Budget: 48 << 20, Within: 5 * time.Minute}) // half of the budget, as nothing is read
		return
	}
	value := make([]byte, columns) // all of them null
	rows, _, err := registrytest.Values(t, "parquet", "AVRO", wideSchema(columns)).Decode(nil, value)
	if err != nil {
		t.Fatal(err)
	}
	s := settings.Default()
	s.File.Format, s.MemoryBudget = "parquet", 96<<20
	e, err := NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	f := e.NewFile(Place{Stream: stream, Rows: rows})
	for offset := int64(0); f.Memory() < 36<<20; offset++ { // as is the share of the files that are being filled
		if _, err := f.Append([]source.Record{{Offset: offset, Value: value}}, math.MaxInt); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes of rows", f.Size())
	if err := f.Write(func(string, ...[]byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
}
