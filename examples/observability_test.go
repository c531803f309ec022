// SPDX-License-Identifier: Apache-2.0

package examples_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

const observability = "observability"

var metricName = regexp.MustCompile(`\bspout[_:][a-z0-9_:]+`)

// servedMetrics are the names of all series that a runner serves, but for
// those that it only has while it reads a source.
func servedMetrics(t *testing.T) map[string]bool {
	t.Helper()
	in, err := ingest.New(ingest.Config{Settings: settings.Default(), Branch: (&pachyderm.Client{}).Branch("p", "r", "b"),
		Log: hclog.NewNullLogger(), Metrics: ingest.NewMetrics()})
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	in.Metrics.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	names := map[string]bool{"spout_lag_records": true, "spout_lag_seconds": true, "spout_source_refused_requests_total": true, "spout_source_retained_bytes": true}
	for line := range strings.Lines(page.Body.String()) {
		if name := metricName.FindString(line); name != "" && !strings.HasPrefix(line, "#") {
			names[name] = true
		}
	}
	for _, m := range ingest.MetricTable {
		if m.Type != "histogram" && !names[m.Name] {
			t.Errorf("%s is not served", m.Name)
		}
	}
	return names
}

// TestRulesNameMetricsThatExist: a name that was mistyped would be an alert
// that never fires.
func TestRulesNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	served := servedMetrics(t)
	recorded := regexp.MustCompile(`(?m)^ +- record: (\S+)$`)
	for _, file := range []string{"recording-rules.yaml", "alert-rules.yaml", "alert-rules.test.yaml"} {
		text, err := os.ReadFile(filepath.Join(observability, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range recorded.FindAllSubmatch(text, -1) {
			served[string(found[1])] = true
		}
		names := metricName.FindAllString(string(text), -1)
		for _, name := range names {
			if !served[name] {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
	}
}

// dashboard is what matters of Grafana's model of a dashboard.
type dashboard struct {
	UID           string
	Title         string
	ID            *int
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID         int
		Type       string
		Title      string
		Datasource source
		GridPos    struct{ X, Y, W, H int }
		Targets    []struct {
			RefID, Expr, LegendFormat string
			Datasource                source
		}
	}
}

type source struct{ Type, UID string }

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(observability, "dashboard.json"))
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestTheDashboardImports: it has what Grafana asks of a dashboard, refers to
// no data source of another installation, and shows metrics that exist.
func TestTheDashboardImports(t *testing.T) {
	t.Parallel()
	d, served := readDashboard(t), servedMetrics(t)
	if d.UID == "" || len(d.UID) > 40 || d.Title == "" || d.ID != nil || d.SchemaVersion < 36 {
		t.Errorf("uid %q, title %q, id %v, schemaVersion %d", d.UID, d.Title, d.ID, d.SchemaVersion)
	}
	variables := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
	}
	used := regexp.MustCompile(`\$\{?([a-zA-Z_]+)`)
	check := func(where, expr string) {
		for _, name := range metricName.FindAllString(expr, -1) {
			if !served[name] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
		for _, v := range used.FindAllStringSubmatch(expr, -1) {
			if !variables[v[1]] {
				t.Errorf("%s: there is no variable %s", where, v[1])
			}
		}
	}
	for _, v := range d.Templating.List {
		check(v.Name, v.Definition)
	}
	own := source{"prometheus", "${datasource}"}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Type == "" || p.Title == "" || p.Datasource != own || len(p.Targets) == 0 {
			t.Errorf("panel %d, %q: type %q, data source %v, %d queries", p.ID, p.Title, p.Type, p.Datasource, len(p.Targets))
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := cells[[2]int{x, y}]; taken || x >= 24 {
					t.Fatalf("panel %q is not inside of the grid, or covers %q", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if refs[q.RefID] || q.RefID == "" || q.Datasource != own || !metricName.MatchString(q.Expr) {
				t.Errorf("panel %q, query %q: %s", p.Title, q.RefID, q.Expr)
			}
			refs[q.RefID] = true
			check(p.Title, q.Expr)
		}
	}
}

// TestRulesAsPromtoolSeesThem checks rules and queries with Prometheus' own
// tool, where it is at hand.
func TestRulesAsPromtoolSeesThem(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on PATH; it is in Debian's package prometheus")
	}
	promtool := func(arguments ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tool, arguments...)
		cmd.Dir = observability
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, out)
		}
	}
	promtool("check", "rules", "recording-rules.yaml", "alert-rules.yaml")
	promtool("test", "rules", "alert-rules.test.yaml")

	// Debian's is built without the discovery of Kubernetes.
	scrape, err := os.ReadFile(filepath.Join(observability, "scrape-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Replace(string(scrape), "kubernetes_sd_configs:\n      - role: pod\n", "file_sd_configs: [{ files: [pods.json] }]\n", 1)
	config := filepath.Join(t.TempDir(), "scrape-config.yaml")
	if err := os.WriteFile(config, []byte(found), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool("check", "config", "--syntax-only", config)

	// The dashboard's queries as rules.
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	fill := regexp.MustCompile(`\$[a-z_]+`)
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			expr := fill.ReplaceAllString(strings.ReplaceAll(q.Expr, "$__rate_interval", "5m"), ".*")
			rules = append(rules, rule{"query:" + q.RefID, expr})
		}
	}
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool("check", "rules", "--lint=none", file)
}

// TestEveryAlertSaysWhatToDo: whoever is woken by one finds a row in the guide.
func TestEveryAlertSaysWhatToDo(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile(filepath.Join(observability, "alert-rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../templates/guides/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\S+)$`).FindAllSubmatch(rules, -1)
	if len(alerts) == 0 {
		t.Fatal("there are no alerts")
	}
	for _, alert := range alerts {
		if !strings.Contains(string(guide), "\n| `"+string(alert[1])+"` |") {
			t.Errorf("templates/guides/operations.md has no row for %s", alert[1])
		}
	}
}
