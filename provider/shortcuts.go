// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// EnvShortcuts is the environment variable that says which of the shorter ways
// past the framework the provider takes: all of them unless it is set. "off" is
// for none, and a list for some: validate, upgrade, read, plan, with commas.
// Whatever it says, plans are the same. It is there to find out whether one of
// the ways is to blame for something, and what each of them saves.
const EnvShortcuts = "PACHYDERM_PROVIDER_SHORTCUTS"

// shortcuts are those that are taken.
type shortcuts struct{ validate, upgrade, read, plan bool }

func (s *shortcuts) named() map[string]*bool {
	return map[string]*bool{"validate": &s.validate, "upgrade": &s.upgrade, "read": &s.read, "plan": &s.plan}
}

// shortcutsIn are those that the environment asks for. What it names besides is
// not there: see [shortcutsProblem].
func shortcutsIn(getenv func(string) string) (s shortcuts) {
	wanted := getenv(EnvShortcuts)
	for name, taken := range s.named() {
		*taken = wanted == "" || slices.Contains(strings.Split(wanted, ","), name)
	}
	return s
}

// shortcutsProblem says what is wrong with the variable, "" if nothing is.
func shortcutsProblem(getenv func(string) string) string {
	wanted := getenv(EnvShortcuts)
	if wanted == "" || wanted == "off" {
		return ""
	}
	names := (&shortcuts{}).named()
	for name := range strings.SplitSeq(wanted, ",") {
		if _, ok := names[name]; !ok {
			return fmt.Sprintf("%s = %q has %q. It must be \"off\", or a list of %s with commas between them. Unset it to take all shortcuts.",
				EnvShortcuts, wanted, name, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
		}
	}
	return ""
}
