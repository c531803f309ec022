// SPDX-License-Identifier: Apache-2.0

package kafka

import "github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"

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
	head, whole, err := wire.ReadHead(data)
	if err != nil || !whole {
		p.sound = len(p.records) // decoding ends here
		return 0
	}
	if head.Magic >= 2 && head.LastOffset() >= p.from {
		p.unsound = head.CheckCRC(data[:head.Bytes])
	}
	if p.unsound == nil {
		p.sound += head.Bytes
	}
	return head.Bytes
}
