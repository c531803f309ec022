// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// nasty is a text that would do harm as markup. Kafka would not take it as a
// topic's name; error texts come from anywhere.
const nasty = `<img src=x onerror="document.title='harmed'"></script><script>document.title='harmed'</script>&amp;`

// told is a runner with a fixed status.
type told struct {
	status ingest.Status
	hung   string
}

func (r told) Health() ingest.Health { return r.status.Health }
func (r told) Hung() string          { return r.hung }
func (r told) Status() ingest.Status { return r.status }

// stalled is a runner with half an hour of history whose storage stalls.
func stalled() told {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	seconds := 42.5
	records := int64(123456)
	s := ingest.Status{Version: "1.2.3", Writer: "pod/abc", Project: "default", Repo: "orders", Branch: "master", Source: "kafka", Now: now, Started: now.Add(-time.Hour), Epoch: 7,
		Health: ingest.Health{Status: "ingesting", Problems: []string{"waiting for commit c9 to be FINISHED by Pachyderm, for 32s", nasty}},
		Totals: ingest.StatusTotals{Records: 1e6, Commits: map[spoutcommit.Reason]int64{"bytes": 40, "age": 2}},
		Words:  ingest.StatusWords{Stream: "topic", Partition: "partition"},
		Memory: ingest.StatusMemory{Source: 10 << 20, Files: 100 << 20, Budget: 256 << 20},
		Lag: ingest.StatusLag{Records: 123457, Seconds: 42.5, Count: 2, Unreadable: 1,
			Partitions: []ingest.PartitionLag{{Stream: nasty, Partition: 3, Records: &records, Seconds: &seconds}, {Stream: "refunds"}}}}
	for i := range 360 {
		s.History = append(s.History, ingest.Sample{Time: now.Add(time.Duration(i-360) * 5 * time.Second), Read: int64(i * (1000 + i%60*50)), Records: int64(i * 1000), Bytes: int64(i * 1 << 20),
			LagRecords: int64(i * 300), LagSeconds: float64(i % 90), Memory: int64(i%50) << 20})
	}
	for i := range 42 {
		s.Commits = append(s.Commits, ingest.CommitStatus{ID: strings.Repeat("c9", 16), Finished: now.Add(time.Duration(i-42) * 30 * time.Second), Reason: "bytes",
			Records: int64(20000 + i*i*10), Bytes: 64 << 20, Files: 4, BatchSeconds: 29.5, UploadSeconds: 12, CommitSeconds: 0.05 + float64(i%7)/10})
	}
	return told{status: s}
}

// get asks the handler, as a browser would over the network.
func get(t *testing.T, r Runner, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Host = "localhost:9464"
	Handler(r, http.NotFoundHandler(), newAccess(settings.HTTP{})).ServeHTTP(answer, request)
	return answer
}

func TestReadyTellsWhyNot(t *testing.T) {
	t.Parallel()
	r := stalled()
	answer := get(t, r, PathReady)
	body := answer.Body.String()
	if answer.Code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "not ready: ingesting\nwaiting for commit c9 to be FINISHED by Pachyderm, for 32s\n") ||
		!strings.HasPrefix(answer.Header().Get("Content-Type"), "text/plain") || answer.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error(answer.Code, answer.Header(), body)
	}
	r.status.Health = ingest.Health{Ready: true, Status: "ingesting"}
	if answer := get(t, r, PathReady); answer.Code != http.StatusOK || answer.Body.String() != "ready: ingesting\n" {
		t.Error(answer.Code, answer.Body)
	}
	if answer := get(t, r, PathHealth); answer.Code != http.StatusOK || answer.Body.String() != "ok\n" {
		t.Error(answer.Code, answer.Body)
	}
	r.hung = "stands still"
	if answer := get(t, r, PathHealth); answer.Code != http.StatusServiceUnavailable || answer.Body.String() != "stands still\n" {
		t.Error(answer.Code, answer.Body)
	}
	if answer := get(t, r, "/else"); answer.Code != http.StatusNotFound {
		t.Error(answer.Code)
	}
}

func TestStatusIsJSON(t *testing.T) {
	t.Parallel()
	answer := get(t, stalled(), PathStatus)
	var s ingest.Status
	if err := json.Unmarshal(answer.Body.Bytes(), &s); err != nil || answer.Header().Get("Content-Type") != "application/json" {
		t.Fatal(answer.Header(), err)
	}
	if s.Lag.Partitions[0].Stream != nasty || s.Ready || len(s.History) != 360 || len(s.Problems) != 2 {
		t.Error(s)
	}
}

// TestPageNeedsNothingElse: no address of another server, and a policy that
// lets run what is in the page and nothing more.
func TestPageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	answer := get(t, stalled(), PathPage)
	body := answer.Body.String()
	for _, address := range regexp.MustCompile(`https?://[^"' ]+`).FindAllString(body, -1) {
		if address != "http://www.w3.org/2000/svg" { // a name, not an address
			t.Error(address)
		}
	}
	policy := answer.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Count(policy, "'sha256-") != 2 {
		t.Error(policy)
	}
	if n := strings.Count(body, "<script>") + strings.Count(body, "<style>"); n != 2 {
		t.Errorf("%d styles and scripts; the policy is made for one each", n)
	}
	for _, unsafe := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("} {
		if strings.Contains(body, unsafe) {
			t.Errorf("%s takes data for markup", unsafe)
		}
	}
}
