// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// sandbox is what a container is to the kernel: a command in a mount and a pid namespace of its own, in whose root
// folder the host's files are seen, and over them those of its image and volumes. All of its processes die with the
// first.
type sandbox struct {
	Dir   string // to build the root folder in; removed by cleanUp
	Image string // folder whose entries appear in the root folder; may be empty
	Binds []bind
	Args  []string
	Env   []string
}

// bind shows a file or folder at another place.
type bind struct{ Source, Target string }

// sandboxName is the name under which a program that has this package starts itself to become a container.
const sandboxName = "kubesim-sandbox"

// sandboxFD is where the process finds its sandbox, as JSON.
const sandboxFD = 3

// Folders in a sandbox's Dir.
const (
	rootDir  = "root"
	stageDir = "stage"
)

// command makes the command of a sandbox: this program, which builds the root folder from inside and becomes Args.
func (s sandbox) command() (*exec.Cmd, error) {
	spec, err := s.writeSpec()
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	// Not os.Executable: go run and go test delete theirs.
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{sandboxName}, Dir: "/", Env: []string{}, ExtraFiles: []*os.File{spec}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 { // mounting takes a user namespace, in which one is root
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd, nil
}

// writeSpec returns an open file without a name: secrets are in the environment.
func (s sandbox) writeSpec() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(s.Dir), 0o755); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(s.Dir), "sandbox-")
	if err != nil {
		return nil, err
	}
	err = errors.Join(os.Remove(f.Name()), json.NewEncoder(f).Encode(s))
	if _, seekErr := f.Seek(0, io.SeekStart); err == nil {
		err = seekErr
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// CheckSandbox tries whether containers can be run here, with folders below dir.
func CheckSandbox(dir string) error {
	s := sandbox{Dir: filepath.Join(dir, "check"), Args: []string{"true"}, Env: []string{"PATH=" + os.Getenv("PATH")}}
	defer s.cleanUp()
	cmd, err := s.command()
	if err != nil {
		return err
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err = child.Start(cmd)
	closeFiles(cmd.ExtraFiles)
	if err == nil {
		err = cmd.Wait()
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("spout pods need Linux mount and pid namespaces, which this user is refused (%w%s); run as root, "+
		"or allow unprivileged user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "+
		"kernel.apparmor_restrict_unprivileged_userns=0)", err, prefixed(": ", strings.TrimSpace(out.String())))
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// cleanUp removes what is left in the host's eyes: empty folders. It must never be more than that.
func (s sandbox) cleanUp() {
	for _, dir := range []string{filepath.Join(s.Dir, rootDir), filepath.Join(s.Dir, stageDir), s.Dir} {
		_ = os.Remove(dir)
	}
}
