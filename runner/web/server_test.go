// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// patient are limits of which no test reaches any but the number of connections.
var patient = limits{header: time.Minute, request: time.Minute, answer: time.Minute, idle: time.Minute, connections: 8}

// start serves the stalled runner at a port of its own.
func start(t *testing.T, s settings.HTTP, metrics http.Handler, log hclog.Logger, l limits) string {
	t.Helper()
	s.Address = "127.0.0.1"
	server, err := listen(settings.Settings{Runner: settings.Runner{HTTP: s}}, stalled(), metrics, log, l)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve() // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return server.Addr().String()
}

// dial opens a connection that ends with the test, and sends something.
func dial(t *testing.T, address, request string) net.Conn {
	t.Helper()
	return dialFrom(t, "127.0.0.1", address, request)
}

// dialFrom is dial from an address of this machine.
func dialFrom(t *testing.T, from, address, request string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, request) // the server may have closed it already
	return conn
}

// closed waits for the server to close a connection.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Fatal("the connection stays open")
	}
}

// answered asks over a connection of its own.
func answered(t *testing.T, address, path string) (code, length int) {
	t.Helper()
	conn := dial(t, address, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, len(body)
}

// TestIdleConnectionsMakeRoom: there are no more connections than may be, and
// yet whoever comes last is answered.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	address := start(t, settings.HTTP{}, http.NotFoundHandler(), hclog.NewNullLogger(), patient)
	var conns []net.Conn
	for range 3 * patient.connections {
		conns = append(conns, dial(t, address, "")) // and no request
	}
	if code, _ := answered(t, address, PathHealth); code != http.StatusOK {
		t.Error(code)
	}
	for _, conn := range conns[:2*patient.connections] {
		closed(t, conn)
	}
}

// TestNeighboursLeaveRoom: a connection waits for its request to come, while
// those of a neighbour come again and again, or those of several.
func TestNeighboursLeaveRoom(t *testing.T) {
	t.Parallel()
	roomy := patient
	roomy.connections = 4 * leastShare
	address := start(t, settings.HTTP{}, http.NotFoundHandler(), hclog.NewNullLogger(), roomy)
	for name, neighbours := range map[string]int{"one": 1, "several": 5} {
		probe := dial(t, address, "GET "+PathHealth)
		for range 3 * roomy.connections {
			for i := range neighbours {
				dialFrom(t, fmt.Sprintf("127.0.1.%d", i+1), address, "")
			}
		}
		if _, err := io.WriteString(probe, " HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Error(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(probe), nil)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("beside %s: %v, %v", name, answer, err)
		}
		_ = answer.Body.Close()
	}
}

// TestClientsThatDoNotReadMakeRoom: those that ask for metrics again and again,
// and read nothing, hold up neither others nor each other.
func TestClientsThatDoNotReadMakeRoom(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("x"), 16<<20) // more than the kernel keeps of an answer
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) })
	address := start(t, settings.HTTP{}, metrics, hclog.NewNullLogger(), patient)
	ask := strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 50)
	for range 3 * patient.connections {
		dial(t, address, ask)
	}
	if code, length := answered(t, address, PathMetrics); code != http.StatusOK || length != len(large) {
		t.Error(code, length)
	}
}

// TestClientsAreNotWaitedFor: a request of which no end comes, one whose
// answer is not read, and a connection without one are given up.
func TestClientsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	short := limits{header: 20 * time.Millisecond, request: 40 * time.Millisecond, answer: 60 * time.Millisecond, idle: 20 * time.Millisecond, connections: 8}
	address := start(t, settings.HTTP{}, http.NotFoundHandler(), hclog.NewNullLogger(), short)
	for name, request := range map[string]string{
		"silent":       "",
		"half a line":  "GET /hea",
		"no end":       "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
		"no body":      "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",
		"posts":        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
		"large header": "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n",
		"idle":         "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed(t, dial(t, address, request))
		})
	}
}

// TestFewRenderingsAtOnce: while as many answers are made as may be, others wait.
func TestFewRenderingsAtOnce(t *testing.T) {
	t.Parallel()
	var most, now atomic.Int32
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		entered <- struct{}{}
		<-leave
		now.Add(-1)
		_, _ = w.Write([]byte("rendered"))
	})
	roomy := patient
	roomy.connections *= addressShare
	address := start(t, settings.HTTP{}, metrics, hclog.NewNullLogger(), roomy)
	answers := make(chan string, 6)
	for range cap(answers) {
		conn := dial(t, address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		go func() {
			all, _ := io.ReadAll(conn)
			answers <- string(all)
		}()
	}
	for range maxRenderings {
		<-entered
	}
	close(leave)
	for range cap(answers) {
		if answer := <-answers; !strings.HasSuffix(answer, "\r\n\r\nrendered") {
			t.Error(answer)
		}
	}
	if most.Load() > maxRenderings {
		t.Errorf("%d at once", most.Load())
	}
}

// TestTroubleIsLoggedAsJSON: what net/http says comes as lines of the log, and
// clients cannot fill that.
func TestTroubleIsLoggedAsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	trouble := &throttled{log: hclog.New(&hclog.LoggerOptions{JSONFormat: true, Output: &out})}
	for range 1000 {
		if _, err := fmt.Fprintf(trouble, "http: TLS handshake error from %s\n", strings.Repeat("x", 1000)); err != nil {
			t.Fatal(err)
		}
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || !strings.HasPrefix(fmt.Sprint(line["reason"]), "http: TLS handshake") || out.Len() > 1000 {
		t.Error(out.String(), err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	own := authority.ForTest(t, "authority").IssueForTest(t, "orders", "orders.svc")
	secured := settings.HTTP{Hosts: []string{"orders.svc"}, TLS: settings.Certificate{Cert: own.Chain, Key: own.Key}}
	var log bytes.Buffer
	address := start(t, secured, http.NotFoundHandler(), hclog.New(&hclog.LoggerOptions{Output: &log, JSONFormat: true}), patient)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(secured.TLS.Cert))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "orders.svc"}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	answer, err := client.Get("https://" + address + PathHealth)
	if err != nil || answer.StatusCode != http.StatusOK || answer.ProtoMajor != 1 {
		t.Fatal(answer, err)
	}
	_ = answer.Body.Close()
	if code, _ := answered(t, address, PathHealth); code != http.StatusBadRequest {
		t.Errorf("without TLS: %d", code)
	}
	if _, err := Listen(settings.Settings{Runner: settings.Runner{HTTP: settings.HTTP{TLS: settings.Certificate{Cert: "c", Key: "k"}}}}, stalled(), nil, hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), "SPOUT_HTTP_TLS_CERT") {
		t.Error(err)
	}
}
