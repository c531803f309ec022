// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CheckCRC compares the checksum of a whole batch of format 2.
func (h *Head) CheckCRC(batch []byte) error {
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
