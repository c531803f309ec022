// SPDX-License-Identifier: Apache-2.0

//go:build linux

package provider

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// foundObjects are objects of each resource, by what they are imported by.
var foundObjects = []struct {
	typeName, id string
	config       object
}{
	{"pachyderm_project", "team-a", object{"name": "team-a", "description": "Team A"}},
	{"pachyderm_repo", "team-a/events", object{"project": "team-a", "name": "events"}},
	{"pachyderm_branch", "team-a/events@batched", object{"project": "team-a", "repo": "events", "name": "batched", "trigger": object{"branch": "master", "commits": 3, "size": "100MB"}}},
	{"pachyderm_branch", "team-a/events@plain", object{"project": "team-a", "repo": "events", "name": "plain"}},
	{"pachyderm_secret", "kafka-user", object{"name": "kafka-user", "type": "kubernetes.io/basic-auth", "data_wo": object{"username": "u", "password": "p"}, "data_wo_version": 1}},
	{"pachyderm_role_binding", "repo/team-a/events/robot:ci", object{"resource": object{"type": "repo", "project": "team-a", "name": "events"}, "principal": "robot:ci", "roles": []any{"repoReader", "repoWriter"}}},
	{"pachyderm_role_binding", "cluster/robot:ci", object{"resource": object{"type": "cluster"}, "principal": "robot:ci", "roles": []any{"secretAdmin"}}},
	{"pachyderm_spout", "default/orders", kafkaSpout(object{"image": "mirror.example.com/spout-runner:1", "kafka.shard": "1/2",
		"kafka.sasl":          object{"mechanism": "oauthbearer", "token_url": "https://login.example.com/token", "scope": "kafka", "credentials_secret": object{"name": "kafka-user"}},
		"kafka.tls":           object{"ca_certificate": testPEM},
		"kafka.start_offsets": object{"orders": object{"0": 12.0}},
		"file":                object{"format": "parquet", "compression": "zstd"},
		"schema_registry":     object{"url": "https://registry.example.com", "token_secret": object{"name": "kafka-user", "key": "password"}},
		"records":             object{"filter": "key exists", "on_refused": "dead_letter"},
		"env":                 object{"A": "${literally} %{this}"}, "secret_mounts": object{"/secrets": "kafka-user"}, "paused": true,
		"tolerations": []any{object{"operator": "Exists"}}, "pod_patch": "[]", "resource_requests": object{"cpu": 0.1, "memory": "1Gi"}})},
	{"pachyderm_spout", "default/page", transformSpout(object{"name": "page", "service": object{"internal_port": 80.0, "external_port": 30080.0}, "metadata": object{"labels": object{"a": "b"}}})},
	{"pachyderm_pipeline", "default/copies", object{"name": "copies", "spec": `{"input":{"pfs":{"project":"team-a","repo":"events","glob":"/*"}},"transform":{"image":"busybox","cmd":["true"]}}`}},
}

// generatedData is what is generated for a secret's data, with a comment that
// each command line words in its own way.
var generatedData = regexp.MustCompile(`data_wo +=.*`)

// Terraform writes the configuration of all that there is, and once it has been
// taken over, there is nothing to change: not even a secret needs what it holds,
// until it is to hold something else.
func TestGeneratedConfigurationOfEachResource(t *testing.T) {
	t.Parallel()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := pachtest.New(t, pachtest.WithVersion(version), pachtest.WithAuth("root"))
			everything := newInstanceOf(t, object{"address": s.Address(), "auth_token": "root"})
			imports, missing := "", maps.Clone(everything.schemas.ResourceSchemas)
			for n, o := range foundObjects {
				i := everything.as(o.typeName)
				i.must(i.apply(o.config))
				delete(missing, o.typeName)
				imports += fmt.Sprintf("import {\n  to = %s.number%d\n  id = %q\n}\n", o.typeName, n, o.id)
			}
			if len(missing) > 0 {
				t.Fatalf("foundObjects has none of %v", slices.Collect(maps.Keys(missing)))
			}
			writes := s.Writes()
			p := newProcess(t, s, imports, nil, `auth_token = "root"`)
			p.run(0, "plan", "-generate-config-out=generated.tf")
			p.run(0, "apply", "-auto-approve")
			p.run(0, "plan", "-detailed-exitcode")
			if s.Writes() != writes {
				t.Error("taking over what there is has written something")
			}
			name := filepath.Join(p.Dir, "generated.tf")
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			// The one edit: what Pachyderm never shows.
			edited := generatedData.ReplaceAllString(string(text), `data_wo = { username = "u", password = "new" }`)
			edited = strings.Replace(edited, "data_wo_version = null", "data_wo_version = 1", 1)
			p.write("generated.tf", edited)
			p.run(0, "apply", "-auto-approve")
			p.run(0, "plan", "-detailed-exitcode")
			if got := s.SecretData("kafka-user")["password"]; got != "new" {
				t.Errorf("the secret holds %q; its configuration was generated as\n%s", got, text)
			}
		})
	}
}
