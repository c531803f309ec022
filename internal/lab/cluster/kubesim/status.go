// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
)

// WritePods prints a line for each container of each worker pod of the server at url, which may be another process's.
func WritePods(ctx context.Context, w io.Writer, url, namespace string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/namespaces/"+namespace+"/pods?labelSelector=component%3Dworker", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var list object
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return fmt.Errorf("pods: %w", err)
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "POD\tADDRESS\tCONTAINER\tREADY\tRESTARTS\tSTATE\tLAST EXIT")
	for _, pod := range listAt(list, "items") {
		for _, c := range listAt(pod, "status", "containerStatuses") {
			state, lastExit := "", "-"
			for name, detail := range at(c, "state") {
				state = name
				if d, ok := detail.(object); ok && textAt(d, "reason") != "" {
					state += ": " + textAt(d, "reason")
				}
			}
			if t := at(c, "lastState", "terminated"); t != nil {
				lastExit = fmt.Sprint(t["exitCode"])
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%v\t%v\t%s\t%s\n", nameOf(pod), textAt(pod, "status", "podIP"), textAt(c, "name"), c["ready"], c["restartCount"], state, lastExit)
		}
	}
	return table.Flush()
}
