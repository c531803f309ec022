// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"encoding/json"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
)

// TestImportOfPachctlsJSON brings spouts that pachctl has made from JSON under
// Terraform, which writes their configuration and changes nothing.
func TestImportOfPachctlsJSON(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	s := &spout{t: t, cluster: c, project: newProject(t, c)}
	for name, transform := range map[string]map[string]any{
		"own": {"image": "debian:12", "cmd": []string{"/bin/sh"}, "stdin": []string{"sleep 1000000"}, "env": map[string]string{"TOPIC": "orders"}},
		"bundled": {"image": image, "cmd": []string{"/spout-runner"}, "env": map[string]string{"SPOUT_SOURCE": "kafka", "SPOUT_KAFKA_BROKERS": "127.0.0.1:1",
			"SPOUT_KAFKA_TOPICS": "orders", "SPOUT_HTTP_PORT": "0", "SPOUT_BATCH_MAX_AGE": "1s"}},
	} {
		spec, err := json.Marshal(map[string]any{
			"pipeline":  map[string]any{"name": name, "project": map[string]any{"name": s.project}},
			"spout":     map[string]any{},
			"transform": transform,
			"metadata":  map[string]any{"labels": map[string]string{"team": "payments"}},
			"resourceRequests": map[string]any{
				"cpu": 0.1, "memory": "64M",
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.PachctlInput(t.Context(), string(spec), "create", "pipeline", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		s.testGeneratedConfig(address, name)
		raw, err := c.Pachctl(t.Context(), "inspect", "pipeline", name, "--project", s.project, "--raw", "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		var info struct{ Version string }
		if err := json.Unmarshal([]byte(raw), &info); err != nil || info.Version != "1" {
			t.Errorf("%s is at version %q: %v", name, info.Version, err)
		}
	}
}
