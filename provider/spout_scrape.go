// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"maps"
	"slices"
	"strconv"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// Annotations by which Prometheus finds what to scrape in a cluster. It knows
// them from the configuration that its documentation and its charts have.
const (
	annotationScrape = "prometheus.io/scrape"
	annotationPort   = "prometheus.io/port"
	annotationPath   = "prometheus.io/path"
	annotationScheme = "prometheus.io/scheme"
)

func prometheusScrapeAttribute() schema.Attribute {
	return schema.BoolAttribute{Optional: true,
		MarkdownDescription: "Whether the spout's pod gets the annotations `" + annotationScrape + "`, `" + annotationPort + "`, `" + annotationPath + "` and, with `http_tls_secret`, `" + annotationScheme +
			"`, by which Prometheus finds the runner's metrics. Those in `metadata.annotations` go before. With `http_port = 0`, or with an `http_address` of the loopback, there are none. Default: `true`."}
}

// scrapeAnnotations are the annotations of a runner that serves its metrics,
// none if it serves them to nobody else.
func scrapeAnnotations(runner settings.Settings, secrets []pachyderm.Secret) map[string]string {
	if runner.HTTPPort == 0 || runner.HTTP.Loopback() {
		return nil
	}
	own := map[string]string{annotationScrape: "true", annotationPort: strconv.Itoa(runner.HTTPPort), annotationPath: "/metrics"}
	if slices.ContainsFunc(secrets, func(s pachyderm.Secret) bool { return s.EnvVar == "SPOUT_HTTP_TLS_CERT" }) {
		own[annotationScheme] = "https"
	}
	return own
}

// splitScrape takes the annotations out of a runner's specification that expand
// would put in again. scraped is false if they were not wanted.
func splitScrape(s pachyderm.Spec) (rest map[string]string, scraped bool) {
	runner := settings.Default()
	if text, ok := s.Env["SPOUT_HTTP_PORT"]; ok {
		runner.HTTPPort, _ = strconv.Atoi(text) //nolint:errcheck // the settings were parsed before
	}
	runner.HTTP.Address = s.Env["SPOUT_HTTP_ADDRESS"]
	own := scrapeAnnotations(runner, s.Secrets)
	for name := range own {
		if _, ok := s.Annotations[name]; !ok {
			return s.Annotations, false
		}
	}
	rest = maps.Clone(s.Annotations)
	maps.DeleteFunc(rest, func(name, value string) bool { return own[name] == value && own[name] != "" })
	return rest, true
}

// overlaid returns the entries of both maps, those of the second where both have one.
func overlaid(first, second map[string]string) map[string]string {
	if len(first) == 0 {
		return second
	}
	out := maps.Clone(first)
	maps.Copy(out, second)
	return out
}

// scrape checks that there is something to scrape where that is asked for.
func (v *spoutValidator) scrape() {
	l := leavesOf(map[string]types.Object{"runner": v.m.Runner})
	scrape, _ := l["runner.prometheus_scrape"].(types.Bool)
	if !scrape.ValueBool() {
		return
	}
	if port, ok := l.text("runner.http_port"); ok && port == "0" {
		v.fail("runner.prometheus_scrape", "runner.prometheus_scrape = true needs metrics to scrape, and runner.http_port = 0 turns them off. Take one of the two out.")
	}
	if address, ok := l.text("runner.http_address"); ok && (settings.HTTP{Address: address}).Loopback() {
		v.fail("runner.prometheus_scrape", "runner.prometheus_scrape = true needs metrics that Prometheus can reach, and with runner.http_address = %q only the pod itself can. Take one of the two out.", address)
	}
}
