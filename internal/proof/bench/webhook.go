// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// webhookSenders send requests of so many bytes, each until it is answered with
// 200. There are as many at once as fill two batches, and some more, as requests
// are a little smaller: or nothing would come while one batch is committed and
// the next one is not full.
const (
	webhookBytes   = 512 << 10
	webhookSenders = 2*batchBytes/webhookBytes + 16
)

// webhookSupply are senders of newline-delimited JSON.
type webhookSupply struct {
	port   int
	bodies [][]byte
	client *http.Client

	stop    context.CancelFunc
	senders sync.WaitGroup
}

func supplyWebhook(ctx context.Context, _ string, size, count int) (supply, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &webhookSupply{port: l.Addr().(*net.TCPAddr).Port, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: webhookSenders}}}
	if err := l.Close(); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	perBody := max(1, webhookBytes/(size+1))
	for left := count; left > 0; left -= min(left, perBody) {
		body := make([]byte, 0, webhookBytes)
		for range min(left, perBody) {
			at := len(body)
			body = body[:at+size+1]
			fill(random, body[at:at+size])
			body[at], body[at+size-1], body[at+size] = '"', '"', '\n'
		}
		w.bodies = append(w.bodies, body)
	}
	ctx, w.stop = context.WithCancel(ctx)
	w.senders.Go(func() { _ = w.send(ctx, w.port) }) // whether all came, the commits tell
	return w, nil
}

// send sends all bodies to a port.
func (w *webhookSupply) send(ctx context.Context, port int) error {
	var senders sync.WaitGroup
	queue := make(chan []byte)
	for range webhookSenders {
		senders.Go(func() {
			for body := range queue {
				for !w.post(ctx, port, body) && ctx.Err() == nil {
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	for _, body := range w.bodies {
		queue <- body
	}
	close(queue)
	senders.Wait()
	return ctx.Err()
}

func (w *webhookSupply) post(ctx context.Context, port int, body []byte) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/records", port), bytes.NewReader(body))
	if err != nil {
		return false
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

func (w *webhookSupply) configure(s *settings.Settings) {
	s.Webhook.Address, s.Webhook.Port, s.Webhook.Connections, s.Webhook.AckTimeout = "127.0.0.1", w.port, 4*webhookSenders, settings.Duration(30*time.Second)
	if err := s.Webhook.Endpoints.UnmarshalText([]byte(`{"records":{"auth":"none","allow_unauthenticated":true,"body":"ndjson"}}`)); err != nil {
		panic(err) // it is constant
	}
}

// consume takes the same requests with a server that reads them and answers.
func (w *webhookSupply) consume(ctx context.Context) (total int, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		if total += int(n); err != nil {
			total = 0
		}
	})}
	go server.Serve(l)   //nolint:errcheck // it ends with the measurement
	defer server.Close() //nolint:errcheck // a measurement
	err = w.send(ctx, l.Addr().(*net.TCPAddr).Port)
	mu.Lock()
	defer mu.Unlock()
	for _, body := range w.bodies {
		total -= bytes.Count(body, []byte{'\n'}) // values, without them
	}
	return total, err
}

func (w *webhookSupply) close() error {
	w.stop()
	w.senders.Wait()
	w.client.CloseIdleConnections()
	return nil
}
