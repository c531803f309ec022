// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// stateConfigs are the configurations whose states are kept in
// testdata/state, by schema version, as Terraform stored them.
var stateConfigs = map[string]object{
	"pachyderm_spout": merged(kafkaSpout(nil), object{
		"description": "Orders", "force_destroy": true, "restart_triggers": object{"secret": "2026-01-31T00:00:00Z"},
		"timeouts": object{"create": "5m"},
		"kafka": object{"brokers": []any{"kafka:9092"}, "topics": []any{"orders", "payments"}, "start": "latest", "isolation": "read_committed", "fetch_max_bytes": "1024KiB",
			"tls":  object{"server_name": "kafka.example.com"},
			"sasl": object{"mechanism": "plain", "credentials_secret": object{"name": "kafka-user"}}},
		"batch": object{"max_bytes": "32Mi", "max_records": 1000, "max_age": "2000ms"},
		"file":  object{"format": "jsonl", "compression": "zstd"},
	}),
	"pachyderm_pipeline":     {"name": "edges", "spec": spec(nil), "keep_output_repo": true, "timeouts": object{"update": "1m"}},
	"pachyderm_project":      {"name": "shop", "description": "Shop"},
	"pachyderm_repo":         {"name": "images", "description": "Images", "force_destroy": true, "timeouts": object{"delete": "5m"}},
	"pachyderm_branch":       {"repo": "events", "name": "batched", "trigger": object{"branch": "master", "size": "1MB"}},
	"pachyderm_secret":       {"name": "kafka-user", "labels": object{"team": "shop"}, "data_wo": object{"password": "x"}, "data_wo_version": 1},
	"pachyderm_role_binding": {"resource": object{"type": "repo", "name": "images"}, "principal": "robot:ci", "roles": []any{"repoReader", "repoWriter"}},
}

// A state that any released schema version stored is read by this provider for
// what it was, and needs no change. A change of a schema that breaks this
// needs a new version, and an upgrader.
func TestStoredStatesAreUpgraded(t *testing.T) {
	t.Parallel()
	i := newInstanceOf(t, object{"address": "grpc://localhost:1"})
	for typeName := range i.schemas.ResourceSchemas {
		t.Run(typeName, func(t *testing.T) {
			t.Parallel()
			files, err := filepath.Glob(filepath.Join("testdata", "state", typeName+".v*.json"))
			if err != nil || int64(len(files)) != i.schemas.ResourceSchemas[typeName].Version+1 {
				t.Fatalf("the states of %d versions, of %d: %v", len(files), i.schemas.ResourceSchemas[typeName].Version+1, err)
			}
			for version, file := range files {
				upgradeStored(t, i.as(typeName), int64(version), file)
			}
		})
	}
}

func upgradeStored(t *testing.T, i *instance, version int64, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		SchemaVersion int64           `json:"schema_version"`
		Attributes    json.RawMessage `json:"attributes"`
	}
	if err := json.Unmarshal(text, &stored); err != nil || stored.SchemaVersion != version {
		t.Fatalf("%s: version %d: %v", file, stored.SchemaVersion, err)
	}
	upgraded, err := i.server.UpgradeResourceState(i.ctx, &tfprotov6.UpgradeResourceStateRequest{
		TypeName: i.typeName, Version: version, RawState: &tfprotov6.RawState{JSON: stored.Attributes}})
	if err != nil {
		t.Fatal(err)
	}
	if text := errorsIn(upgraded.Diagnostics); text != "" {
		t.Fatalf("%s: %s", file, text)
	}
	i.state = i.value(upgraded.UpgradedState)
	var was any
	if err := json.Unmarshal(stored.Attributes, &was); err != nil {
		t.Fatal(err)
	}
	if is := plain(t, i.state); version == i.schemas.ResourceSchemas[i.typeName].Version && !reflect.DeepEqual(is, withoutNulls(was)) {
		t.Errorf("%s is read as\n%v, and says\n%v", file, is, withoutNulls(was))
	}
	if i.changes(stateConfigs[i.typeName]) {
		t.Errorf("%s: the configuration that made it changes something", file)
	}
}

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := object{}
		for name, child := range v {
			if child != nil {
				out[name] = withoutNulls(child)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, child := range v {
			out = append(out, withoutNulls(child))
		}
		return out
	}
	return v
}
