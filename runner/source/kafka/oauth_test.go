// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/oauth2"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/logtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/tlsconfig"
)

// tokenEndpoint gives numbered tokens to the client "me" and its secret.
type tokenEndpoint struct {
	*httptest.Server
	given   atomic.Int32
	expires atomic.Int32 // seconds
	refuse  atomic.Int32 // status, 0 for none
	mu      sync.Mutex
	form    string
}

func newTokenEndpoint(t *testing.T, start func(http.Handler) *httptest.Server) *tokenEndpoint {
	e := &tokenEndpoint{}
	e.expires.Store(3600)
	e.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, password, ok := r.BasicAuth()
		if err := r.ParseForm(); err != nil || !ok || id != "me" || password != secret || e.refuse.Load() != 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(max(int(e.refuse.Load()), http.StatusUnauthorized))
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"who are you?"}`)
			return
		}
		e.mu.Lock()
		e.form = r.PostForm.Encode()
		e.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, e.given.Add(1), e.expires.Load())
	}))
	t.Cleanup(e.Close)
	return e
}

// bearers makes a cluster speak OAUTHBEARER, which it notes the messages of.
// Sessions end after life.
type bearers struct {
	mu       sync.Mutex
	messages []string
	life     time.Duration
	refusal  string
}

func (b *bearers) serve(c *kfake.Cluster) {
	c.ControlKey(kmsg.SASLHandshake.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.SupportedMechanisms = []string{"OAUTHBEARER"}
		if req.(*kmsg.SASLHandshakeRequest).Mechanism != "OAUTHBEARER" {
			resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		}
		return resp, nil, true
	})
	c.ControlKey(kmsg.SASLAuthenticate.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.messages = append(b.messages, string(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes))
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.SessionLifetimeMillis = b.life.Milliseconds()
		if b.refusal != "" {
			resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, &b.refusal
		}
		return resp, nil, true
	})
}

// all returns the messages that came.
func (b *bearers) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.messages...)
}

func TestOAuthBearer(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := newTokenEndpoint(t, start)
			_, trusted := authority.Localhost(t)
			c := startCluster(t)
			b := &bearers{}
			createTopic(t, c, "t", 1)
			produce(t, client(t, c), numbered("t", 0, 0, 5)...)
			b.serve(c)
			k := config(c, "t")
			k.SASL.Mechanism, k.SASL.Username, k.SASL.Password = "oauthbearer", "me", secret
			k.SASL.TokenURL, k.SASL.Scope, k.SASL.Extensions = endpoint.URL, "kafka orders", []string{"logicalCluster=lkc-1", "pool=p"}
			if name == "https" { // the brokers' authority is the endpoint's too
				trusted = append(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: endpoint.Certificate().Raw})...)
				d, err := tlsconfig.Client(withCA(k, trusted).TLS.TLS, "SPOUT_KAFKA_TLS")
				if err != nil {
					t.Fatal(err)
				}
				o := newOAuth(k, d.RootCAs)
				if token, err := o.current(testContext(t)); err != nil || token != "token-1" {
					t.Errorf("token %q, %v", token, err)
				}
				return
			}
			s, _ := open(t, k, nil)
			wantValues(t, read(t, s, 5), 0, 5)
			if n := endpoint.given.Load(); n != 1 {
				t.Errorf("%d tokens were asked for in place of one", n)
			}
			if endpoint.form != "grant_type=client_credentials&scope=kafka+orders" {
				t.Errorf("the endpoint was asked %s", endpoint.form)
			}
			for _, message := range b.all() {
				if message != "n,,\x01auth=Bearer token-1\x01logicalCluster=lkc-1\x01pool=p\x01\x01" {
					t.Errorf("the broker was told %q", message)
				}
			}
		})
	}
}

// TestSessionsAreRenewed reads on while sessions and tokens end, over the same
// connections.
func TestSessionsAreRenewed(t *testing.T) {
	t.Parallel()
	endpoint := newTokenEndpoint(t, httptest.NewServer)
	endpoint.expires.Store(1)
	c := startCluster(t, kfake.NumBrokers(1))
	b := &bearers{life: 100 * time.Millisecond}
	createTopic(t, c, "t", 1)
	cl := client(t, c)
	b.serve(c)
	k := config(c, "t")
	k.SASL.Mechanism, k.SASL.Username, k.SASL.Password, k.SASL.TokenURL = "oauthbearer", "me", secret, endpoint.URL
	k.FetchMaxWait = 10 * 1000 * 1000
	n := newNetwork()
	s, _ := open(t, k, nil, WithDial(n.dial))
	for i := 0; endpoint.given.Load() < 3; i++ {
		produce(t, cl, numbered("t", 0, i, 1)...)
		wantValues(t, read(t, s, 1), i, 1)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if messages := b.all(); len(messages) < 6 || n.dials > 3 || !strings.Contains(messages[len(messages)-1], "token-") {
		t.Errorf("%d times authenticated over %d connections", len(messages), n.dials)
	}
}

// TestOAuthRefusals says who refuses, and what to do; no secret and no token.
func TestOAuthRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status   int32
		password string
		refusal  string
		want     string
	}{
		"wrong secret":   {password: "wrong", want: "401 Unauthorized invalid_client who are you?"},
		"refused":        {status: 403, password: secret, want: "403 Forbidden"},
		"token too poor": {password: secret, refusal: "no scope kafka", want: "no scope kafka"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := newTokenEndpoint(t, httptest.NewServer)
			endpoint.refuse.Store(test.status)
			c := startCluster(t)
			(&bearers{refusal: test.refusal}).serve(c)
			createTopic(t, c, "t", 1)
			k := config(c, "t")
			k.SASL.Mechanism, k.SASL.Username, k.SASL.Password, k.SASL.TokenURL = "oauthbearer", "me", test.password, endpoint.URL
			refuses(t, func() (*Source, *logtest.Log) { return newTestSource(t, k) }, test.want)
			s, l := newTestSource(t, k)
			ctx, cancel := testCancel(t)
			opened := goOpen(ctx, s)
			l.Await(t, "see whether SPOUT_KAFKA_SASL_MECHANISM and the secret of the credentials are right")
			cancel()
			if err := <-opened; err == nil {
				t.Error("it was opened")
			}
			if strings.Contains(l.String(), "token-1") {
				t.Errorf("the log tells the token:\n%s", l)
			}
		})
	}
	t.Run("another mechanism", func(t *testing.T) {
		t.Parallel()
		c := startCluster(t)
		(&bearers{}).serve(c)
		createTopic(t, c, "t", 1)
		k := config(c, "t")
		k.SASL.Mechanism, k.SASL.Username, k.SASL.Password = "plain", "me", secret
		refuses(t, func() (*Source, *logtest.Log) { return newTestSource(t, k) }, "takes no PLAIN, but OAUTHBEARER")
	})
}

// TestTokenEndpointRedirects has an endpoint send the runner elsewhere: the
// client's secret stays, and nothing that is answered there is logged.
func TestTokenEndpointRedirects(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stolen.Add(1)
		http.Error(w, "internal answer", http.StatusInternalServerError)
	}))
	t.Cleanup(thief.Close)
	endpoint := httptest.NewTLSServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(endpoint.Close)
	c := startCluster(t)
	(&bearers{}).serve(c)
	createTopic(t, c, "t", 1)
	k := config(c, "t")
	k.SASL.Mechanism, k.SASL.Username, k.SASL.Password, k.SASL.TokenURL = "oauthbearer", "me", secret, endpoint.URL+"/?key="+secret
	s, l := newTestSource(t, k)
	roots := x509.NewCertPool()
	roots.AddCert(endpoint.Certificate())
	s.dialer.mechanism = newOAuth(k, roots)
	ctx, cancel := testCancel(t)
	opened := goOpen(ctx, s)
	l.Await(t, "it redirects to "+thief.URL)
	cancel()
	if err := <-opened; err == nil {
		t.Error("it was opened")
	}
	if all := l.String(); stolen.Load() > 0 || strings.Contains(all, secret) || strings.Contains(all, "internal answer") {
		t.Errorf("%d requests went elsewhere; the log is\n%s", stolen.Load(), all)
	}
}

// TestTokenAnswersAreShort: of what an endpoint says beside the token, nothing
// is kept, and not much is read.
func TestTokenAnswersAreShort(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{1 << 10: true, 1<<20 - 100: false} {
		answer := `{"access_token":"x","beside":[{}` + strings.Repeat(",{}", size/3) + `]}`
		endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answer)
		}))
		t.Cleanup(endpoint.Close)
		var k settings.Kafka
		k.SASL.TokenURL = endpoint.URL
		o := newOAuth(k, nil)
		token, err := o.current(testContext(t))
		switch {
		case ok && (err != nil || token != "x" || o.token.Load().Extra("beside") != nil):
			t.Errorf("%d bytes: token %q, %v, with %v", size, token, err, o.token.Load().Extra("beside"))
		case !ok && (err == nil || !strings.Contains(err.Error(), "cannot be understood")):
			t.Errorf("%d bytes: token %q, %v", size, token, err)
		}
	}
}

// TestAnswersAreNotQuoted is about servers that repeat what they were sent, and
// about pages in place of answers.
func TestAnswersAreNotQuoted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status      int
		kind, body  string
		want, never string
	}{
		"repeats the secret":  {401, "application/json", `{"error":"invalid_client","error_description":"not ` + secret + `"}`, "invalid_client not (secret)", secret},
		"repeats the header":  {401, "application/json", `{"error":"invalid_client","error_description":"Basic ` + base64.StdEncoding.EncodeToString([]byte("me:"+secret)) + `"}`, "invalid_client Basic (secret)", "bWU6"},
		"more than a token":   {200, "application/json", `{"access_token":"internal\u0001host=evil"}`, "gives no token that can be sent", "internal"},
		"a token of 65 KiB":   {200, "application/json", `{"access_token":"` + strings.Repeat("internal", 8321) + `"}`, "gives no token that can be sent", "internal"},
		"a page":              {404, "text/html", "<html>internal", "404 Not Found", "internal"},
		"an outage's page":    {503, "text/html", "<html>internal", "503 Service Unavailable", "internal"},
		"an error of 50 kB":   {400, "application/json", `{"error":"e","error_description":"` + strings.Repeat("long ", 10000) + `"}`, "400 Bad Request e long", strings.Repeat("long ", 41)},
		"an error of a MiB":   {400, "application/json", `{"error":"` + strings.Repeat("long ", 200000) + `"}`, "400 Bad Request", "long "},
		"no JSON":             {200, "application/json", "internal", "cannot be understood", "internal"},
		"a token of its kind": {200, "application/json", `{"access_token":["internal"]}`, "cannot be understood", "internal"},
		"no token":            {200, "application/json", `{"internal":1}`, "cannot be understood", "internal"},
		"colours and lines":   {400, "application/json", `{"error":"a\nb\u001b[31m"}`, "a b[31m", "\x1b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			t.Cleanup(server.Close)
			k := settings.Kafka{SASL: settings.SASL{Credentials: settings.Credentials{Username: "me", Password: secret}, TokenURL: server.URL}}
			_, err := newOAuth(k, nil).current(testContext(t))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), test.never) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	token := "token-that-nobody-may-see"
	o := &oauth{}
	o.token.Store(&oauth2.Token{AccessToken: token})
	if _, _, err := o.Next(testContext(t), []byte(`{"status":"invalid `+token+`"}`)); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("a broker's challenge: %v", err)
	}
	for _, mechanism := range []sasl.Mechanism{o, plain.Mechanism{Username: "me", Password: token}} {
		words := "no such login: " + token
		if err := (&conn{mechanism: mechanism}).refusal(kerr.SaslAuthenticationFailed, &words); !strings.Contains(err.Error(), "no such login") || strings.Contains(err.Error(), token) {
			t.Errorf("a broker's refusal of %s: %v", mechanism.Name(), err)
		}
	}
}

// TestTokenEndpointOutage goes on with the token there is.
func TestTokenEndpointOutage(t *testing.T) {
	t.Parallel()
	endpoint := newTokenEndpoint(t, httptest.NewServer)
	c := startCluster(t)
	k := config(c, "t")
	k.SASL.Username, k.SASL.Password, k.SASL.TokenURL = "me", secret, endpoint.URL
	o := newOAuth(k, nil)
	first, err := o.current(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	endpoint.refuse.Store(500)
	o.renewAt = time.Time{}
	if token, err := o.current(testContext(t)); err != nil || token != first {
		t.Errorf("token %q, %v", token, err)
	}
	o.token.Load().Expiry = time.Now().Add(-time.Second)
	if _, err := o.current(testContext(t)); err == nil || isDenied(err) || !strings.Contains(err.Error(), "SPOUT_KAFKA_SASL_TOKEN_URL") {
		t.Errorf("the error is %v", err)
	}
	endpoint.refuse.Store(0)
	if token, err := o.current(testContext(t)); err != nil || token == first || !bytes.HasPrefix([]byte(token), []byte("token-")) {
		t.Errorf("token %q, %v", token, err)
	}
}
