// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// attacked is a runner in a process of its own whose port is under attack.
type attacked struct {
	*process
	t       *testing.T
	server  *pachtest.Server
	client  *kgo.Client
	address string
	conns   []net.Conn
}

// attack starts a runner that may have so many files open, 0 for as many as
// this process, and returns once it ingests.
func attack(t *testing.T, files int) *attacked {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(200, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s := settings.Default()
	s.Kafka.Brokers, s.Kafka.Topics = broker.ListenAddrs(), []string{"orders"}
	s.HTTPPort, s.HTTP.Address = freePort(t), "127.0.0.1"
	s.MemoryBudget, s.Kafka.FetchMaxBytes, s.Batch.MaxAge = 64<<20, 1<<20, settings.Duration(50*time.Millisecond)
	a := &attacked{t: t, server: pachtest.New(t), client: client, address: fmt.Sprintf("127.0.0.1:%d", s.HTTPPort)}
	a.process = startRunnerWith(t, a.server, s, files)
	t.Cleanup(func() {
		for _, conn := range a.conns {
			_ = conn.Close()
		}
	})
	a.ingests("before the attack")
	return a
}

// freePort is a port that nobody listens at for the moment.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port
}

// send opens so many connections, one after the other, each of which sends something and reads nothing.
func (a *attacked) send(connections int, request string) {
	a.t.Helper()
	for range connections {
		conn, err := net.Dial("tcp", a.address)
		if err != nil {
			a.t.Fatal(err)
		}
		a.conns = append(a.conns, conn)
		_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, request) // it may be closed already
	}
}

// ingests waits until records that are produced now are in a FINISHED commit.
func (a *attacked) ingests(when string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	before := len(a.server.Commits("default", "spout", "master"))
	if err := a.client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte(when)}).FirstErr(); err != nil {
		a.t.Fatal(err)
	}
	for len(a.server.Commits("default", "spout", "master")) <= before {
		select {
		case <-ctx.Done():
			a.t.Fatalf("%s: nothing is ingested", when)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// answers asks for something as Prometheus or a probe would.
func (a *attacked) answers(path string) string {
	a.t.Helper()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + a.address + path)
	if err != nil {
		a.t.Fatalf("under attack: %v", err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		a.t.Fatalf("under attack: %s, %v", answer.Status, err)
	}
	return string(body)
}

// files is how many files the runner has open.
func (a *attacked) files() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.cmd.Process.Pid))
	if err != nil {
		a.t.Fatal(err)
	}
	return len(entries)
}

// unharmed asserts that the runner ingests, answers, is within its memory, and keeps a log of JSON.
func (a *attacked) unharmed(attack string) {
	a.t.Helper()
	a.ingests(attack)
	if metrics := a.answers("/metrics"); !strings.Contains(metrics, "spout_ready ") {
		a.t.Errorf("%s: these are not the metrics: %.200s", attack, metrics)
	}
	a.answers("/healthz")
	const most = 64<<20/4*5 + 64<<20
	if peak, runs := a.memory(a.t); !runs || peak > most {
		a.t.Errorf("%s: %d MiB in place of %d at most; it runs: %v", attack, peak>>20, int64(most)>>20, runs)
	} else {
		a.t.Logf("%s: at most %d MiB, %d files open", attack, peak>>20, a.files())
	}
	for lines := bufio.NewScanner(strings.NewReader(a.log.String())); lines.Scan(); {
		if !json.Valid(lines.Bytes()) {
			a.t.Errorf("%s: a line of the log is not JSON: %s", attack, lines.Text())
		}
	}
}

// TestHostileClients does to the port of status page and metrics what a
// neighbour in the cluster could do.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	a := attack(t, 0)
	for _, c := range []struct {
		attack      string
		connections int
		request     string
	}{
		{"metrics are asked for again and again, and never read", 1500, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)},
		{"idle connections", 6000, ""},
		{"requests without an end", 1000, "GET /status.json HTTP/1.1\r\nX: "},
		{"requests without their bodies", 1000, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"},
	} {
		a.send(c.connections, c.request)
		a.unharmed(c.attack)
		const own = 64 // of Kafka, Pachyderm and the process itself
		if open := a.files(); open > 256+own {
			t.Errorf("%s: %d files are open", c.attack, open)
		}
		for _, conn := range a.conns {
			_ = conn.Close()
		}
		a.conns = nil
	}
}

// TestFewFiles attacks a runner that may have only a few files open.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	a := attack(t, 48)
	a.send(1000, "")
	a.unharmed("idle connections, of few files")
}
