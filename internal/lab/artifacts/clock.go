// SPDX-License-Identifier: Apache-2.0

package artifacts

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ClockVariable is the environment variable that names the clock file of a
// program of [RunnerWithClock]: eight bytes in the order of the machine, the
// nanoseconds that its wall clock is ahead. They may change at any time.
const ClockVariable = "CRASH_CLOCK"

//go:embed clock_main.go.txt
var clockMain []byte

// nowBegins are the first lines of time.Now, and nowMoved what stands there in
// a program whose wall clock can be moved. The monotonic clock goes on, as it
// does when a machine's clock is set.
const (
	nowBegins = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	nowMoved  = nowBegins + `	if ahead != nil {
		moved := int64(nsec) + *ahead
		sec += moved / 1e9
		if moved %= 1e9; moved < 0 {
			moved += 1e9
			sec--
		}
		nsec = int32(moved)
	}
`
	aheadDeclared = `
//go:linkname ahead
var ahead *int64
`
)

// RunnerWithClock builds the runner as [Runner] does, but for its clock: Go's
// own package time is built with a wall clock that [ClockVariable] moves. So
// everything in the process sees it jump, the libraries too, and nothing
// outside of it.
func RunnerWithClock(ctx context.Context, folder, version string) (string, error) {
	overlay, err := clockOverlay(ctx, folder+".clock")
	if err != nil {
		return "", fmt.Errorf("build a runner whose clock can be moved: %w", err)
	}
	return build(ctx, "./runner", filepath.Join(folder, "spout-runner"), version, "-overlay", overlay)
}

// clockOverlay writes what go build -overlay takes, into folder.
func clockOverlay(ctx context.Context, folder string) (string, error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	original := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	if bytes.Count(text, []byte(nowBegins)) != 1 {
		return "", fmt.Errorf("%s has another time.Now than this knows", original)
	}
	moved := append(bytes.Replace(text, []byte(nowBegins), []byte(nowMoved), 1), aheadDeclared...)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for _, f := range []struct {
		name, instead string
		text          []byte
	}{
		{"time.go", original, moved},
		{"clock.go", filepath.Join(root, "runner", "clock_of_crash.go"), clockMain},
	} {
		path := filepath.Join(folder, f.name)
		if err := os.WriteFile(path, f.text, 0o644); err != nil {
			return "", err
		}
		overlay.Replace[f.instead] = path
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "overlay.json")
	return path, os.WriteFile(path, list, 0o644)
}
