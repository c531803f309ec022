// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package senders

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/webhook"
)

// taken is a source whose records are committed at once.
type taken struct {
	url string

	mu      sync.Mutex
	records []source.Record
}

func (o *taken) values() (list []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.records {
		list = append(list, string(r.Value))
	}
	return list
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func take(t *testing.T, endpoints string, more func(*settings.Webhook)) *taken {
	t.Helper()
	s := settings.Default()
	s.Source, s.Webhook.Address, s.Webhook.AckTimeout = "webhook", "127.0.0.1", settings.Duration(20*time.Second)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Webhook.Port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Webhook.Endpoints.UnmarshalText([]byte(endpoints)); err != nil {
		t.Fatal(err)
	}
	scheme := "http"
	if more != nil {
		more(&s.Webhook)
		scheme = "https"
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	src, err := webhook.Make(s, source.Options{Memory: s.MemoryBudget / 4})
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Open(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	o := &taken{url: fmt.Sprintf("%s://127.0.0.1:%d", scheme, s.Webhook.Port)}
	ctx, cancel := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			chunk, err := src.Next(ctx)
			if err != nil {
				return
			}
			o.mu.Lock()
			for _, r := range chunk.Records {
				r.Value = append([]byte(nil), r.Value...)
				o.records = append(o.records, r)
			}
			o.mu.Unlock()
			src.Consume(chunk, len(chunk.Records))
			chunk.Release()
			src.Acknowledge(ctx, src.Position())
		}
	})
	t.Cleanup(func() {
		cancel()
		loop.Wait()
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// curl sends; the answer is its status and text.
func curl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	command, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	cmd := exec.CommandContext(t.Context(), command, append([]string{"-sS", "--max-time", "60", "--retry", "5", "--retry-all-errors", "-w", "%{http_code}"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("curl %q: %v %s", args, err, out)
	}
	return string(out)
}

func TestCurl(t *testing.T) {
	o := take(t, fmt.Sprintf(`{"any":{"auth":"none","allow_unauthenticated":true},"lines":{"auth":"none","allow_unauthenticated":true,"body":"ndjson"},"parts":{"auth":"none","allow_unauthenticated":true,"body":"multipart"},
		"github":{"auth":"github","secret_files":[%q]}}`, write(t, "secret", "key\n")), nil)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte("zipped")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write([]byte(`{"a":1}`))
	large := strings.Repeat("x", 3<<20) // curl asks first whether it may send that
	for _, c := range []struct {
		name, stdin string
		args        []string
		status      string
		values      []string
	}{
		{"a body", "", []string{"-d", "hello", o.url + "/any"}, "200", []string{"hello"}},
		{"chunks", "chunked", []string{"-H", "Transfer-Encoding: chunked", "-T", "-", "-X", "POST", o.url + "/any"}, "200", []string{"chunked"}},
		{"a large body", large, []string{"-H", "Expect: 100-continue", "--data-binary", "@-", o.url + "/any"}, "200", []string{large}},
		{"gzip", zipped.String(), []string{"-H", "Content-Encoding: gzip", "--data-binary", "@-", o.url + "/any"}, "200", []string{"zipped"}},
		{"lines", "{\"a\":1}\n{\"a\":2}\n", []string{"--data-binary", "@-", o.url + "/lines"}, "200", []string{`{"a":1}`, `{"a":2}`}},
		{"a form with a file", "", []string{"-F", "name=value", "-F", "file=@" + write(t, "x.csv", "1,2\n") + ";type=text/csv", o.url + "/parts"}, "200", []string{"value", "1,2\n"}},
		{"a signature", `{"a":1}`, []string{"-H", "X-Hub-Signature-256: sha256=" + hex.EncodeToString(mac.Sum(nil)), "--data-binary", "@-", o.url + "/github"}, "200", []string{`{"a":1}`}},
		{"another body than the signed one", `{"a":2}`, []string{"-H", "X-Hub-Signature-256: sha256=" + hex.EncodeToString(mac.Sum(nil)), "--data-binary", "@-", o.url + "/github"}, "401", nil},
		{"too large a body", strings.Repeat("x", 9<<20), []string{"-H", "Expect: 100-continue", "--data-binary", "@-", o.url + "/any"}, "413", nil},
		{"two requests on a connection", "", []string{"-d", "1", o.url + "/any", o.url + "/any"}, "200", []string{"1", "1"}},
		{"an upgrade to HTTP/2", "", []string{"--http2", "-d", "h2c", o.url + "/any"}, "200", []string{"h2c"}},
	} {
		n := len(o.values())
		if answer := curl(t, c.stdin, c.args...); !strings.HasSuffix(answer, c.status) {
			t.Errorf("%s: %.200s", c.name, answer)
		}
		if got := o.values()[n:]; !slices.Equal(got, c.values) {
			t.Errorf("%s: %.200q", c.name, got)
		}
	}
}

// files writes a certificate and its key.
func files(t *testing.T, c authority.Certificate) (certFile, keyFile string) {
	t.Helper()
	return write(t, "cert.pem", c.Chain), write(t, "key.pem", c.Key)
}

// Client certificates: of the authority and with a name that may send, or none.
func TestCurlWithCertificates(t *testing.T) {
	trusted, stranger := authority.ForTest(t, "authority"), authority.ForTest(t, "stranger")
	authorityFile := write(t, "authority.pem", trusted.PEM)
	serverCert, serverKey := files(t, trusted.IssueForTest(t, "runner", "runner", "127.0.0.1"))
	goodCert, goodKey := files(t, trusted.IssueForTest(t, "sender"))
	otherCert, otherKey := files(t, trusted.IssueForTest(t, "other"))
	falseCert, falseKey := files(t, stranger.IssueForTest(t, "sender"))
	o := take(t, fmt.Sprintf(`{"e":{"auth":"certificate","client_names":["sender"]},"b":{"auth":"bearer","secret_files":[%q]}}`, write(t, "secret", "token")), func(w *settings.Webhook) {
		w.CertFile, w.KeyFile, w.ClientCAFile = serverCert, serverKey, authorityFile
	})
	answers := func(status string, args ...string) {
		t.Helper()
		if answer := curl(t, "", append([]string{"--cacert", authorityFile, "-d", "x"}, args...)...); !strings.HasSuffix(answer, status) {
			t.Errorf("%.200s", answer)
		}
	}
	answers("200", "--cert", goodCert, "--key", goodKey, o.url+"/e")
	answers("401", "--cert", otherCert, "--key", otherKey, o.url+"/e")
	answers("401", o.url+"/e")
	answers("200", "-H", "Authorization: Bearer token", o.url+"/b")
	command := exec.CommandContext(t.Context(), "curl", "-sS", "--cacert", authorityFile, "-d", "x", "--cert", falseCert, "--key", falseKey, o.url+"/e")
	if out, err := command.CombinedOutput(); err == nil {
		t.Errorf("a certificate of another authority was taken: %s", out)
	}
	if got := o.values(); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

//go:embed testdata/send.py
var script string

//go:embed testdata/requirements.txt
var requirements string

// python is one with the libraries, in the user's cache.
func python(t *testing.T) string {
	t.Helper()
	base, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	sum := sha256.Sum256([]byte(base + requirements))
	dir := filepath.Join(cache, "terraform-provider-pachyderm", "senders-"+hex.EncodeToString(sum[:8]))
	command := filepath.Join(dir, "bin", "python")
	if exec.CommandContext(t.Context(), command, "-c", "import standardwebhooks, stripe, cloudevents").Run() == nil {
		return command
	}
	list := write(t, "requirements.txt", requirements)
	for _, args := range [][]string{{base, "-m", "venv", "--clear", dir}, {command, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "-r", list}} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("the senders' libraries cannot be had: %v %s", err, out)
		}
	}
	return command
}

// What the senders' own libraries sign is taken, and what they would not.
func TestLibrariesOfPython(t *testing.T) {
	command := python(t)
	const standard = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	o := take(t, fmt.Sprintf(`{"standard":{"auth":"standard","secret_files":[%q]},"stripe":{"auth":"stripe","secret_files":[%q]},"cloudevents":{"auth":"bearer","secret_files":[%q],"body":"cloudevents"}}`,
		write(t, "standard", standard), write(t, "stripe", "whsec_stripe"), write(t, "token", "token")), nil)
	secrets := fmt.Sprintf(`{"standard":%q,"stripe":"whsec_stripe","token":"token"}`, standard)
	out, err := exec.CommandContext(t.Context(), command, "-c", script, o.url, secrets).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		var answer struct {
			Name, Text string
			Status     int
		}
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got[answer.Name] = fmt.Sprintf("%d %s", answer.Status, strings.TrimSpace(answer.Text))
	}
	for name, want := range map[string]string{
		"standard": `200 {"records":1,"known":0}`, "standard, another body": "401 the signature is not right", "standard, old": "401 the timestamp is more than 5m away",
		"stripe": `200 {"records":1,"known":0}`, "stripe, again": `200 {"records":0,"known":1}`, "stripe, another secret": "401",
		"binary": `200 {"records":1,"known":0}`, "structured": `200 {"records":1,"known":0}`, "structured, bytes": `200 {"records":1,"known":0}`,
		"binary, again as structured": `200 {"records":0,"known":1}`, "batch": `200 {"records":2,"known":1}`,
	} {
		if !strings.HasPrefix(got[name], want) {
			t.Errorf("%s was answered with %q, should be %q", name, got[name], want)
		}
	}
	want := []string{`{"standard":1}`, `{"id":"evt_1","stripe":1}`, `{"cloudevents": 1}`, `{"cloudevents": 2}`, "\x00\xff", `{"cloudevents": 4}`, `{"cloudevents": 5}`}
	if values := o.values(); !slices.Equal(values, want) {
		t.Errorf("%q, should be %q", values, want)
	}
	for _, r := range o.records[2:] {
		subject := ""
		for name, value := range r.Headers.All() {
			if string(name) == "ce_subject" {
				subject = string(value)
			}
		}
		if subject != "Euro € 😀" || r.Timestamp != 1769817600000 {
			t.Errorf("%s has the subject %q and the time %d", r.Value, subject, r.Timestamp)
		}
	}
}
