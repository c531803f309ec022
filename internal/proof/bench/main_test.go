// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestMeasurementsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range measurements() {
		if m.name == "" || m.doc == "" || m.measure == nil || seen[m.name] {
			t.Errorf("%+v", m)
		}
		seen[m.name] = true
	}
}
