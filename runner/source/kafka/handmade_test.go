// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// handmade describes a record batch.
type handmade struct {
	base      int64
	lastDelta int32 // of the batch; 0 for the last record's
	epoch     int32
	attrs     int16 // with the codec
	firstTime int64
	maxTime   int64
	producer  int64
	records   []kmsg.Record // OffsetDelta is the caller's; Length and attributes are filled in
	xerial    bool
}

// simpleRecords makes records with consecutive offsets and n bytes of value.
func simpleRecords(count, size int) (out []kmsg.Record) {
	for i := range count {
		value := bytes.Repeat(fmt.Appendf(nil, "value %d of a record. ", i), size/10+1)[:size]
		out = append(out, kmsg.Record{OffsetDelta: int32(i), Key: fmt.Appendf(nil, "key-%d", i), Value: value})
	}
	return out
}

func (h handmade) bytes(t testing.TB) []byte {
	t.Helper()
	var payload []byte
	for _, r := range h.records {
		r.Length = 0
		body := r.AppendTo(nil)
		r.Length = int32(len(body) - 1) // the length itself takes one byte while it is 0
		payload = r.AppendTo(payload)
		if h.lastDelta < r.OffsetDelta {
			h.lastDelta = r.OffsetDelta
		}
	}
	payload = compress(t, h.attrs&wire.AttrCompression, payload, h.xerial)
	out := append(h.head(len(payload)), payload...)
	reseal(out)
	return out
}

// head returns the head of the batch, before so many bytes of payload.
func (h handmade) head(payload int) []byte {
	out := make([]byte, wire.HeadBytes, wire.HeadBytes+payload)
	be := binary.BigEndian
	be.PutUint64(out, uint64(h.base))
	be.PutUint32(out[8:], uint32(wire.HeadBytes-wire.PrefixBytes+payload))
	be.PutUint32(out[12:], uint32(h.epoch))
	out[16] = 2
	be.PutUint16(out[21:], uint16(h.attrs))
	be.PutUint32(out[23:], uint32(h.lastDelta))
	be.PutUint64(out[27:], uint64(h.firstTime))
	be.PutUint64(out[35:], uint64(h.maxTime))
	be.PutUint64(out[43:], uint64(h.producer))
	be.PutUint32(out[57:], uint32(len(h.records)))
	return out
}

// checksummed is where the bytes of a batch begin that its checksum covers.
const checksummed = 21

// xerialMagicBytes is what blocks of snappy begin with, as Java's library frames them.
const xerialMagicBytes = "\x82SNAPPY\x00"

// reseal sets a batch's checksum.
func reseal(batch []byte) {
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[checksummed:], crc32.MakeTable(crc32.Castagnoli)))
}

func compress(t testing.TB, codec int16, data []byte, xerial bool) []byte {
	t.Helper()
	var out bytes.Buffer
	var err error
	switch codec {
	case wire.CodecNone:
		return data
	case wire.CodecGzip:
		w := gzip.NewWriter(&out)
		_, err = w.Write(data)
		err = firstOf(err, w.Close())
	case wire.CodecSnappy:
		if !xerial {
			return s2.EncodeSnappy(nil, data)
		}
		out.Write([]byte(xerialMagicBytes))
		out.Write([]byte{0, 0, 0, 1, 0, 0, 0, 1})
		for len(data) > 0 {
			n := min(len(data), 1000)
			block := s2.EncodeSnappy(nil, data[:n])
			out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(block))))
			out.Write(block)
			data = data[n:]
		}
	case wire.CodecLZ4:
		w := lz4.NewWriter(&out)
		_, err = w.Write(data)
		err = firstOf(err, w.Close())
	case wire.CodecZstd: // as Java does: in a stream, so that the size is not in the head
		w, _ := zstd.NewWriter(&out)
		_, err = w.Write(data[:len(data)/2])
		err = firstOf(err, w.Flush())
		_, err2 := w.Write(data[len(data)/2:])
		err = firstOf(err, err2, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// serve makes the cluster answer fetches of partition 0 of its only topic with
// the batches from the wanted offset on, and with none behind them.
func serve(c *kfake.Cluster, topic string, aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction, end int64, batches ...[]byte) {
	c.ControlKey(kmsg.Fetch.Int16(), func(k kmsg.Request) (kmsg.Response, error, bool) {
		req := k.(*kmsg.FetchRequest)
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewFetchResponseTopic()
			st.Topic, st.TopicID = topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewFetchResponseTopicPartition()
				sp.Partition, sp.HighWatermark, sp.LastStableOffset, sp.RecordBatches = rp.Partition, end, end, []byte{}
				sp.AbortedTransactions = aborted
				size := 0
				for _, batch := range batches {
					last := int64(binary.BigEndian.Uint64(batch)) + int64(binary.BigEndian.Uint32(batch[23:]))
					if batch[16] >= 2 && last < rp.FetchOffset {
						continue
					}
					if size += len(batch); size > int(rp.PartitionMaxBytes) && len(sp.RecordBatches) > 0 {
						break
					}
					sp.RecordBatches = append(sp.RecordBatches, batch...)
				}
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
}
