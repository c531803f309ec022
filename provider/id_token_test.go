// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// An id token is exchanged for a session once, which does what its owner may do.
func TestIDToken(t *testing.T) {
	t.Parallel()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		s := pachtest.New(t, pachtest.WithVersion(version), pachtest.WithAuth("root"))
		s.AddIDToken("planted-id-token", "jo@example.com", time.Now().Add(time.Hour))
		s.Grant("user:jo@example.com", "default", "", auth.ProjectOwnerRole)
		for name, i := range map[string]*instance{
			"attribute": newInstanceOf(t, object{"address": s.Address(), "id_token": "planted-id-token"}, onlyOnce),
			"variable":  newInstanceOf(t, object{"address": s.Address()}, onlyOnce, environment(map[string]string{"PACHYDERM_ID_TOKEN": "planted-id-token"})),
		} {
			repo := i.as("pachyderm_repo")
			before := count(s, "Authenticate")
			repo.must(repo.apply(object{"name": name}))
			repo.must(repo.refresh())
			if got := count(s, "Authenticate") - before; got != 1 {
				t.Errorf("%s: %d logins", version, got)
			}
			calls := s.Calls("CreateRepo")
			if got := calls[len(calls)-1].Principal; got != "user:jo@example.com" {
				t.Errorf("%s: %s made the repo", version, got)
			}
			secret := newInstanceOf(t, object{"address": s.Address(), "id_token": "planted-id-token"}, onlyOnce).as("pachyderm_project")
			if err := contains(errorsIn(secret.apply(object{"name": "other"})), "not authorized"); err != nil {
				t.Errorf("%s: %v", version, err)
			}
		}
	}
}

// What is wrong with an id token is said, and not what it is.
func TestIDTokenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithAuth("root"))
	s.AddIDToken("planted-expired", "jo@example.com", time.Now().Add(-time.Hour))
	for idToken, want := range map[string]string{"planted-wrong": "verify token", "planted-expired": "expired"} {
		i := newInstanceOf(t, object{"address": s.Address(), "id_token": idToken}, onlyOnce).as("pachyderm_repo")
		text := errorsIn(i.apply(object{"name": "a"}))
		if err := contains(text, "id token", want); err != nil {
			t.Error(err)
		}
		if strings.Contains(text, "planted") {
			t.Errorf("the message has the token in it: %s", text)
		}
	}
	// No other cluster than the one that is meant gets to see it.
	i := newInstanceOf(t, object{"address": s.Address(), "id_token": "planted", "cluster_deployment_id": "other"}, onlyOnce).as("pachyderm_repo")
	before := count(s, "Authenticate")
	if err := contains(errorsIn(i.apply(object{"name": "a"})), "deployment id"); err != nil || count(s, "Authenticate") != before {
		t.Errorf("sent to another cluster: %v", err)
	}
	// Without authentication, there is nobody to log in as.
	off := newInstanceOf(t, object{"address": pachtest.New(t).Address(), "id_token": "planted"}, onlyOnce).as("pachyderm_repo")
	off.must(off.apply(object{"name": "a"}))
}
