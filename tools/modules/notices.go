// SPDX-License-Identifier: Apache-2.0

package modules

import (
	"fmt"
	"strings"
)

// Notices is the text that goes with a program: what its modules' licences and
// notices say, each text once.
func Notices(program string, modules []Module) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s contains code of these Go modules:\n\n", program)
	holders := map[string][]string{}
	var order []string
	for _, m := range modules {
		fmt.Fprintf(&out, "  %s %s (%s)\n", m.Path, m.Version, m.Licence)
		for _, f := range m.Files {
			text := strings.TrimSpace(strings.ReplaceAll(f.Text, "\r\n", "\n"))
			if len(holders[text]) == 0 {
				order = append(order, text)
			}
			holders[text] = append(holders[text], m.Path+": "+f.Name)
		}
	}
	for _, text := range order {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(holders[text], "\n"), text)
	}
	return out.String()
}
