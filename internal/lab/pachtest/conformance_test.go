// SPDX-License-Identifier: Apache-2.0

package pachtest

import "testing"

func TestConformanceFake26(t *testing.T) {
	t.Parallel()
	conformFake(t, Version26)
}

func TestConformanceFake211(t *testing.T) {
	t.Parallel()
	conformFake(t, Version211)
}

func conformFake(t *testing.T, version string) {
	srv := New(t, WithVersion(version))
	Conformance(t, Target{Version: version, Address: srv.Address(), Sidecar: srv.Sidecar, Prefix: "c"})
	if panics := srv.Panics(); len(panics) > 0 {
		t.Errorf("the suite would crash a real server: %v", panics)
	}
}
