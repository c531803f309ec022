// SPDX-License-Identifier: Apache-2.0

package promised

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/nats"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/webhook"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// again reads positions and writes them, as the runner of a source does.
var again = map[string]func(json.RawMessage) (json.RawMessage, error){
	"kafka":    rendered(kafka.Parse),
	"nats":     rendered(nats.Parse),
	"postgres": rendered(postgres.Parse),
	"rabbitmq": rendered(rabbitmq.Parse),
	"webhook":  rendered(webhook.Parse),
}

func rendered[P interface{ Render() json.RawMessage }](parse func(json.RawMessage) (P, error)) func(json.RawMessage) (json.RawMessage, error) {
	return func(raw json.RawMessage) (json.RawMessage, error) {
		p, err := parse(raw)
		if err != nil {
			return nil, err
		}
		return p.Render(), nil
	}
}

// Every description that a release has written is understood as it was, and
// written so again: a spout goes on where it was after an upgrade, and after a
// way back.
func TestDescriptionsAreReadAsEver(t *testing.T) {
	t.Parallel()
	name := filepath.Join("testdata", "descriptions.txt")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	sources := map[string]bool{}
	for _, kept := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		lines := strings.SplitN(kept, "\n", 3)
		if len(lines) < 2 || !strings.HasPrefix(lines[0], "# ") {
			t.Fatalf("not a line that begins with # and a description: %q", kept)
		}
		d, ours, err := spoutcommit.ParseDescription(lines[1])
		if err != nil || !ours {
			t.Errorf("%s: %v", lines[0], err)
			continue
		}
		sources[d.Source] = true
		if d.String() != lines[1] {
			t.Errorf("%s: it would be written as\n%s", lines[0], d)
		}
		if again, known := again[d.Source]; known && d.Position != nil {
			if p, err := again(d.Position); err != nil || string(p) != string(d.Position) {
				t.Errorf("%s: its position would be written as\n%s (%v)", lines[0], p, err)
			}
		}
		is, was := reading(d), ""
		if len(lines) > 2 {
			was = lines[2]
		}
		switch {
		case is == was:
		case was == "" && golden != "", golden == "break":
		case was == "":
			t.Errorf("%s: what is read from it is not written down: make golden", lines[0])
		default:
			t.Errorf("%s: it is read as\n%s\nand was read as\n%s", lines[0], is, was)
		}
		out = append(out, lines[0]+"\n"+lines[1]+"\n"+is)
	}
	for _, source := range settings.SourceNames() {
		if !sources[source] || again[source] == nil {
			t.Errorf("%s has no description of %s: write one of its commits there, and how it is read and written into this test, then make golden", name, source)
		}
	}
	if golden != "" && !t.Failed() {
		if err := os.WriteFile(name, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// reading is what the provider and the runner's commands take from a description.
func reading(d spoutcommit.Description) string {
	lines := []string{fmt.Sprintf("  %s by %s (%d), %q: read %d = written %d + filtered %d + dead-lettered %d + redelivered %d; %d files, %d bytes",
		d.Source, d.Writer, d.Epoch, d.Reason, d.Read, d.Written, d.Filtered, d.DeadLettered, d.Redelivered, d.Files, d.Bytes)}
	if d.Restored != "" {
		lines = append(lines, "  restored "+d.Restored)
	}
	for _, g := range d.Gaps {
		lines = append(lines, fmt.Sprintf("  gap: %s %s, partition %d, %d to %d, %s", g.StreamWord, g.Stream, g.Partition, g.From, g.To, g.Reason))
	}
	if d.Position == nil {
		return strings.Join(append(lines, "  no position"), "\n")
	}
	v, err := position.Parse(d.Source, d.Position)
	if err != nil {
		return strings.Join(append(lines, "  "+err.Error()), "\n")
	}
	lines = append(lines, fmt.Sprintf("  at %q, part %q, kind %q", v.Identity, v.Part, v.Kind))
	for _, m := range v.Marks {
		lines = append(lines, fmt.Sprintf("  next: %s/%d (generation %d): %d %s", m.Stream, m.Partition, m.Generation, m.Next, m.Text))
	}
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// A runner that meets what a newer one wrote says so, and does not go on as if
// nothing had been committed.
func TestANewerDescriptionIsRefused(t *testing.T) {
	t.Parallel()
	if _, ours, err := spoutcommit.ParseDescription(`spout/2 {"source":"kafka"}`); !ours || err == nil || !strings.Contains(err.Error(), "another release") {
		t.Errorf("ours: %v, %v", ours, err)
	}
	for source, again := range again {
		if source == "kafka" {
			continue // its positions are of the time before they had a version
		}
		if _, err := again(json.RawMessage(`{"v":2}`)); err == nil {
			t.Errorf("a position of %s of a newer version is read", source)
		}
	}
}
