// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// legacy adds a message, or all messages in it, to chunks.
func (d *decoder) legacy(ctx context.Context, buffer *buffer, message []byte, head *wire.Head) error {
	outer, err := wire.ReadMessage(head, message)
	if err != nil {
		return err
	}
	codec := head.Codec()
	if codec == wire.CodecNone {
		return d.legacyRecord(ctx, buffer, outer)
	}
	inner, err := d.decompress(ctx, codec, outer.Value)
	if err != nil {
		return err
	}
	defer inner.release()
	base := int64(0)
	if head.Magic == 1 {
		last := int64(-1) // inner offset of the last message
		for data := inner.data; len(data) > 0; {
			h, whole, err := wire.ReadHead(data)
			if err != nil || !whole {
				return fmt.Errorf("%w: a compressed message is cut off", wire.ErrBatch)
			}
			last, data = h.BaseOffset, data[h.Bytes:]
		}
		base = outer.Offset - last
	}
	for data := inner.data; len(data) > 0; {
		h, whole, err := wire.ReadHead(data)
		if err != nil || !whole || h.Magic > 1 || h.Codec() != wire.CodecNone {
			return fmt.Errorf("%w: no plain message in a compressed one", wire.ErrBatch)
		}
		m, err := wire.ReadMessage(&h, data[:h.Bytes:h.Bytes])
		if err != nil {
			return err
		}
		data = data[h.Bytes:]
		if m.Offset += base; m.Offset < 0 || m.Offset > outer.Offset {
			return fmt.Errorf("%w: a message's offset lies outside of the one that holds it", wire.ErrBatch)
		}
		if head.Magic == 1 && head.Attributes&wire.LegacyLogTime != 0 {
			m.Timestamp = outer.Timestamp
		}
		if err := d.legacyRecord(ctx, inner, m); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) legacyRecord(ctx context.Context, buffer *buffer, m wire.Message) error {
	if m.Offset < d.next {
		return nil
	}
	if err := d.room(ctx, 1); err != nil {
		return err
	}
	table := append(d.lease.table, source.Record{Offset: m.Offset, Timestamp: m.Timestamp, Key: m.Key, Value: m.Value})
	d.lease.table, d.chunk.Records = table, table
	d.hold(buffer)
	d.chunk.Bytes += len(m.Key) + len(m.Value)
	d.next, d.epoch = m.Offset+1, -1
	return nil
}
