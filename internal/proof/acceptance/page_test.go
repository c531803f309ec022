// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/browsertest"
)

// shown is what the status page shows.
type shown struct {
	Title, Health, Footer string
	Problems              int
	Now                   []string // of the charts
	Curves                []string
	Commits, Partitions   int // rows
}

const readPage = `({
	title: document.title, health: document.getElementById("health").textContent, footer: document.getElementById("footer").textContent,
	problems: document.querySelectorAll("#problems li").length,
	now: [...document.querySelectorAll(".now")].map(e => e.textContent),
	curves: [...document.querySelectorAll(".curve")].map(e => e.getAttribute("d")),
	commits: document.querySelectorAll("#recent tr").length, partitions: document.querySelectorAll("#partitions tr").length,
})`

// TestStatusPage keeps the status page of a runner in its pod open in a browser
// while records come: its figures and charts move, and nothing goes wrong in it.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	browsertest.Find(t) // before a spout is made
	s := newSpout(t, 2)
	s.apply(s.config(""))
	await(t, "the runner answers", func() (bool, error) {
		_, body, err := s.get("/readyz")
		return body == "ready: ingesting\n", err
	})
	url, err := s.url("/")
	if err != nil {
		t.Fatal(err)
	}
	page := browsertest.Open(t, url)
	var before shown
	await(t, "the page shows an idle runner", func() (bool, error) {
		page.Eval(readPage, &before)
		return before.Title == "spout@master" && before.Health == "ready: ingesting" && before.Problems == 0 && len(before.Now) == 8 &&
			before.Partitions == 2 && strings.Contains(before.Footer, " 0 records in "), fmt.Errorf("it shows %+v", before)
	})
	for total := 300; total <= 900; total += 300 {
		s.produce(300)
		var after shown
		await(t, "the page shows the new records", func() (bool, error) {
			page.Eval(readPage, &after)
			return strings.Contains(after.Footer, fmt.Sprintf(" %d records in ", total)) && after.Commits > before.Commits &&
				!slices.Equal(after.Now, before.Now) && !slices.Equal(after.Curves, before.Curves), fmt.Errorf("it shows %+v", after)
		})
		before = after
	}
	if list := page.Complaints(); len(list) > 0 {
		t.Errorf("the browser complains: %s", strings.Join(list, "\n"))
	}
}
