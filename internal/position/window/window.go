// SPDX-License-Identifier: Apache-2.0

// Package window is the part of a position that says which records are
// committed and could still come again: the one parser of it, for all sources
// that have one. runner/source/redelivery keeps it up to date.
package window

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Window is what is known of records that are committed. Its JSON is, on one
// line,
//
//	{"added":1200,"ids":[[1764547200,"<base64>"],[1764547260,"<base64>"]]}
//
// where added counts the ids that were ever added, and each element of ids has
// the second since 1970 in which, or shortly before which, some were added, and
// their hashes of 8 bytes each, big-endian, the oldest first. The second is 0
// where a source does not look at the time. The times rise.
type Window struct {
	Added uint64
	Runs  []Run
}

// Run are ids that were added at about the same time.
type Run struct {
	At  int64
	IDs []uint64
}

const idSize = 8

// Len is the number of ids.
func (w *Window) Len() (n int) {
	for _, run := range w.Runs {
		n += len(run.IDs)
	}
	return n
}

// Append writes the window behind out.
func (w *Window) Append(out []byte) []byte {
	out = append(out, `{"added":`...)
	out = strconv.AppendUint(out, w.Added, 10)
	out = append(out, `,"ids":[`...)
	var ids []byte
	for i, run := range w.Runs {
		if i > 0 {
			out = append(out, ',')
		}
		ids = ids[:0]
		for _, id := range run.IDs {
			ids = binary.BigEndian.AppendUint64(ids, id)
		}
		out = append(out, '[')
		out = strconv.AppendInt(out, run.At, 10)
		out = append(out, `,"`...)
		out = base64.StdEncoding.AppendEncode(out, ids)
		out = append(out, `"]`...)
	}
	return append(out, `]}`...)
}

// MarshalJSON implements json.Marshaler.
func (w *Window) MarshalJSON() ([]byte, error) { return w.Append(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (w *Window) UnmarshalJSON(raw []byte) error {
	var read struct {
		Added uint64 `json:"added"`
		IDs   []Run  `json:"ids"`
	}
	if err := json.Unmarshal(raw, &read); err != nil {
		return err
	}
	*w = Window{Added: read.Added, Runs: read.IDs}
	for i, run := range w.Runs {
		if i > 0 && run.At <= w.Runs[i-1].At {
			return errors.New("the times of the ids that could come again do not rise")
		}
	}
	if n := w.Len(); uint64(n) > w.Added {
		return fmt.Errorf("there are %d ids that could come again, of %d", n, w.Added)
	}
	return nil
}

// UnmarshalJSON reads [second, hashes].
func (r *Run) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &[]any{&r.At, &text}); err != nil {
		return err
	}
	ids, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("ids that could come again: %w", err)
	}
	if len(ids) == 0 || len(ids)%idSize != 0 || r.At < 0 {
		return fmt.Errorf("%d bytes at %d are not ids that could come again", len(ids), r.At)
	}
	r.IDs = make([]uint64, len(ids)/idSize)
	for i := range r.IDs {
		r.IDs[i] = binary.BigEndian.Uint64(ids[i*idSize:])
	}
	return nil
}
