// SPDX-License-Identifier: Apache-2.0

package terraformcli

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Children returns the processes that a command line has started and that run
// the program, so that tests can end a provider.
func Children(parent *os.Process, program string) ([]*os.Process, error) {
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []*os.Process
	for _, entry := range entries {
		// pid (name) state parent …; the name may hold anything.
		stat, err := os.ReadFile(filepath.Join(entry, "stat"))
		exe, linkErr := os.Readlink(filepath.Join(entry, "exe"))
		if err != nil || linkErr != nil || exe != program {
			continue // gone meanwhile, or something else
		}
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) < 2 || fields[1] != strconv.Itoa(parent.Pid) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			return nil, err
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			return nil, err
		}
		found = append(found, process)
	}
	return found, nil
}
