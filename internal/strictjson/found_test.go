// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"errors"
	"strings"
	"testing"
)

// TestSeek: what is sought is found by what its name says, however that is
// written, and whatever stood in the value before.
func TestSeek(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 2*maxName)
	single := [][]string{{`a\`}, {`a"b`}, {"a", "b"}, {"c\x01"}, {long}, {"\xff"}}
	for _, test := range []struct {
		value string
		want  []string // by number
		err   error
	}{
		{`{"a\\":1,"a\"b":2,"a":{"b":3},"c\u0001":4}`, []string{"1", "2", "3", "4", "", ""}, nil},
		{`{"a":{"b":1,"\u0062":"x"},"` + long + `" : [] }`, []string{"", "", `"x"`, "", "[]", ""}, nil},
		{`{"a":{"b":1},"a":[{"b":2}]}`, []string{"", "", "", "", "", ""}, nil},
		{`{"a\"b`, nil, ErrSyntax},
		{"{\"c\x01\":1}", nil, ErrSyntax},
	} {
		var c Checker
		c.Seek(single, nil)
		for range 3 {
			_ = c.CheckSyntax([]byte(`{"a":{"b":0,"x":[]},"a\\":[]}`)) //nolint:errcheck // another value
			if err := c.CheckSyntax([]byte(test.value)); !errors.Is(err, test.err) {
				t.Fatalf("%.40q: %v", test.value, err)
			}
			for i, want := range test.want {
				if at := c.Single(i); test.value[at.Begin:at.End] != want {
					t.Errorf("%.40q: %q is %s, want %s", test.value, single[i], test.value[at.Begin:at.End], want)
				}
			}
		}
	}
}
