// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// flood opens connections that send something, so many at a time, and others as
// soon as they are closed or a while has passed, until what it returns is called.
func flood(address string, together int, text func(n int) string, while time.Duration) (end func() (connections int64)) {
	var over atomic.Bool
	var count atomic.Int64
	var all sync.WaitGroup
	for n := range together {
		all.Go(func() {
			for !over.Load() {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				count.Add(1)
				_ = conn.SetDeadline(time.Now().Add(while))
				_, _ = io.WriteString(conn, text(n)) // it may be closed already
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}
		})
	}
	return func() int64 {
		over.Store(true)
		all.Wait()
		return count.Load()
	}
}

// probe asks as Kubernetes does.
func (a *attacked) probe() error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + a.address + "/healthz")
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// TestHostileFloods: a flood of the status port harms neither ingestion nor what
// comes after it. How many probes fail meanwhile depends on the processors that
// are left, and is told only.
func TestHostileFloods(t *testing.T) {
	alone(t)
	a := attack(t, 0)
	for _, text := range []string{"", "GET / HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		end := flood(a.address, 500, func(int) string { return text }, 100*time.Millisecond)
		time.Sleep(500 * time.Millisecond)
		const probes = 50
		failed, why := 0, ""
		for range probes {
			if err := a.probe(); err != nil {
				failed++
				why = err.Error()
			}
		}
		t.Logf("%q: %d of %d probes fail, %d connections; %s", text, failed, probes, end(), why)
	}
	for began := time.Now(); ; { // until the kernel has no more of the flood's connections
		err := a.probe()
		if err == nil {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("after a flood: %v", err)
		}
	}
	a.unharmed("after a flood")
}

// TestHostileWaiters: however many strangers hold connections, and open others
// when they are closed, senders who send what they announce are answered.
func TestHostileWaiters(t *testing.T) {
	alone(t)
	body := func(length int) string {
		return fmt.Sprintf("POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nx", length)
	}
	for _, test := range []struct {
		name     string
		together int
		text     func(n int) string
	}{
		{"large bodies that are claimed", 60, func(n int) string { return body([]int{4_190_000, 4000, 200}[min(n/5, 2)]) }},
		{"headers without end", 700, func(int) string { return "POST /e HTTP/1.1\r\nHost: x\r\nX-A: " }},
		{"a byte", 700, func(int) string { return "P" }},
		{"bodies without end", 700, func(int) string { return body(1000) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := settings.Default()
			s.Source, s.File.Format, s.MemoryBudget, s.HTTPPort, s.Batch.MaxAge = "webhook", "jsonl", 64<<20, 0, settings.Duration(200*time.Millisecond)
			s.Webhook.Address, s.Webhook.Port = "127.0.0.1", freePort(t)
			if err := s.Webhook.Endpoints.UnmarshalText([]byte(`{"e":{"auth":"none","allow_unauthenticated":true}}`)); err != nil {
				t.Fatal(err)
			}
			p := startRunner(t, pachtest.New(t), s)
			address := fmt.Sprintf("127.0.0.1:%d", s.Webhook.Port)
			answered := func(n int) (good int) {
				for range n {
					client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
					if answer, err := client.Post("http://"+address+"/e", "application/json", strings.NewReader(`{"a":1}`)); err == nil {
						if answer.StatusCode == http.StatusOK {
							good++
						}
						_ = answer.Body.Close()
					}
				}
				return good
			}
			for began := time.Now(); answered(1) == 0; time.Sleep(50 * time.Millisecond) {
				if time.Since(began) > time.Minute {
					t.Fatal("nobody is answered")
				}
			}
			end := flood(address, test.together, test.text, 20*time.Second)
			time.Sleep(2 * time.Second)
			const requests, least = 20, 15
			good := answered(requests)
			peak, runs := p.memory(t)
			t.Logf("%d of %d are answered, %d MiB of memory", good, requests, peak>>20)
			if most := rsstest.Most(64 << 20); good < least || !runs || peak > most {
				t.Errorf("%d of %d are answered, %d MiB of memory were taken of %d at most; it runs: %v", good, requests, peak>>20, most>>20, runs)
			}
			go end()
		})
	}
}
