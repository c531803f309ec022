// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Shard is one of several equal parts of a source's partitions, written as
// 2/8 for the second of eight. The zero value, and 1/1, is all of them.
type Shard struct {
	Index int // from 1 on
	Count int
}

// maxShards is far more than the partitions of any topic that a broker bears.
const maxShards = 10_000

// ParseShard parses a shard as 2/8.
func ParseShard(text string) (Shard, error) {
	index, count, _ := strings.Cut(text, "/")
	var s Shard
	s.Index, _ = strconv.Atoi(index)
	s.Count, _ = strconv.Atoi(count)
	if s.Index < 1 || s.Count > maxShards || s.Index > s.Count || s.String() != text {
		return Shard{}, fmt.Errorf("must be a shard and their number, such as 2/8 for the second of eight; from 1/%[1]d to %[1]d/%[1]d", max(min(s.Count, maxShards), 1))
	}
	return s, nil
}

// All says whether the shard has every partition.
func (s Shard) All() bool { return s.Count <= 1 }

// Owns says whether a partition belongs to the shard. Partitions go round the
// shards in the order of their numbers, beginning at one that depends on the
// topic's name: topics of few partitions are spread too, and a partition stays
// where it is as others, or other topics, are added.
func (s Shard) Owns(topic string, partition int32) bool {
	if s.All() {
		return true
	}
	name := fnv.New32a()
	name.Write([]byte(topic)) //nolint:errcheck // it never fails
	return (uint64(name.Sum32())+uint64(partition))%uint64(s.Count) == uint64(s.Index-1)
}

// UnmarshalText parses as [ParseShard] does.
func (s *Shard) UnmarshalText(text []byte) error {
	parsed, err := ParseShard(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

// MarshalText renders as 2/8, and the zero value as nothing.
func (s Shard) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Shard) String() string {
	if s.Count == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Count)
}
