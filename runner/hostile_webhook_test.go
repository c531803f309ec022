// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// hostileSender sends requests to an endpoint, many at once, until it is told to end.
// Each body is another one.
func hostileSender(address, path, contentType string, over *atomic.Bool, body func(n uint64) []byte) {
	var requests atomic.Uint64
	for range 12 {
		go func() {
			client := &http.Client{Timeout: 30 * time.Second}
			for !over.Load() {
				answer, err := client.Post("http://"+address+path, contentType, bytes.NewReader(body(requests.Add(1))))
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				_, _ = io.Copy(io.Discard, answer.Body) // so that the connection is used again
				_ = answer.Body.Close()
			}
		}()
	}
}

// TestHostileRequests: whatever somebody sends who may send to an endpoint.
func TestHostileRequests(t *testing.T) {
	alone(t)
	batch := func(n uint64) []byte {
		out := []byte{'['}
		for i := range 9000 {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, `{"specversion":"1.0","source":"s","type":"t","id":"`...)
			out = append(strconv.AppendUint(append(strconv.AppendUint(out, n, 36), '.'), uint64(i), 36), `"}`...)
		}
		return append(out, ']')
	}
	parts := func(size, n int) func(uint64) []byte {
		body := []byte(strings.Repeat("--B\r\n\r\n"+strings.Repeat("x", size)+"\r\n", n) + "--B--\r\n")
		return func(uint64) []byte { return body }
	}
	same := func(text string, n int) func(uint64) []byte {
		body := bytes.Repeat([]byte(text), n)
		return func(uint64) []byte { return body }
	}
	const cloudEvents = `{"e":{"auth":"none","allow_unauthenticated":true,"body":"cloudevents","ack":%q}}`
	const other = `{"e":{"auth":"none","allow_unauthenticated":true,"body":%q}}`
	for _, budget := range []settings.Bytes{64 << 20, 256 << 20} {
		largest := int(min(budget/16, 8<<20))
		for _, test := range []struct {
			name, endpoints, contentType string
			body                         func(n uint64) []byte
			change                       func(*settings.Settings)
		}{
			{"events with ids of their own", fmt.Sprintf(cloudEvents, "committed"), "application/cloudevents-batch+json", batch, nil},
			{"events that are not waited for", fmt.Sprintf(cloudEvents, "received"), "application/cloudevents-batch+json", batch,
				func(s *settings.Settings) {
					s.Batch.MaxAge = settings.Duration(5 * time.Second)
					s.Batch.MaxBytes = 1 << 30
				}},
			{"events that are left out", fmt.Sprintf(cloudEvents, "received"), "application/cloudevents-batch+json", batch, func(s *settings.Settings) {
				if err := s.Record.Filter.UnmarshalText([]byte("key == none")); err != nil {
					panic(err)
				}
			}},
			{"small parts", fmt.Sprintf(other, "multipart"), "multipart/mixed; boundary=B", parts(1, int(budget/4/2/240)), nil},
			{"parts just above a step", fmt.Sprintf(other, "multipart"), "multipart/mixed; boundary=B", parts(513, largest/540), nil},
			{"a large part", fmt.Sprintf(other, "multipart"), "multipart/mixed; boundary=B", parts(largest-100, 1), nil},
			{"small lines", fmt.Sprintf(other, "ndjson"), "application/json", same("1\n", int(budget/4/2/113)), nil},
			{"forms", fmt.Sprintf(other, "form_payload"), "application/x-www-form-urlencoded", same("a&", largest/2), nil},
			{"payloads", fmt.Sprintf(other, "form_payload"), "application/x-www-form-urlencoded", func(uint64) []byte { return []byte("payload=" + strings.Repeat("%41", largest/3-10)) }, nil},
		} {
			t.Run(fmt.Sprintf("%s, %s", test.name, budget), func(t *testing.T) {
				s := settings.Default()
				s.Source, s.File.Format, s.MemoryBudget = "webhook", "jsonl", budget
				s.Webhook.Address, s.Webhook.Port = "127.0.0.1", freePort(t)
				if err := errors.Join(s.Webhook.Endpoints.UnmarshalText([]byte(test.endpoints))); err != nil {
					t.Fatal(err)
				}
				var over atomic.Bool
				defer over.Store(true)
				s.Batch.MaxAge = settings.Duration(time.Second)
				if test.change != nil {
					test.change(&s)
				}
				hostileSender(fmt.Sprintf("127.0.0.1:%d", s.Webhook.Port), "/e", test.contentType, &over, test.body)
				_, p := against(t, s, 8*time.Second, 1<<60)
				t.Log(p.tail())
			})
		}
	}
}
