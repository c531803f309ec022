// SPDX-License-Identifier: Apache-2.0

//go:build linux

package webhook

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const hostileBudget = 64 << 20

// serveUntilTold opens a source at the port that a variable names, and commits
// what comes until a record says that it is over.
func serveUntilTold(t *testing.T) {
	s := endpoints(t, `{"e":{`+anybody+`},"ndjson":{`+anybody+`,"body":"ndjson"},"array":{`+anybody+`,"body":"json_array"},"parts":{`+anybody+`,"body":"multipart"},"events":{`+anybody+`,"body":"cloudevents"},
		"end":{`+anybody+`}}`)
	var err error
	if s.Webhook.Port, err = strconv.Atoi(os.Getenv("HOSTILE_PORT")); err != nil {
		t.Fatal(err)
	}
	s.MemoryBudget, s.Webhook.MaxBody, s.Webhook.BodyTimeout, s.Webhook.AckTimeout = hostileBudget, 4<<20, settings.Duration(3*time.Second), settings.Duration(5*time.Second)
	made, err := Make(s, source.Options{Memory: s.MemoryBudget / 4})
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close() //nolint:errcheck // it is over
	if err := made.Open(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for {
		chunk, err := made.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		over := chunk.Stream.Name == "end"
		made.Consume(chunk, len(chunk.Records))
		chunk.Release()
		made.Acknowledge(ctx, made.Position())
		if over {
			time.Sleep(100 * time.Millisecond) // for the answer
			if used := made.(*Source).memory.used(); used > 16<<20 || used < 0 {
				t.Errorf("%d bytes are held", used)
			}
			return
		}
	}
}

// TestHostileSenders: whatever strangers send, honest requests are answered, and
// memory stays within the budget.
func TestHostileSenders(t *testing.T) {
	if os.Getenv("HOSTILE") == "" {
		t.Skip("make test-hostile tries it: what a process takes is measured with nothing else at work")
	}
	zeros := func(packed io.WriteCloser, n int) {
		block := make([]byte, 1<<20)
		for range n {
			if _, err := packed.Write(block); err != nil {
				t.Error(err)
			}
		}
		if err := packed.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, attack := range []struct {
		name string
		do   func(at *target)
	}{
		{"slow headers", func(at *target) { at.hold(1200, "POST /e HTTP/1.1\r\nHost: x\r\nX-A: ") }},
		{"nothing at all", func(at *target) { at.hold(1200, "") }},
		{"slow bodies", func(at *target) { at.hold(700, "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\nx") }},
		{"slow chunks", func(at *target) {
			at.hold(700, "POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		}},
		{"huge headers", func(at *target) { at.hold(300, "POST /e HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("a", 1<<20)) }},
		{"many headers", func(at *target) {
			at.hold(300, "POST /e HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("a:\r\n", 1<<18))
		}},
		{"pipelines that nobody reads", func(at *target) {
			at.hold(300, strings.Repeat("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 2000))
		}},
		{"half of a body", func(at *target) {
			at.hold(200, "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"+strings.Repeat("x", 2<<20))
		}},
		{"gzip bombs", func(at *target) {
			var bomb bytes.Buffer
			zeros(gzip.NewWriter(&bomb), 1<<10)
			at.flood(30, "/e", "Content-Encoding: gzip", bomb.String(), 413)
		}},
		{"zstd bombs", func(at *target) {
			var bomb bytes.Buffer
			packed, err := zstd.NewWriter(&bomb, zstd.WithWindowSize(zstd.MaxWindowSize>>6))
			if err != nil {
				at.t.Error(err)
			}
			zeros(packed, 1<<10)
			at.flood(60, "/e", "Content-Encoding: zstd", bomb.String(), 413, 400)
		}},
		{"members without end", func(at *target) {
			var member bytes.Buffer
			zeros(gzip.NewWriter(&member), 0)
			at.flood(20, "/e", "Content-Encoding: gzip", strings.Repeat(member.String(), (3<<20)/member.Len()), 200)
		}},
		{"tiny records", func(at *target) { at.flood(30, "/ndjson", "", strings.Repeat("1\n", 2<<20), 413) }},
		{"tiny elements", func(at *target) { at.flood(30, "/array", "", "["+strings.Repeat("1,", 2<<20-2)+"1]", 413) }},
		{"deep JSON", func(at *target) { at.flood(30, "/array", "", strings.Repeat("[", 4<<20), 400) }},
		{"tiny parts", func(at *target) {
			at.flood(30, "/parts", "Content-Type: multipart/mixed; boundary=B", strings.Repeat("--B\r\n\r\n\r\n", 400_000)+"--B--\r\n", 413)
		}},
		{"headers of parts", func(at *target) {
			at.flood(30, "/parts", "Content-Type: multipart/mixed; boundary=B", "--B\r\n"+strings.Repeat("a:\r\n", 1<<20-100)+"\r\n\r\n--B--\r\n", 400)
		}},
		{"tiny events", func(at *target) {
			at.flood(10, "/events", "Content-Type: application/cloudevents-batch+json", "["+strings.Repeat(`{"specversion":"1.0","id":"1","source":"s","type":"t"},`, 70_000)+"1]", 413, 400)
		}},
		{"attributes", func(at *target) {
			var event strings.Builder
			for i := range 300_000 {
				fmt.Fprintf(&event, `,"a%d":1`, i)
			}
			at.flood(30, "/events", "Content-Type: application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"s","type":"t"`+event.String()+"}", 400)
		}},
		{"large bodies at once", func(at *target) { at.flood(100, "/e", "", strings.Repeat("x", 4<<20), 200) }},
	} {
		t.Run(attack.name, func(t *testing.T) {
			if rsstest.Child(t) {
				serveUntilTold(t)
				return
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			at := &target{t: t, address: l.Addr().String()}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			_, port, _ := strings.Cut(at.address, ":")
			var attacker sync.WaitGroup
			attacker.Go(func() {
				at.honest("before")
				attack.do(at)
				at.honest("while " + attack.name + " are sent")
				at.post("/end", "", "", time.Minute, 200)
			})
			rsstest.Run(t, rsstest.Limits{Budget: hostileBudget, Within: 5 * time.Minute}, "HOSTILE_PORT="+port)
			attacker.Wait()
			for _, conn := range at.conns {
				_ = conn.Close()
			}
		})
	}
}

// TestManyIDs: a batch ends before its ids do not fit into a commit's description
// any more, and no request has more of them than fit.
func TestManyIDs(t *testing.T) {
	t.Parallel()
	o := listening(t, endpoints(t, `{"e":{`+anybody+`,"body":"cloudevents","ack":"received"},"lines":{`+anybody+`,"body":"ndjson","id":"value:id","ack":"received"}}`), nil)
	defer o.Close() //nolint:errcheck // it is over
	events := func(from, n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, `,{"specversion":"1.0","source":"s","type":"t","id":"%d"}`, from+i)
		}
		return "[" + text.String()[1:] + "]"
	}
	const batch = "Content-Type: application/cloudevents-batch+json\n"
	o.want(o.post("/e", batch, events(0, mostFresh+1)), 413, "send fewer")
	o.want(o.post("/lines", "", strings.Repeat(`{"id":1}`+"\n", mostFresh+1)), 413, "send fewer")
	const requests, each = 8, 3000
	for i := range requests {
		o.want(o.post("/e", batch, events(i*each, each)), 202, "")
	}
	fresh, full := 0, 0
	for taken := 0; taken < requests*each; {
		chunk, err := o.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o.Consume(chunk, len(chunk.Records))
		taken, fresh = taken+len(chunk.Records), fresh+len(chunk.Records)
		if chunk.Full != (fresh >= mostFresh) {
			t.Errorf("after %d ids, the batch is to end: %v", fresh, chunk.Full)
		}
		if chunk.Release(); chunk.Full {
			if n := len(o.Position()); n > 1<<20 {
				t.Errorf("a position has %d bytes", n)
			}
			fresh, full = 0, full+1
		}
	}
	if full != 2 {
		t.Errorf("%d batches were to end", full)
	}
}

// TestManySignatures: a stranger has a body hashed a few times, and the memory
// for that is counted.
func TestManySignatures(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/e", nil)
	r.Header.Set("Webhook-Id", "1")
	r.Header.Set("Webhook-Timestamp", "1700000000")
	r.Header.Set("Webhook-Signature", strings.Repeat("v1a,AAAA ", maxSignatures))
	p, err := standard(time.Minute)(r, nil, time.Unix(1700000000, 0))
	if err != nil || len(p.asymmetric) != maxAsymmetric {
		t.Fatalf("%v, %v", p, err)
	}
	if n := p.beside([]secret{{}, {public: make([]byte, 32)}}, 1000); n != 1000 {
		t.Errorf("%d bytes are counted", n)
	}
	if n := p.beside([]secret{{}}, 1000); n != 0 {
		t.Errorf("%d bytes are counted that are not taken", n)
	}
}

// TestLargeForms: a form that never fits is refused for good, and not to be sent
// again.
func TestLargeForms(t *testing.T) {
	t.Parallel()
	s := endpoints(t, `{"e":{`+anybody+`,"body":"form_payload"}}`)
	s.MemoryBudget = hostileBudget
	o := open(t, s, nil)
	o.Source.memory.limit = hostileBudget / 4
	const form = "Content-Type: application/x-www-form-urlencoded\n"
	o.want(o.post("/e", form, "payload="+strings.Repeat("a", 4<<20-100)), 413, "a form may have")
	o.want(o.post("/e", form, "payload="+strings.Repeat("a", 2<<20)), 200, "")
}

// target is what is attacked.
type target struct {
	t       *testing.T
	address string
	conns   []net.Conn
}

// hold opens connections that send something, and then nothing more.
func (at *target) hold(n int, text string) {
	for range n {
		conn, err := net.Dial("tcp", at.address)
		if err != nil {
			continue // there are too many
		}
		at.conns = append(at.conns, conn)
		_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = io.WriteString(conn, text) // it may be closed already
	}
}

// flood sends the same request many times at once, each until there is room for it.
func (at *target) flood(n int, path, headers, body string, statuses ...int) {
	var senders sync.WaitGroup
	queue := make(chan struct{})
	for range 16 {
		senders.Go(func() {
			for range queue {
				at.post(path, headers, body, 3*time.Minute, statuses...)
			}
		})
	}
	for range n {
		queue <- struct{}{}
	}
	close(queue)
	senders.Wait()
}

// honest is a request as it should be.
func (at *target) honest(when string) {
	began := time.Now()
	at.post("/e", "", when, time.Minute, 200)
	if took := time.Since(began); took > 30*time.Second {
		at.t.Errorf("%s, it took %v to be answered", when, took)
	}
}

// post sends a request until it is answered with one of some statuses; the
// others mean that it is to be sent again.
func (at *target) post(path, headers, body string, within time.Duration, statuses ...int) {
	client := &http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	last := ""
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequest(http.MethodPost, "http://"+at.address+path, strings.NewReader(body))
		if err != nil {
			at.t.Error(err)
			return
		}
		if name, value, ok := strings.Cut(headers, ": "); ok {
			req.Header.Set(name, value)
		}
		resp, err := client.Do(req)
		if err != nil {
			last = err.Error()
			continue
		}
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) //nolint:errcheck // only shown
		_ = resp.Body.Close()
		last = resp.Status + " " + string(text)
		for _, status := range statuses {
			if resp.StatusCode == status {
				return
			}
		}
		if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable && resp.StatusCode != http.StatusRequestTimeout {
			break
		}
	}
	at.t.Errorf("%s: %s", path, last)
}

// TestStrangersTakeNoPlaces: who has proven nothing holds none of the places that
// an endpoint has for requests, however slowly a body comes.
func TestStrangersTakeNoPlaces(t *testing.T) {
	t.Parallel()
	o := open(t, endpoints(t, fmt.Sprintf(`{"e":{"path":"/e","auth":"github","max_concurrency":1,"secret_files":[%q]}}`, secretFile(t, "planted"))), nil)
	for range 3 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(o.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // the test ends
		fmt.Fprintf(conn, "POST /e HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=%064d\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", 0)
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") { // its body is being read
			t.Fatalf("%q, %v", line, err)
		}
	}
	o.want(o.post("/e", "X-Hub-Signature-256: sha256="+hmacHex("planted", "{}"), "{}"), 200, `"records":1`)
}
