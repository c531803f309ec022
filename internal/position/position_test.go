// SPDX-License-Identifier: Apache-2.0

package position_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position"
)

func TestPositionsAreViewed(t *testing.T) {
	t.Parallel()
	got, err := position.Parse("kafka", json.RawMessage(`{"cluster":"c","shard":"1/2","topics":{"u":{"partitions":{}},"t":{"id":"x","generation":1,"partitions":{"10":[5,-1],"2":[1200,5]}}}}`))
	want := position.View{Source: "kafka", Identity: "c", Part: "1/2", Marks: []position.Mark{
		{Stream: "t", Partition: 2, Generation: 1, Next: 1200}, {Stream: "t", Partition: 10, Generation: 1, Next: 5}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, damaged := range []string{`[]`, `{"topics":{"t":{"partitions":{"0":[]}}}}`, `{"topics":{"t":{"partitions":{"0":[-1,0]}}}}`, `{}`, ``} {
		if _, err := position.Parse("kafka", json.RawMessage(damaged)); err == nil || errors.Is(err, position.ErrUnknownSource) {
			t.Errorf("%s: %v", damaged, err)
		}
	}
	if _, err := position.Parse("other", json.RawMessage(`7`)); !errors.Is(err, position.ErrUnknownSource) {
		t.Error(err)
	}
}
