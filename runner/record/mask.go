// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
)

// masks writes something in place of a field's content.
type masks interface {
	append(dst, value []byte) []byte
	length(value []byte) int // of what append appends

	schema.Mask // the same for what a field of a row says
}

// newMasks returns the masks of a method of settings.MaskMethods.
func newMasks(method, key string) masks {
	if method == "redact" {
		return redact{}
	}
	if key == "" {
		return &hashed{hash: sha256.New()}
	}
	return &hashed{hash: hmac.New(sha256.New, []byte(key))}
}

type redact struct{}

func (redact) append(dst, value []byte) []byte {
	if kind(value) == 'n' {
		return append(dst, value...)
	}
	return append(dst, `"***"`...)
}

// Mask implements [schema.Mask].
func (redact) Mask(dst, _ []byte) []byte { return append(dst, "***"...) }

func (redact) length(value []byte) int {
	if kind(value) == 'n' {
		return len(value)
	}
	return len(`"***"`)
}

// hashed is used by one goroutine.
type hashed struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

// append hashes what the value says: a string's content, so that the way it
// was escaped does not matter; other values as they are written.
func (h *hashed) append(dst, value []byte) []byte {
	value = bytes.TrimSpace(value)
	if kind(value) == 'n' {
		return append(dst, value...)
	}
	h.hash.Reset()
	h.hash.Write(text(value))
	dst = hex.AppendEncode(append(dst, '"'), h.hash.Sum(h.sum[:0]))
	return append(dst, '"')
}

// Mask implements [schema.Mask].
func (h *hashed) Mask(dst, content []byte) []byte {
	h.hash.Reset()
	h.hash.Write(content)
	return hex.AppendEncode(dst, h.hash.Sum(h.sum[:0]))
}

func (*hashed) length(value []byte) int {
	if kind(value) == 'n' {
		return len(value)
	}
	return len(`""`) + hex.EncodedLen(sha256.Size)
}
