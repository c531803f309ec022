// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

func BenchmarkLines(b *testing.B) {
	for _, c := range []struct{ name, line string }{
		{"object", `{"id":12345,"name":"` + strings.Repeat("abcdefghij", 8) + `","values":[1,2,3.5e7,true,null]}`},
		{"text", `"` + strings.Repeat("abcdefghij", 10)[:98] + `"`},
	} {
		for _, id := range []string{"none", "header:Id"} {
			b.Run(c.name+"/id="+id, func(b *testing.B) { benchmarkLines(b, c.line, id) })
		}
	}
}

func benchmarkLines(b *testing.B, line, id string) {
	body := []byte(strings.Repeat(line+"\n", 4000))
	e := newEndpoint("e", settings.WebhookEndpoint{Auth: "none", Open: true, Body: "ndjson", ID: id}, nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r := &received{endpoint: e, header: http.Header{"Id": {"0123456789"}}, request: &http.Request{}, body: body, at: time.Now(), room: func(int) bool { return true }, most: 1 << 30}
		if _, err := r.events(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequests takes requests of small records in as much memory as the
// runner has by default: as many wait for a commit as fill two batches. An
// operation is a batch. The senders' processor time counts, too.
func BenchmarkRequests(b *testing.B) {
	const batch, body = 64 << 20, 512 << 10
	s := anyEndpoint(b, `,"body":"ndjson"`)
	s.Webhook.Connections = 1000
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(s.MemoryBudget)/8*9 + 64<<20))
	o := listening(b, s, nil)
	line := `"` + strings.Repeat("abcdefghij", 10)[:97] + "\"\n"
	text := strings.Repeat(line, body/len(line))
	ctx, stop := context.WithCancel(b.Context())
	var senders sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * batch / body}}
	defer client.CloseIdleConnections()
	defer senders.Wait()
	defer stop()
	for range 2 * batch / body {
		senders.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.base+"/e", strings.NewReader(text))
				if err != nil {
					b.Error(err)
					return
				}
				if a := o.do(client, req); a.status == http.StatusTooManyRequests {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	// One file is filled, while the last one is on its way.
	file, last, records := make([]byte, 0, batch+body), make([]byte, batch+body), 0
	before := processorTime(b)
	b.SetBytes(batch)
	for b.Loop() {
		file, last = last[:0], file
		for len(file) < batch {
			chunk, err := o.Next(ctx)
			if err != nil {
				b.Fatal(err)
			}
			for i := range chunk.Records {
				file = append(append(file, chunk.Records[i].Value...), '\n')
			}
			records += len(chunk.Records)
			o.Consume(chunk, len(chunk.Records))
			chunk.Release()
		}
		o.Acknowledge(ctx, o.Position())
	}
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(records), "cpu-ns/record")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
