// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/base64"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
)

type (
	position      = positions.Position
	topicPosition = positions.Topic
	mark          = positions.Mark
	readTo        = positions.ReadTo
)

// topicID renders a topic's id as Kafka's tools do, "" if there is none.
func topicID(id [16]byte) string {
	if id == ([16]byte{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}
