// SPDX-License-Identifier: Apache-2.0

package provider

import "testing"

// TestRunnerImage: what a release runs by default is said by its digest, which nobody can move as a tag.
func TestRunnerImage(t *testing.T) {
	t.Parallel()
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	if got, want := newProvider("1.2.3", WithRunnerDigest(digest)).runnerImage(), "ghcr.io/spoutworks/spout-runner:1.2.3@"+digest; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := newProvider("dev", WithRunnerDigest("")).runnerImage(), "ghcr.io/spoutworks/spout-runner:dev"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
