// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

func guide(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	if err := writeRunnerGuide(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheGuideInDocsIsUpToDate(t *testing.T) {
	written, err := os.ReadFile(filepath.Join("..", "..", "docs", "guides", "runner.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != guide(t) {
		t.Error("docs/guides/runner.md differs from what internal/settings says: run make generate")
	}
}

func TestTheGuideNamesEveryVariableOnce(t *testing.T) {
	text := guide(t)
	for _, v := range settings.Variables() {
		if n := strings.Count(text, "\n| `"+v.Name+"` |"); n != 1 {
			t.Errorf("%s has %d rows", v.Name, n)
		}
	}
}

func TestTablesHaveThreeColumns(t *testing.T) {
	for line := range strings.Lines(guide(t)) {
		columns := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") - 1
		if strings.HasPrefix(line, "| `SPOUT_") && columns != 3 {
			t.Errorf("%d columns: %s", columns, line)
		}
	}
}

func TestTheExampleWithoutTerraformIsAccepted(t *testing.T) {
	spec, err := pipelineSpec()
	if err != nil {
		t.Fatal(err)
	}
	var pipeline struct {
		Transform struct {
			Env     map[string]string
			Secrets []struct {
				EnvVar string `json:"env_var"`
			}
		}
	}
	if err := json.Unmarshal([]byte(spec), &pipeline); err != nil {
		t.Fatal(err)
	}
	var environ []string
	for name, value := range pipeline.Transform.Env {
		environ = append(environ, name+"="+value)
	}
	for _, secret := range pipeline.Transform.Secrets {
		if !settings.IsSecret(secret.EnvVar) {
			t.Errorf("%s is no secret", secret.EnvVar)
		}
		environ = append(environ, secret.EnvVar+"=x")
	}
	if _, err := settings.Parse(environ); err != nil {
		t.Error(err)
	}
}
