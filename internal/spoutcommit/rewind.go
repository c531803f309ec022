// SPDX-License-Identifier: Apache-2.0

package spoutcommit

// Rewinds finds the commits that a rewind has left behind: their records were
// read again, or will be. It is shown commits from the newest to the oldest.
type Rewinds struct{ to string }

// Behind says whether a commit was left behind. The description is that of a
// commit that counts; that of another is empty.
func (r *Rewinds) Behind(id string, d Description) bool {
	if r.to != "" && r.to != id {
		return true
	}
	r.to = ""
	if d.Reason == ReasonRewound {
		r.to = d.Restored
	}
	return false
}
