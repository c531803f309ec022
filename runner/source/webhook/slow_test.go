// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// TestSlowBodies: senders that have proven nothing take neither all connections
// nor all memory with bodies that do not come.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	for name, lengths := range map[string][]int{
		"as many as there are connections": {1000},
		// They fill the memory, to the last bytes.
		"that are said to be large": {4_190_000, 4_190_000, 4_190_000, 4_190_000, 4000, 4000, 4000, 4000, 400, 400, 400, 400, 400, 400, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := endpoints(t, `{"e":{`+anybody+`}}`)
			s.MemoryBudget, s.Webhook.Connections, s.Webhook.BodyTimeout, s.Webhook.AckTimeout = 64<<20, 32, settings.Duration(time.Minute), settings.Duration(2*time.Second)
			o := open(t, s, nil)
			over := make(chan struct{})
			var attackers sync.WaitGroup
			for i := range 48 {
				text := fmt.Sprintf("POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nx", lengths[i%len(lengths)])
				if i >= len(lengths) && len(lengths) > 1 {
					break
				}
				attackers.Go(func() {
					for {
						select {
						case <-over:
							return
						default:
						}
						conn, err := net.Dial("tcp", strings.TrimPrefix(o.base, "http://"))
						if err != nil {
							continue
						}
						_, _ = io.WriteString(conn, text) // it may be closed already
						hungUp := make(chan struct{})
						go func() {
							defer close(hungUp)
							_, _ = io.Copy(io.Discard, conn) // as above
						}()
						select {
						case <-hungUp:
						case <-over:
						}
						_ = conn.Close()
					}
				})
			}
			time.Sleep(200 * time.Millisecond) // for all of them to be there
			const honest = 20
			good := 0
			client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
			for range honest {
				resp, err := client.Post(o.base+"/e", "application/json", strings.NewReader(`{"a":1}`))
				if err != nil {
					t.Log(err)
					continue
				}
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					good++
				} else {
					t.Log(resp.Status)
				}
			}
			close(over)
			attackers.Wait()
			if good < honest/2 { // they come again
				t.Errorf("%d of %d requests were taken", good, honest)
			}
		})
	}
}

// TestSlowBodiesAreGivenUp: what comes slowly is given up once others wait for
// the memory that it takes, and not before.
func TestSlowBodiesAreGivenUp(t *testing.T) {
	t.Parallel()
	c := newConnections(8)
	now := time.Now()
	body := func(age time.Duration, bytes int64) (*incoming, net.Conn) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
		c.changed(ours, http.StateNew)
		c.changed(ours, http.StateActive)
		i := &incoming{conn: ours, began: now.Add(-age)}
		i.bytes.Store(bytes)
		i.element = c.bodies.PushBack(i)
		return i, theirs
	}
	slow, _ := body(3*time.Second, 100<<10)
	quick, _ := body(3*time.Second, 1<<20)
	young, _ := body(time.Second, 0)
	c.giveUpSlow(now)
	if slow.element != nil || quick.element == nil || young.element == nil {
		t.Errorf("given up: %v %v %v; the first one alone should be", slow.element == nil, quick.element == nil, young.element == nil)
	}
	if len(c.entries) != 2 || c.bodies.Len() != 2 {
		t.Errorf("%d connections, %d bodies", len(c.entries), c.bodies.Len())
	}
}
