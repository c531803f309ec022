// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"bytes"
	"os"
	"slices"
	"testing"
)

// TestDamagedBatch damages a record on the broker's disk, which the broker
// sends on as it is.
func TestDamagedBatch(t *testing.T) {
	t.Parallel()
	c := single.get(t)
	o := newTopic(t, c, 1, nil)
	producer := client(t, c, uncompressed) // for its values to be found in the file
	for i := range 5 {                     // a batch each
		o.produce(producer, numbered(0, i*10, 10)...)
	}
	o.finish()
	want := o.expected()
	path := c.Broker(1).FirstSegment(o.name, 0)
	segment, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(segment, want[25].Value)
	if at < 0 {
		t.Fatalf("%s does not have the value %q", path, want[25].Value)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // it was written in place
	if _, err := file.WriteAt([]byte("V"), int64(at)); err != nil {
		t.Fatal(err)
	}
	k := readerSettings(c, o)
	r := open(t, k, nil)
	err = nil
	for err == nil {
		err = r.step(testContext(t))
	}
	wantStop(t, err, o.name, "offset 20", "checksum", "SPOUT_KAFKA_ON_CORRUPT_BATCH")
	compare(t, r.have, want[:20])

	k.OnCorruptBatch = "skip"
	r = open(t, k, nil)
	r.readTo(o.ends())
	compare(t, r.have, slices.Concat(want[:20], want[30:]))
	if len(r.gaps) != 1 || r.gaps[0].From != 20 || r.gaps[0].To != 30 {
		t.Errorf("the gaps are %+v, should be one from 20 to 30", r.gaps)
	}
}
