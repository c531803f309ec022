// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Try says why there can be no lab on this machine, with the end of what a program has said about it; nil if there can be
// one. It makes and leaves the namespaces, mounts, network and control groups of a lab, and has runc run a container in
// them. What runs is this program, again: inside it calls Try, too.
func Try() error {
	if Inside() {
		return tryContainer()
	}
	if err := CheckPackages(); err != nil {
		return err
	}
	code, err := Isolate()
	if err == nil && code != 0 {
		err = errors.New("a pod could not run here, for what is said above")
	}
	return err
}

// tryContainer has runc run a program of this machine's in a control group with a limit.
func tryContainer() error {
	dir := os.Getenv(dirVariable)
	bundle := filepath.Join(dir, "try")
	if err := os.MkdirAll(filepath.Join(bundle, "rootfs"), 0o755); err != nil {
		return err
	}
	if err := run("runc", "spec", "--bundle", bundle); err != nil {
		return err
	}
	file := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	type object = map[string]any
	var spec struct {
		Version  string   `json:"ociVersion"`
		Process  object   `json:"process"`
		Root     object   `json:"root"`
		Hostname string   `json:"hostname"`
		Mounts   []object `json:"mounts"`
		Linux    object   `json:"linux"`
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	spec.Process["args"], spec.Process["terminal"] = []string{"/bin/true"}, false
	for _, folder := range []string{"/bin", "/lib", "/lib64", "/usr"} {
		if real, err := filepath.EvalSymlinks(folder); err == nil {
			spec.Mounts = append(spec.Mounts, object{"destination": folder, "type": "bind", "source": real, "options": []string{"rbind", "ro"}})
		}
	}
	spec.Linux["cgroupsPath"] = "/" + filepath.Base(dir) + "/try"
	spec.Linux["resources"] = object{"memory": object{"limit": 64 << 20}}
	if text, err = json.Marshal(spec); err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	out, err := exec.Command("runc", "run", "--bundle", bundle, "try").CombinedOutput()
	if err != nil {
		return fmt.Errorf("runc: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
