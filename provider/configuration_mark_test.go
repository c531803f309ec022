// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// What an interrupted apply of the same configuration has left is taken over
// if it is what is planned; whatever else is there is somebody else's.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for typeName, config := range map[string]func(object) object{
		"pachyderm_spout":    kafkaSpout,
		"pachyderm_pipeline": func(changes object) object { return merged(object{"name": "edges", "spec": spec(changes)}, nil) },
	} {
		described := object{"description": "another"}
		for name, c := range map[string]struct {
			left  object // what the interrupted apply was of
			then  func(left *instance)
			later time.Duration
			other bool // configuration
			taken bool
		}{
			"as planned":            {taken: true},
			"another configuration": {other: true},
			"another specification": {left: described},
			"updated since":         {left: described, then: func(left *instance) { left.must(left.apply(config(nil))) }},
			"stopped since":         {then: func(left *instance) { left.must(left.apply(merged(config(nil), object{"paused": true}))) }},
			"long ago":              {later: 100 * time.Hour},
		} {
			t.Run(typeName+"/"+name, func(t *testing.T) {
				t.Parallel()
				eachVersion(t, func(t *testing.T, s *pachtest.Server) {
					withImages(t, s)
					left := newInstance(t, s, WithConfiguration("a")).as(typeName)
					left.must(left.apply(config(c.left)))
					if c.then != nil {
						c.then(left)
					}
					configuration := "a"
					if c.other {
						configuration = "b"
					}
					writes := s.Writes()
					next := newInstance(t, s, WithConfiguration(configuration), WithClock(func() time.Time { return time.Now().Add(c.later) })).as(typeName)
					diagnostics := next.apply(config(nil))
					if !c.taken {
						if err := contains(errorsIn(diagnostics), "exists already", "terraform import"); err != nil {
							t.Error(err)
						}
						return
					}
					next.must(diagnostics)
					if err := contains(warningsIn(diagnostics), "is taken over"); err != nil {
						t.Error(err)
					}
					settles(t, s, next, config(nil))
					if s.Writes() != writes {
						t.Error("something was sent")
					}
					// Two resources of one name do not share a pipeline.
					if err := contains(errorsIn(next.as(typeName).apply(config(nil))), "exists already"); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// Folder, workspace and backend tell one configuration from another.
func TestThisConfiguration(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	workspace := ""
	now := func() string {
		return thisConfiguration(func(name string) string {
			return map[string]string{"TF_DATA_DIR": data, "TF_WORKSPACE": workspace}[name]
		})
	}
	seen := map[string]bool{}
	differs := func(what string) {
		t.Helper()
		told, again := now(), now()
		if seen[told] || told == "" || told != again {
			t.Errorf("%s does not tell it from others", what)
		}
		seen[told] = true
	}
	differs("the folder")
	workspace = "production"
	differs("TF_WORKSPACE")
	for _, name := range []string{"environment", "terraform.tfstate"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		differs(name)
	}
	mark := newConfigurationMark("a")
	salt := mark.salt(orders)
	if !mark.made(orders, salt) || mark.made(edges, salt) || newConfigurationMark("b").made(orders, salt) || mark.salt(orders) == salt || mark.made(orders, "") {
		t.Error("a mark does not prove what it is for")
	}
	if none := newConfigurationMark(""); none.salt(orders) != "" || none.made(orders, salt) {
		t.Error("what cannot be told from others has a mark")
	}
}
