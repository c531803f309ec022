// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowBroker: an answer that comes byte by byte ends soon if others wait for
// the room that it takes, and in any case; one that is only slow is read.
func TestSlowBroker(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		bytes  int           // that come each second
		stops  time.Duration // coming, 0 for never
		waits  bool          // for the room
		want   error
		within time.Duration
	}{
		{"a byte a second", 1, 0, false, errSlow, requestTimeout + 32*time.Second},
		{"a byte a second, and others wait", 1, 0, true, errSlow, paceWindow},
		{"nothing any more", 100 << 10, 4 * time.Second, false, os.ErrDeadlineExceeded, requestTimeout + 2*paceWindow},
		{"nothing any more, and others wait", 100 << 10, 4 * time.Second, true, errSlow, 2 * paceWindow},
		{"slowly, and others wait", 80 << 10, 0, true, nil, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				here, there := net.Pipe()
				m := newMemory(1 << 20)
				if err := m.acquireFetch(ctx, 1<<20); err != nil {
					t.Fatal(err)
				}
				if test.waits {
					go m.acquireFetch(ctx, 1<<20) //nolint:errcheck // it waits until the end
				}
				began := time.Now()
				go func() {
					for ctx.Err() == nil && (test.stops == 0 || time.Since(began) < test.stops) {
						if _, err := there.Write(make([]byte, test.bytes)); err != nil {
							return
						}
						select {
						case <-time.After(time.Second):
						case <-ctx.Done():
						}
					}
				}()
				synctest.Wait()
				c := &conn{Conn: here, memory: m}
				err := c.readBody(make([]byte, 2<<20))
				if took := time.Since(began); !errors.Is(err, test.want) || took > test.within {
					t.Errorf("%v after %v", err, took)
				}
				cancel()
				_ = here.Close()
				_ = there.Close()
				synctest.Wait()
			})
		})
	}
}
