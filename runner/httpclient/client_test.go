// SPDX-License-Identifier: Apache-2.0

package httpclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newClient returns a client that trusts the servers.
func newClient(servers ...*httptest.Server) *http.Client {
	roots := x509.NewCertPool()
	for _, s := range servers {
		if s.Certificate() != nil {
			roots.AddCert(s.Certificate())
		}
	}
	return New(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, 5*time.Second)
}

// request asks with credentials of both kinds.
func request(t *testing.T, c *http.Client, address string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("client_secret=hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("me", "hunter2")
	answer, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// TestRedirects has a server send the client elsewhere, and sees that nothing
// arrives there.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		var to atomic.Value
		var arrived atomic.Int32
		elsewhere := func(w http.ResponseWriter, _ *http.Request) {
			arrived.Add(1)
			fmt.Fprint(w, "internal answer")
		}
		from := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/here" {
				fmt.Fprint(w, "answer")
				return
			}
			w.Header().Set("Location", to.Load().(string))
			w.WriteHeader(status)
			fmt.Fprint(w, "internal answer")
		}))
		plain, other := httptest.NewServer(http.HandlerFunc(elsewhere)), httptest.NewTLSServer(http.HandlerFunc(elsewhere))
		t.Cleanup(from.Close)
		t.Cleanup(plain.Close)
		t.Cleanup(other.Close)
		c := newClient(from, plain, other)
		sameHostInClear := "http" + strings.TrimPrefix(from.URL, "https")
		otherName := strings.Replace(from.URL, "127.0.0.1", "localhost", 1)
		for _, address := range []string{plain.URL, other.URL, sameHostInClear, otherName + "/here", "//" + strings.TrimPrefix(other.URL, "https://"),
			"https://me:hunter2@" + strings.TrimPrefix(other.URL, "https://"), "ftp://a/b", "file:///etc/passwd", from.URL + "@a", "https://[internal answer"} {
			to.Store(address)
			body, err := request(t, c, from.URL)
			if err == nil || !strings.Contains(err.Error(), "it redirects to ") || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "internal answer") {
				t.Errorf("%d to %s: %q, %v", status, address, body, err)
			}
		}
		if n := arrived.Load(); n != 0 {
			t.Errorf("%d requests arrived elsewhere", n)
		}
		for _, address := range []string{"/here", from.URL + "/here", strings.ToUpper(from.URL) + "/here"} {
			to.Store(address)
			if body, err := request(t, c, from.URL); err != nil || body != "answer" {
				t.Errorf("%d to %s: %q, %v", status, address, body, err)
			}
		}
		to.Store("/again")
		if _, err := request(t, c, from.URL); err == nil || !strings.Contains(err.Error(), "stopped after 10 redirects") {
			t.Errorf("%d for ever: %v", status, err)
		}
	}
}

// TestErrorsQuoteNothing asks servers that answer with what is not for the log.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answer, want string }{
		"another protocol":  {"-ERR unknown command 'internal'\r\n", "its answer cannot be understood"},
		"bad status":        {"HTTP/1.1 internal\r\n\r\n", "its answer cannot be understood"},
		"bad header":        {"HTTP/1.1 200 OK\r\ninternal\r\n\r\n", "its answer cannot be understood"},
		"bad length":        {"HTTP/1.1 200 OK\r\nContent-Length: internal\r\n\r\n", "its answer cannot be understood"},
		"bad encoding":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: internal\r\n\r\n", "its answer cannot be understood"},
		"bad location":      {"HTTP/1.1 302 Found\r\nLocation: http://[internal\r\n\r\n", "redirect"},
		"headers of 1 MiB":  {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("internal", 1<<17) + "\r\n\r\n", "its answer cannot be understood"},
		"hangs up":          {"", "the connection ended"},
		"switches protocol": {"HTTP/1.1 101 internal\r\nConnection: upgrade\r\nUpgrade: internal\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := request(t, newClient(), "http://"+answers(t, test.answer)+"/?key=hunter2")
			if err == nil {
				if test.want != "" {
					t.Errorf("there is no error but %q", body)
				}
				return
			}
			if text := Reason(err).Error(); !strings.Contains(text, test.want) || strings.Contains(text, "internal") || strings.Contains(text, "hunter2") {
				t.Errorf("the error is %s", text)
			}
		})
	}
}

// answers listens, reads a request, and answers each in the same way.
func answers(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 4096)) //nolint:errcheck // whatever it is
				io.WriteString(c, answer)  //nolint:errcheck // the client may be gone
			}()
		}
	}()
	return l.Addr().String()
}

// TestErrorsStayWhatTheyAre is about who looks at errors.
func TestErrorsStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	silent := httptest.NewUnstartedServer(nil) // takes connections and does not answer
	t.Cleanup(silent.Close)
	address := "http://" + silent.Listener.Addr().String()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(nil, time.Minute).Do(r) //nolint:bodyclose // there is none
	if !errors.Is(err, context.Canceled) || Reason(err).Error() != context.Canceled.Error() {
		t.Errorf("cancelled: %v", err)
	}
	_, err = New(nil, time.Millisecond).Get(address) //nolint:bodyclose // there is none
	var late net.Error
	if !errors.As(err, &late) || !late.Timeout() || Reason(err).Error() != "no answer in time" {
		t.Errorf("late: %v", err)
	}
	_, err = New(nil, time.Minute).Get("http://127.0.0.1:1/?key=hunter2") //nolint:bodyclose // there is none
	var network *net.OpError
	if !errors.As(err, &network) || !strings.Contains(Reason(err).Error(), "connection refused") {
		t.Errorf("nobody there: %v", err)
	}
	untrusted := httptest.NewTLSServer(nil)
	t.Cleanup(untrusted.Close)
	_, err = New(nil, time.Minute).Get(untrusted.URL) //nolint:bodyclose // there is none
	if err == nil || !strings.Contains(Reason(err).Error(), "certificate") {
		t.Errorf("untrusted: %v", err)
	}
	plain := httptest.NewServer(nil)
	t.Cleanup(plain.Close)
	_, err = New(nil, time.Minute).Get("https" + strings.TrimPrefix(plain.URL, "http")) //nolint:bodyclose // there is none
	if err == nil || !strings.Contains(Reason(err).Error(), "does not speak TLS") {
		t.Errorf("no TLS: %v", err)
	}
}

// TestProxyAnswers has a proxy refuse with words of its own.
func TestProxyAnswers(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{"HTTP/1.1 407 internal\r\n\r\ninternal": "the proxy of HTTPS_PROXY answers 407", "internal\r\n": "its answer cannot be understood"} {
		c := New(nil, 5*time.Second)
		c.Transport.(guard).next.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: answers(t, answer), User: url.UserPassword("me", "hunter2")})
		_, err := request(t, c, "https://example.com")
		if err == nil || strings.Contains(err.Error(), "internal") || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v", err)
		}
	}
}

// TestProxyAddress has a proxy's address that cannot be parsed.
func TestProxyAddress(t *testing.T) {
	t.Parallel()
	c := New(nil, 5*time.Second)
	c.Transport.(guard).next.Proxy = inOwnWords(func(*http.Request) (*url.URL, error) {
		return nil, &url.Error{Op: "parse", URL: "http://me:hunter2%zz@proxy:3128", Err: url.EscapeError("%zz")}
	})
	_, err := request(t, c, "https://example.com")
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "HTTPS_PROXY") {
		t.Errorf("the error is %v", err)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"who are you?":          "who are you?",
		"a\n{\"level\":\x1b[1m": "a {\"level\":[1m",
		"a\xffb\u009bc":         "abc",
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	if got := Quote("no user me with hunter2, hunter2", "", "hunter2"); got != "no user me with (secret), (secret)" {
		t.Errorf("a secret: %s", got)
	}
	if got := Quote(strings.Repeat("hunter2-and-more", 60), "hunter2-and-more"); strings.Contains(got, "hunter2") {
		t.Errorf("a part of a secret: %s", got)
	}
	for _, secret := range []string{"correct horse", "p%40ss w\"rd\\", "päss=?&wörd", "a  b\tcd", "hunter2", `<p&q>"x"`} {
		plain, basic := "\x00user\x00"+secret, "user:"+secret
		for _, said := range []string{secret, secret[:3] + "\x00" + secret[3:], strings.ReplaceAll(secret, " ", " \n "), secret[:1] + "\xff" + secret[1:], url.QueryEscape(secret),
			"postgres://" + url.UserPassword("me", secret).String() + "@h", strconv.Quote(plain), `{"pass":` + jsonOf(secret) + `}`, base64.StdEncoding.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(plain)), base64.StdEncoding.EncodeToString([]byte(basic)), strings.Repeat(" ", maxSaid-5) + secret} {
			got := Quote("it says "+said, secret)
			for _, form := range forms(secret) {
				if strings.Contains(got, form) {
					t.Errorf("%q has the secret %q as %q: %q", said, secret, form, got)
				}
			}
			if !strings.Contains(got, "(secret)") && !strings.HasSuffix(got, "…") {
				t.Errorf("%q becomes %q", said, got)
			}
		}
	}
	for _, text := range []string{strings.Repeat("x", 1<<20), strings.Repeat("€", 1<<20), strings.Repeat(" ", 1<<20)} {
		if n := len(Quote(text)); n > maxQuote {
			t.Errorf("%d bytes", n)
		}
	}
}

func jsonOf(text string) string {
	quoted, _ := json.Marshal(text) //nolint:errcheck // a string
	return string(quoted)
}
