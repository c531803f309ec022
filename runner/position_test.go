// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/verify"
)

func TestHeldBranchIsPrinted(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	h := &heldBranch{Project: "default", Repo: "orders", Branch: "master", Looked: 9, RolledBack: 2, Open: true}
	for i, records := range []int64{5, 7, 9} { // newest first
		h.add(&pachyderm.Commit{ID: strings.Repeat("abc"[i:i+1], 3), Finished: now.Add(-time.Duration(i+1) * time.Minute)},
			spoutcommit.Description{Source: "kafka", Reason: "age", Written: records, Bytes: 10 * records, Files: 1}, 2)
	}
	h.Source = "kafka"
	if err := h.read(json.RawMessage(`{"cluster":"c","topics":{"t":{"partitions":{"10":[3,1],"2":[18,1]}}}}`)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := h.print(&out, now); err != nil {
		t.Fatal(err)
	}
	want := `orders@master of project default: 21 records in 3 commits, 210 bytes
2 of the newest 9 commits were rolled back and do not count
a commit is open

TOPIC  PARTITION  NEXT OFFSET
t      2          18
t      10         3

COMMIT  FINISHED              AGO   REASON  RECORDS  FILES  BYTES
aaa     2026-01-31T11:59:00Z  1m0s  age     5        1      50
bbb     2026-01-31T11:58:00Z  2m0s  age     7        1      70
`
	if out.String() != want || h.Identity != "c" {
		t.Errorf("%s\nshould be\n%s", &out, want)
	}
	for others, want := range map[int]string{0: "has not finished a commit yet", 3: "none of its 3 commits was made by the bundled runner"} {
		var out strings.Builder
		none := &heldBranch{Project: "default", Repo: "orders", Branch: "master", Others: others}
		if err := none.print(&out, now); err != nil || !strings.Contains(out.String(), want) || strings.Contains(out.String(), "0 records") {
			t.Errorf("%s: %v", &out, err)
		}
	}
	h.Source = "other"
	if err := h.read(nil); err == nil || !strings.Contains(err.Error(), "other") {
		t.Error(err)
	}
}

// TestTokensOfTheEnvironment: each variable that may hold a token is heeded.
func TestTokensOfTheEnvironment(t *testing.T) { // sets the environment: not parallel
	server := pachtest.New(t, pachtest.WithAuth("root-token"))
	server.AddIDToken("id-token", "somebody@example.com", time.Now().Add(time.Hour))
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("root-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{pachyderm.EnvToken: "root-token", pachyderm.EnvTokenFile: file, pachyderm.EnvIDToken: "id-token"}
	for name, value := range all {
		for other := range all {
			t.Setenv(other, "")
		}
		t.Setenv(name, value)
		_, _, _, err := branchTarget{Spout: "spout", Address: server.Address()}.open(t.Context()) //nolint:dogsled // there is none
		if err == nil || !strings.Contains(err.Error(), "there is no pipeline spout") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostileNames: what a Pachyderm says of commits changes nothing in a
// terminal but the lines it stands in.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	const hostile = "\x1b]52;c;cm0=\a\x1b[2J\u009b2Jx\x9by"
	h := &heldBranch{Project: "default", Repo: "orders", Branch: "master", Source: "kafka"}
	h.add(&pachyderm.Commit{ID: hostile}, spoutcommit.Description{Source: "kafka", Reason: hostile, Writer: hostile}, 1)
	if err := h.read(json.RawMessage(`{"cluster":"c","topics":{"\u001b[2J\u009b2J":{"partitions":{"1":[3,1]}}}}`)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := h.print(&out, time.Now()); err != nil || strings.ContainsAny(out.String(), "\x1b\a\u009b") || !utf8.ValidString(out.String()) {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestSettingsOfTheEnvironmentGoFirst(t *testing.T) {
	t.Parallel()
	env := map[string]string{"SPOUT_KAFKA_BROKERS": "inside:9092", "SPOUT_KAFKA_TOPICS": "t", "SPOUT_KAFKA_SASL_MECHANISM": "plain", "SPOUT_KAFKA_TLS": "true"}
	if _, err := settingsOf(env, nil); err == nil || !strings.Contains(err.Error(), "SPOUT_KAFKA_SASL_USERNAME") {
		t.Error("the missing login is not told:", err)
	}
	s, err := settingsOf(env, []string{"SPOUT_KAFKA_BROKERS=outside:9092", "SPOUT_KAFKA_SASL_USERNAME=u", "SPOUT_KAFKA_SASL_PASSWORD=p", "HOME=/"})
	if err != nil || s.Kafka.Brokers[0] != "outside:9092" || s.Kafka.Topics[0] != "t" {
		t.Error(s.Kafka, err)
	}
}

func TestExitCodesOfVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		result verify.Result
		code   int
	}{
		"same":       {verify.Result{}, 0},
		"differs":    {verify.Result{Report: audit.Report{Lost: 1}, Uncompared: 1}, 1},
		"uncompared": {verify.Result{Uncompared: 3, Because: "gone"}, 2},
	} {
		err := verdict(&c.result)
		if code := exitCode(err); (err == nil) != (c.code == 0) || err != nil && code != c.code {
			t.Errorf("%s: %v, exit code %d", name, err, code)
		}
		var out strings.Builder
		if err := (verifyCommand{JSON: true}).print(&out, &pachyderm.Branch{}, &c.result); err != nil || strings.Contains(out.String(), `"same": true`) != (c.code == 0) {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
	}
	if exitCode(errors.New("any other")) != 1 {
		t.Error("exit code of other errors")
	}
}
