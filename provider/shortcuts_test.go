// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// The environment says which shortcuts are taken, and a mistake in it is not
// passed over.
func TestShortcutsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	all := shortcuts{validate: true, upgrade: true, read: true, plan: true}
	for value, c := range map[string]struct {
		want    shortcuts
		problem string
	}{
		"":                           {want: all},
		"off":                        {},
		"read":                       {want: shortcuts{read: true}},
		"plan,validate,read,upgrade": {want: all},
		"read,none":                  {want: shortcuts{read: true}, problem: `"none"`},
		"read, plan":                 {want: shortcuts{read: true}, problem: `" plan"`},
		"off,read":                   {want: shortcuts{read: true}, problem: `"off"`},
	} {
		getenv := func(name string) string {
			if name == EnvShortcuts {
				return value
			}
			return ""
		}
		if got := shortcutsIn(getenv); got != c.want {
			t.Errorf("%q: %+v are taken", value, got)
		}
		s := pachtest.New(t)
		i, diagnostics := tryInstanceOf(t, object{"address": s.Address()}, WithGetenv(getenv))
		if text := errorsIn(diagnostics); (c.problem == "") != (text == "") || !strings.Contains(text, c.problem) {
			t.Errorf("%q: %s", value, text)
		}
		if c.problem != "" {
			continue
		}
		i.must(i.apply(kafkaSpout(nil)))
		if planned, diagnostics := i.plan(kafkaSpout(nil)); errorsIn(diagnostics) != "" || !i.value(planned.PlannedState).Equal(i.state) {
			t.Errorf("%q: a plan of what has not changed is not empty %s", value, errorsIn(diagnostics))
		}
	}
}
