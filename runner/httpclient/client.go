// SPDX-License-Identifier: Apache-2.0

// Package httpclient is the one way in which the runner asks others over HTTP.
//
// Most requests carry credentials, and who answers may be somebody else than
// the one who was meant. So a client goes nowhere but where it was told to, and
// nothing that was answered gets into an error by itself: whoever reads the log
// would else see what services say that only the pod can reach.
package httpclient

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxHeader is how long the header of an answer may be.
const maxHeader = 64 << 10

// maxIdle is how many connections are kept for requests to come.
const maxIdle = 8

// New returns a client whose requests take no longer than timeout. TLS is as
// config says; nil stands for the system's authorities.
func New(config *tls.Config, timeout time.Duration) *http.Client {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Timeout: timeout, Transport: guard{&http.Transport{
		Proxy:                  inOwnWords(http.ProxyFromEnvironment),
		OnProxyConnectResponse: proxyAnswer,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    timeout,
		MaxResponseHeaderBytes: maxHeader,
		IdleConnTimeout:        time.Minute,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
	}}}
}

// guard lets no request be sent on to another scheme, host or port, and makes
// errors those of [Reason].
type guard struct{ next *http.Transport }

func (g guard) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := g.next.RoundTrip(request)
	if err != nil {
		return nil, Reason(err)
	}
	if err := checkRedirect(request.URL, answer); err != nil {
		return nil, errors.Join(err, answer.Body.Close())
	}
	answer.Body = limit(answer)
	return answer, nil
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (g guard) CloseIdleConnections() { g.next.CloseIdleConnections() }

const (
	// maxBody is how long an answer may be, decompressed.
	maxBody = 8 << 20
	// maxErrorBody is how much is read of one that is an error: there is more in
	// it than is ever shown.
	maxErrorBody = 64 << 10
)

// ErrTooLong says that an answer is longer than any should be.
var ErrTooLong error = note("its answer is longer than 8 MiB")

// limit returns an answer's body of bounded length.
func limit(answer *http.Response) io.ReadCloser {
	if answer.StatusCode >= http.StatusMultipleChoices {
		return &body{Closer: answer.Body, Reader: io.LimitReader(answer.Body, maxErrorBody)}
	}
	return &body{Closer: answer.Body, Reader: &limited{answer.Body, maxBody}}
}

type body struct {
	io.Reader
	io.Closer
}

// limited is a reader that fails after a number of bytes.
type limited struct {
	from io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.from.Read(p[:min(len(p), l.left+1)])
	if n > l.left {
		return l.left, ErrTooLong
	}
	l.left -= n
	return n, err //nolint:wrapcheck // readers end with io.EOF itself
}

// checkRedirect refuses what [http.Client] would follow to another address. The
// client ends what goes round in circles.
func checkRedirect(asked *url.URL, answer *http.Response) error {
	switch answer.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	location := answer.Header.Get("Location")
	if location == "" {
		return nil // no redirect
	}
	next, err := asked.Parse(location)
	if err != nil {
		return note("it redirects to what is not a URL")
	}
	if origin(next) != origin(asked) {
		return note(fmt.Sprintf("it redirects to %s, which is not followed, since credentials would go there: if that is right, configure that address", Quote(origin(next))))
	}
	return nil
}

// origin is a URL's scheme, host and port.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme) + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// inOwnWords keeps the address of a proxy, which may hold a password, out of
// the error that it cannot be used.
func inOwnWords(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := proxy(r)
		if err != nil {
			return nil, note("HTTP_PROXY or HTTPS_PROXY is not the address of a proxy such as http://proxy.example.com:3128")
		}
		return u, nil
	}
}

func proxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return note(fmt.Sprintf("the proxy of HTTPS_PROXY answers %d %s", answer.StatusCode, http.StatusText(answer.StatusCode)))
	}
	return nil
}

// note is an error whose text is ours.
type note string

func (n note) Error() string { return string(n) }

// Reason returns why a request of a client failed, without its URL and without
// words of the other side. The error stays what it is to [errors.Is] and
// [errors.As].
func Reason(err error) error {
	var own *reason
	if errors.As(err, &own) {
		return own
	}
	return &reason{text: text(err), err: err}
}

type reason struct {
	text string
	err  error
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.err }

// Timeout is asked by [http.Client].
func (r *reason) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.As(r.err, &timeout) && timeout.Timeout()
}

// text is made of what Go and the operating system say, but not of what they
// quote.
func text(err error) string {
	var (
		own         note
		network     *net.OpError
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		timeout     interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &own):
		return own.Error()
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &network) && network.Op == "proxyconnect":
		return "proxy: " + text(network.Err)
	case errors.As(err, &certificate):
		return Quote(certificate.Error()) // it names whom the certificate is for
	case errors.As(err, &alert):
		return alert.Error()
	case errors.As(err, &record):
		return "it does not speak TLS"
	case errors.As(err, &network):
		return network.Error()
	case errors.As(err, &name):
		return name.Error()
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS: is it http:// in place of https://?"
	}
	return "the connection ended, or its answer cannot be understood"
}

// maxQuote is how much is quoted of what others say.
const maxQuote = 200

// Quote returns what may be shown of words of the other side: one line, of at
// most 200 bytes, without control characters and without the secrets, which it
// may have been sent and repeat, as they are or as they were encoded.
func Quote(text string, secrets ...string) string { return QuoteUpTo(maxQuote, text, secrets...) }

// maxSaid is how much of a text is looked at.
const maxSaid = 64 << 10

// QuoteUpTo is [Quote] with another number of bytes.
func QuoteUpTo(most int, text string, secrets ...string) string {
	cut := len(text) > maxSaid
	text = oneLine(text[:min(len(text), maxSaid)])
	var hidden []string // before it is cut, which could leave a part of one
	longest := 0
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			hidden, longest = append(hidden, form, "(secret)"), max(longest, len(form))
		}
	}
	text = strings.NewReplacer(hidden...).Replace(text)
	if cut { // at its end, there may be a part of one
		text = text[:max(0, len(text)-longest)]
	}
	if len(text) <= most && !cut {
		return text
	}
	return strings.ToValidUTF8(text[:min(len(text), most-len("…"))], "") + "…"
}

// oneLine leaves out what is no text: if it stood between the characters of a
// secret, it would else hide it until it is left out.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.Join(strings.Fields(text), " ")
}

// leastEncoded is how long a part of base64 must be: fewer characters would be in
// any text.
const leastEncoded = 4

// forms are how a secret may appear in what the other side says: as it is, as in
// URLs and in quotes, and in base64 with something before it, such as a user's name.
func forms(secret string) []string {
	quoted := strconv.Quote(secret)
	inJSON, _ := json.Marshal(secret) //nolint:errcheck // a string
	list := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), quoted[1 : len(quoted)-1], string(inJSON[1 : len(inJSON)-1])}
	for i := range list {
		list[i] = oneLine(list[i])
	}
	for before := range 3 { // characters that depend on what is before and after are left out
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), secret...))
		from, to := []int{0, 2, 3}[before], len(encoded)
		if (before+len(secret))%3 != 0 {
			to--
		}
		if to-from >= leastEncoded {
			list = append(list, encoded[from:to])
		}
	}
	return slices.DeleteFunc(list, func(form string) bool { return form == "" })
}
