// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"context"
	"math"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Replay makes of records what files hold of them, without a commit. It is used
// by one goroutine.
type Replay struct{ b *batcher }

// NewReplay returns a replay of validated settings. Records that are refused
// become dead letters, whatever the settings say.
func NewReplay(s settings.Settings, log hclog.Logger) (*Replay, error) {
	encoder, err := encode.NewEncoder(s)
	if err != nil {
		return nil, err
	}
	registry, err := schema.NewRegistry(s, log)
	if err != nil {
		return nil, err
	}
	b := &batcher{encoder: encoder, rules: record.NewRules(s), layout: s.Layout(), paths: newPaths(s), refused: "dead_letter", share: math.MaxInt / 4,
		ends: ends{limits: unlimited, traits: source.Traits{Boundaries: true}}}
	b.keepInMemory()
	if registry != nil {
		b.schemas = newSchemas(s, registry, encoder, func(string, ...any) func() { return func() {} })
	}
	return &Replay{b}, nil
}

// Files passes what the files of a chunk's records are, but for those of
// schemas, to put. The schema registry is waited for until ctx ends.
func (r *Replay) Files(ctx context.Context, chunk *source.Chunk, put func(path string, content []byte) error) error {
	b := r.b
	b.reset()
	b.inside = true // nothing is ever due
	for at := 0; at < len(chunk.Records); {
		n, err := b.addSome(ctx, chunk, chunk.Records[at:])
		if err != nil {
			return err
		}
		at += n
	}
	files := b.order
	b.forget()
	if b.schemas != nil {
		b.schemas.takeNew()
	}
	for _, file := range files {
		err := file.Write(func(path string, parts ...[]byte) error { return put(path, bytes.Join(parts, nil)) })
		if err != nil {
			return err //nolint:wrapcheck // it says which file
		}
	}
	return nil
}
