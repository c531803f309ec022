// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// StartOffsets are the offsets at which reading of single partitions begins,
// by topic and partition, written as orders:0=1200,orders:1=1180.
type StartOffsets map[string]map[int32]int64

// UnmarshalText parses a list as orders:0=1200,orders:1=1180.
func (o *StartOffsets) UnmarshalText(text []byte) error {
	parsed := StartOffsets{}
	for entry := range strings.SplitSeq(string(text), ",") {
		place, next, _ := strings.Cut(strings.TrimSpace(entry), "=")
		topic, number, _ := strings.Cut(place, ":")
		partition, bad := strconv.ParseInt(number, 10, 32)
		offset, worse := strconv.ParseInt(next, 10, 64)
		if topic == "" || bad != nil || worse != nil || partition < 0 || offset < 0 {
			return fmt.Errorf("has %q; it must be a list of topic:partition=offset, such as orders:0=1200,orders:1=1180", entry)
		}
		if _, ok := parsed[topic][int32(partition)]; ok {
			return fmt.Errorf("has partition %d of topic %s twice", partition, topic)
		}
		if parsed[topic] == nil {
			parsed[topic] = map[int32]int64{}
		}
		parsed[topic][int32(partition)] = offset
	}
	*o = parsed
	return nil
}

// MarshalText renders the list by topic and partition.
func (o StartOffsets) MarshalText() ([]byte, error) {
	var entries []string
	for _, topic := range slices.Sorted(maps.Keys(o)) {
		for _, partition := range slices.Sorted(maps.Keys(o[topic])) {
			entries = append(entries, fmt.Sprintf("%s:%d=%d", topic, partition, o[topic][partition]))
		}
	}
	return []byte(strings.Join(entries, ",")), nil
}

func (o StartOffsets) String() string {
	text, _ := o.MarshalText() //nolint:errcheck // it never fails
	return string(text)
}
