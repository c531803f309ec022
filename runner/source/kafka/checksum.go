// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkCRC compares the checksum of a whole batch of format 2.
func (h *batchHead) checkCRC(batch []byte) error {
	if sum := checksum(batch[offsetOfCRCed:]); sum != h.crc {
		return fmt.Errorf("checksum is %08x, the batch says %08x", sum, h.crc)
	}
	return nil
}

// checksumStep is seven times 3*168 bytes, and 8 for their alignment.
const checksumStep = 7*3*168 + 8

// checksum returns the CRC-32C of data. From 4 KiB on, hash/crc32 on amd64
// goes through three places at once that are 1,344 bytes apart, which waits
// for memory three times as long as for the places 168 bytes apart that it
// goes through in smaller pieces.
func checksum(data []byte) (sum uint32) {
	for len(data) > checksumStep {
		sum = crc32.Update(sum, castagnoli, data[:checksumStep])
		data = data[checksumStep:]
	}
	return crc32.Update(sum, castagnoli, data)
}

// checkAhead is how many bytes of a response have their checksums compared in
// one go, before they are decoded. To do both in turns for each batch takes a
// tenth more time with small batches; far more bytes would have left the
// processor's caches when they are decoded.
const checkAhead = 64 << 10

// checker compares the checksums of a response's batches, ahead of decoding.
type checker struct {
	parts []part
	at    int // in parts
}

// sound returns an error if one of the batches in a part's first n bytes has
// not the checksum that it should have.
func (c *checker) sound(part *part, n int) error {
	for part.sound < n {
		if part.unsound != nil {
			return part.unsound
		}
		c.goOn()
	}
	return nil
}

// goOn checks the next checkAhead bytes, or what is left.
func (c *checker) goOn() {
	for left := checkAhead; left > 0 && c.at < len(c.parts); {
		part := &c.parts[c.at]
		if part.void || part.unsound != nil || part.sound == len(part.records) {
			c.at++
			continue
		}
		left -= part.check()
	}
}

// check compares the checksum of the next batch, and returns its size. What is
// not decoded is not looked at, nor what has another checksum.
func (p *part) check() int {
	data := p.records[p.sound:]
	head, whole, err := readBatchHead(data)
	if err != nil || !whole {
		p.sound = len(p.records) // decoding ends here
		return 0
	}
	if head.magic >= 2 && head.lastOffset() >= p.from {
		p.unsound = head.checkCRC(data[:head.bytes])
	}
	if p.unsound == nil {
		p.sound += head.bytes
	}
	return head.bytes
}
