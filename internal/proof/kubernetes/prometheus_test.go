// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
)

// fetchPrometheus unpacks Debian's Prometheus into a folder if there is none on
// PATH. Where it cannot be had, its test is skipped.
func fetchPrometheus(ctx context.Context, dir string) error {
	if _, err := exec.LookPath("prometheus"); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", "apt-get download -qq prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("fetching Debian's package prometheus: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// prometheus is a Prometheus that runs. Debian's is built without the discovery
// of Kubernetes, so it reads from a file what that finds.
type prometheus struct{ address, pods string }

// find writes what the role pod of kubernetes_sd_configs finds of pods, as its
// documentation says: a target for each port that a container declares.
func (p prometheus) find(pods []kubernetes.Pod) error {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	var groups []group
	for _, pod := range pods {
		if pod.Status.PodIP == "" {
			continue
		}
		labels := map[string]string{"namespace": pod.Metadata.Namespace, "pod_name": pod.Metadata.Name, "pod_ip": pod.Status.PodIP, "pod_phase": pod.Status.Phase}
		unsafe := regexp.MustCompile(`[^a-zA-Z0-9_]`)
		for kind, values := range map[string]map[string]string{"label": pod.Metadata.Labels, "annotation": pod.Metadata.Annotations} {
			for name, value := range values {
				labels["pod_"+kind+"_"+unsafe.ReplaceAllString(name, "_")] = value
			}
		}
		var spec struct {
			Containers, InitContainers []struct {
				Name  string
				Ports []struct{ ContainerPort int }
			}
		}
		if err := json.Unmarshal(pod.Spec, &spec); err != nil {
			return err
		}
		for _, container := range slices.Concat(spec.Containers, spec.InitContainers) {
			g := group{Labels: map[string]string{"__meta_kubernetes_pod_container_name": container.Name}}
			for name, value := range labels {
				g.Labels["__meta_kubernetes_"+name] = value
			}
			for _, port := range container.Ports {
				g.Targets = append(g.Targets, fmt.Sprintf("%s:%d", pod.Status.PodIP, port.ContainerPort))
			}
			if len(container.Ports) == 0 {
				g.Targets = []string{pod.Status.PodIP}
			}
			groups = append(groups, g)
		}
	}
	text, err := json.Marshal(groups)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.pods+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(p.pods+".new", p.pods)
}

// get asks Prometheus for something.
func (p prometheus) get(ctx context.Context, path string, query url.Values, data any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.address+"/api/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s %v: %s", path, query, answer.Error)
	}
	return nil
}

// series are the labels of what a query finds.
func (p prometheus) series(ctx context.Context, query string) (found []map[string]string, err error) {
	var data struct {
		Result []struct{ Metric map[string]string }
	}
	err = p.get(ctx, "query", url.Values{"query": {query}}, &data)
	for _, r := range data.Result {
		found = append(found, r.Metric)
	}
	return found, err
}

// startPrometheus runs one with the configuration and rules of the example, every
// second.
func startPrometheus(t *testing.T) prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		program = filepath.Join(os.Getenv(folderVariable), "usr", "bin", "prometheus")
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("there is no prometheus: it is in Debian's package of that name")
	}
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	example := filepath.Join(root, "examples", "observability")
	text, err := os.ReadFile(filepath.Join(example, "scrape-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	configuration := fmt.Sprintf("global: { scrape_interval: 1s, evaluation_interval: 1s }\nrule_files: [%q, %q]\n", filepath.Join(example, "recording-rules.yaml"), filepath.Join(example, "alert-rules.yaml")) + string(text)
	for old, replacement := range map[string]string{
		"kubernetes_sd_configs:\n      - role: pod\n": fmt.Sprintf("file_sd_configs: [{ files: [%q] }]\n", filepath.Join(dir, "pods.json")),
		"- job_name: kubernetes-pods\n":               "- job_name: kubernetes-pods\n    tls_config: { insecure_skip_verify: true }\n",
	} {
		if strings.Count(configuration, old) != 1 {
			t.Fatalf("the example has not one %q", old)
		}
		configuration = strings.Replace(configuration, old, replacement, 1)
	}
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	const address = "127.0.0.1:19090"
	var log bytes.Buffer
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus: %s", log.String())
		}
	})
	p := prometheus{"http://" + address, filepath.Join(dir, "pods.json")}
	eventually(t, "Prometheus answers", func(ctx context.Context) error { return ok(ctx, p.address+"/-/ready") })
	return p
}

// TestPrometheus: Prometheus finds the pods by the annotations of the provider,
// with the configuration of the example, and what it has of them bears the labels
// that rules and dashboard tell spouts apart by.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	c, l, _ := start(t)
	p := startPrometheus(t)
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: "scraped", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	certificate := authority.ForTest(t, "scraped").IssueForTest(t, "scraped")
	dir := t.TempDir()
	for name, text := range map[string]string{"tls.crt": certificate.Chain, "tls.key": certificate.Key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubectl(t, l, "create", "secret", "tls", "scraped-https", "--cert="+filepath.Join(dir, "tls.crt"), "--key="+filepath.Join(dir, "tls.key"))
	spouts := ""
	for name, more := range map[string]string{
		"scraped":       "",
		"scraped-https": `runner = { http_tls_secret = { name = "scraped-https" } }`,
		"unscraped":     `runner = { prometheus_scrape = false }`,
	} {
		spouts += fmt.Sprintf(`
resource "pachyderm_spout" %[1]q {
  name          = %[1]q
  image         = %[2]q
  force_destroy = true
  kafka         = { brokers = [%[3]s], topics = ["scraped"] }
  batch         = { max_age = "300ms" }
  %[4]s
}
`, name, image, broker.AddressList(), more)
	}
	w := written(t, c, spouts)
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	feed, stop := context.WithCancel(t.Context())
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for tick := time.Tick(100 * time.Millisecond); feed.Err() == nil; <-tick {
			_ = broker.Produce(feed, func(string, int32, int64, string) {}, &kgo.Record{Topic: "scraped", Partition: 1, Value: []byte("{}")})
		}
	}()
	defer func() { stop(); <-fed }()

	eventually(t, "Prometheus has the targets", func(ctx context.Context) error {
		pods, err := l.Pods(ctx, "default", "app=pipeline")
		if err != nil {
			return err
		}
		if err := p.find(pods); err != nil {
			return err
		}
		var data struct {
			ActiveTargets []struct {
				Labels                       map[string]string
				ScrapeURL, Health, LastError string
			}
		}
		if err := p.get(ctx, "targets", nil, &data); err != nil {
			return err
		}
		urls := map[string][]string{}
		for _, target := range data.ActiveTargets {
			name := target.Labels["pipelineName"]
			if !strings.Contains(name, "scraped") {
				continue // another test's
			}
			urls[name] = append(urls[name], target.ScrapeURL)
			if target.Health != "up" {
				return fmt.Errorf("%s is %s: %s", target.ScrapeURL, target.Health, target.LastError)
			}
			for label, want := range map[string]string{"namespace": "^default$", "pipelineProject": "^default$", "pod": "^default-" + name + "-v1-"} {
				if !matches(want, target.Labels[label]) {
					return fmt.Errorf("%s of %s is %q", label, name, target.Labels[label])
				}
			}
		}
		for name, want := range map[string]string{"scraped": "^http:.*:9464/metrics$", "scraped-https": "^https:.*:9464/metrics$"} {
			if len(urls[name]) != 1 || !matches(want, urls[name][0]) {
				return fmt.Errorf("targets of %s: %v", name, urls[name])
			}
		}
		if len(urls["unscraped"]) > 0 {
			return errors.New("what is not to be scraped is")
		}
		return nil
	})

	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(filepath.Join(root, "examples", "observability", "recording-rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range regexp.MustCompile(`(?m)^ +- record: (\S+)$`).FindAllSubmatch(rules, -1) {
		eventually(t, string(record[1])+" is recorded", func(ctx context.Context) error {
			found, err := p.series(ctx, string(record[1])+`{namespace="default",pipelineProject="default",pipelineName="scraped"}`)
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("%d series: %v", len(found), found)
			}
			return err
		})
	}
	text, err := os.ReadFile(filepath.Join(root, "examples", "observability", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	chosen := strings.NewReplacer("$namespace", "default", "$project", "default", "$pipeline", "scraped", "$__rate_interval", "1m")
	for _, v := range dashboard.Templating.List {
		parts := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition)
		if parts == nil {
			continue
		}
		var values []string
		if err := p.get(t.Context(), "label/"+parts[2]+"/values", url.Values{"match[]": {chosen.Replace(parts[1])}}, &values); err != nil || !slices.Contains(values, chosen.Replace("$"+v.Name)) {
			t.Errorf("the variable %s of the dashboard can be %v, %v", v.Name, values, err)
		}
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			eventually(t, panel.Title, func(ctx context.Context) error {
				found, err := p.series(ctx, chosen.Replace(target.Expr))
				if err == nil && len(found) == 0 {
					err = errors.New("no data for " + target.Expr)
				}
				return err
			})
		}
	}
}
