// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
)

// upload is a batch whose files are at the server, in no commit yet.
type upload struct {
	fileSet     string // "" if the batch has no files
	description spoutcommit.Description
	began       time.Time     // when the batch's first record was read
	uploading   time.Duration // from its first file until all were at the server
	release     func()        // ends the renewal of the file set; may be nil
}

func (u *upload) done() {
	if u.release != nil {
		u.release()
	}
}

// uploader writes the files of batches into file sets, one a batch.
type uploader struct {
	client *pachyderm.Client
	branch *pachyderm.Branch
	in     <-chan *segment
	out    chan<- *upload
	group  *errgroup.Group // of the session, for renewals

	metrics *Metrics
	health  *health

	files  *pachyderm.FileSet // open for the present batch; nil before its first file
	opened time.Time          // when it was
	count  int
	bytes  int64
}

func (u *uploader) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("upload: %w", ctx.Err())
		case s := <-u.in:
			if err := u.putAll(ctx, s); err != nil {
				return err
			}
			close(s.put)
			if s.end != nil {
				if err := u.finish(ctx, s.end); err != nil {
					return err
				}
			}
		}
	}
}

func (u *uploader) putAll(ctx context.Context, s *segment) error {
	defer u.metrics.filesMemory.Add(-int64(s.memory))
	if len(s.files) > 0 {
		defer u.health.waiting("Pachyderm to take %d files", len(s.files))()
	}
	for _, file := range s.files {
		if err := u.put(ctx, file); err != nil {
			return err
		}
	}
	for _, schema := range s.schemas { // they come with the first file that needs them, and are not counted
		if err := u.files.Put(schema.path, []byte(schema.content)); err != nil {
			return err
		}
	}
	return nil
}

func (u *uploader) put(ctx context.Context, file encode.File) (err error) {
	if u.files == nil {
		u.opened = time.Now()
		if u.files, err = u.branch.NewFileSet(ctx); err != nil {
			return err
		}
	}
	return file.Write(func(path string, parts ...[]byte) error {
		u.count++
		for _, part := range parts {
			u.bytes += int64(len(part))
		}
		return u.files.Put(path, parts...)
	})
}

// finish closes the batch's file set and hands it to the committer.
func (u *uploader) finish(ctx context.Context, end *batchEnd) error {
	out := &upload{began: end.began, description: spoutcommit.Description{
		Reason: end.reason, Position: end.position,
		Read: end.counts.written + end.counts.filtered + end.counts.deadLettered + end.counts.redelivered, Written: end.counts.written,
		Filtered: end.counts.filtered, DeadLettered: end.counts.deadLettered, Redelivered: end.counts.redelivered,
		Files: u.count, Bytes: u.bytes, Gaps: end.gaps,
	}}
	if u.files != nil {
		done := u.health.waiting("Pachyderm to keep %d files", u.count)
		id, err := u.files.Close()
		done()
		if err != nil {
			return err
		}
		out.fileSet, out.release, out.uploading = id, u.keep(ctx, id), time.Since(u.opened)
	}
	u.files, u.count, u.bytes = nil, 0, 0
	select {
	case u.out <- out:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("upload: %w", ctx.Err())
	}
}

// keep renews a file set until the returned function is called: commits may
// stand still for longer than it lives.
func (u *uploader) keep(ctx context.Context, fileSet string) (release func()) {
	ctx, release = context.WithCancel(ctx)
	u.group.Go(func() error {
		ticker := time.NewTicker(pachyderm.FileSetTTL / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
				if err := u.client.RenewFileSet(ctx, fileSet); err != nil && ctx.Err() == nil {
					return err
				}
			}
		}
	})
	return release
}
