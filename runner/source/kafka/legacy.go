// SPDX-License-Identifier: Apache-2.0

package kafka

import "fmt"

// readLegacyHead is called for messages of the formats 0 and 1, which brokers
// before 0.11 wrote and brokers before 4.0 may still hold.
func readLegacyHead(h *batchHead, message []byte) error {
	return fmt.Errorf("%w: message format %d (before Kafka 0.11) is not supported", errBatch, h.magic)
}
