// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"io"
	"strings"
	"text/template"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

//go:embed monitoring.md.tmpl
var monitoringGuide string

// writeMonitoringGuide writes docs/guides/monitoring.md.
func writeMonitoringGuide(w io.Writer) error {
	guide, err := template.New("monitoring").Funcs(template.FuncMap{"cell": cell, "join": strings.Join}).Parse(monitoringGuide)
	if err != nil {
		return err
	}
	return guide.Execute(w, map[string]any{"Metrics": ingest.MetricTable, "Log": ingest.CommitLogFields(), "Status": ingest.StatusFields()})
}
