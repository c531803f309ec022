// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command cmd runs a real Kubernetes with Pachyderm in it on this machine; see packages kubernetes and cluster.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
)

type commands struct {
	Up    up    `cmd:"" help:"Start Kubernetes and Pachyderm in the background, building both if need be."`
	Down  down  `cmd:"" help:"End it, and remove all that it had."`
	Run   run   `cmd:"" passthrough:"" help:"Run a command where it is: run kubectl get pods, run pachctl version, or run bash for a shell with KUBECONFIG and PACHD_ADDRESS set."`
	Build build `cmd:"" help:"Build what it takes, unless that was done before."`
	Check check `cmd:"" help:"Say what this machine lacks for it, and try whether containers can run here."`
	Serve serve `cmd:"" hidden:"" help:"Run it in this process."`
}

func main() {
	cli := kong.Parse(&commands{}, kong.Name("kubernetes"), kong.UsageOnError(),
		kong.Description("A real Kubernetes "+kubernetes.Version+" of one node with Pachyderm "+cluster.Version+" in it, for tests and for looking. It takes root, and Debian's containerd, "+
			"runc, containernetworking-plugins and iptables. It runs in namespaces of its own: nothing of it can be reached from other machines or, but by run, from this one, "+
			"and nothing of it is left once it has ended."))
	cli.FatalIfErrorf(cli.Run())
}

// stateFile says which lab up has started. There is one at a time; those of tests don't count.
func stateFile() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "terraform-provider-pachyderm", "kubernetes-lab"), err
}

// running returns the process that runs the lab of up, and that of its inside; 0 if there is none.
func running() (outer, inner int, err error) {
	path, err := stateFile()
	if err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	var began string
	if _, err := fmt.Sscan(string(text), &outer, &began); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	if startOf(outer) != began {
		return 0, 0, nil // that process is gone
	}
	for pid := outer; ; { // the only child of the only child: process 1, then the program inside
		child := childOf(pid)
		if child == 0 {
			return outer, inner, nil
		}
		if pid != outer {
			return outer, child, nil
		}
		pid, inner = child, child
	}
}

// childOf returns a child of a process, whichever of its threads has made it; 0 if there is none.
func childOf(pid int) int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // that thread has ended
		}
		var child int
		if _, err := fmt.Sscan(string(text), &child); err == nil {
			return child
		}
	}
	return 0
}

// startOf tells processes of the same number apart.
func startOf(pid int) string {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return ""
	}
	return strconv.FormatInt(info.ModTime().UnixNano(), 10)
}

type up struct {
	Image map[string]string `placeholder:"NAME=DIR" help:"Take a folder for an image, whose name is or begins with NAME: its entries are the image's files. / is an image of a shell and small programs. May be repeated."`
}

const readyLine = "ready"

func (c *up) Run() error {
	if outer, _, err := running(); err != nil || outer != 0 {
		return errors.Join(err, fmt.Errorf("it runs already (pid %d): end it with down first", outer))
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"serve"}
	for name, dir := range c.Image {
		args = append(args, "--image="+name+"="+dir)
	}
	state, err := stateFile()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(state), 0o755); err != nil {
		return err
	}
	progress, childEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	log, err := os.Create(state + ".log")
	if err != nil {
		return err
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, childEnd
	cmd.Env = append(os.Environ(), cluster.LabVariable+"=kubernetes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = childEnd.Close()
	if err := os.WriteFile(state, []byte(fmt.Sprintln(cmd.Process.Pid, startOf(cmd.Process.Pid))), 0o600); err != nil {
		return err
	}
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		if lines.Text() == readyLine {
			fmt.Printf("It runs. %s run bash gives a shell in it, down ends it.\n", program)
			return nil
		}
		fmt.Fprintln(os.Stderr, lines.Text())
	}
	return fmt.Errorf("it has not started: %w", cmd.Wait())
}

// serve is what up starts. It says on standard error how far it is.
type serve struct {
	Image map[string]string
}

func (c serve) Run() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	if code, ran := cluster.Isolate(ctx); ran {
		os.Exit(code)
	}
	signal.Ignore(syscall.SIGPIPE)
	lab, err := cluster.New(ctx, cluster.Options{Images: c.Image, Fast: true, Log: os.Stderr})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, readyLine)
	<-ctx.Done()
	return lab.Stop()
}

type down struct{}

func (down) Run() error {
	outer, _, err := running()
	if err != nil || outer == 0 {
		return errors.Join(err, errors.New("it does not run"))
	}
	began := startOf(outer)
	if err := syscall.Kill(outer, syscall.SIGTERM); err != nil {
		return fmt.Errorf("process %d, which runs it: %w", outer, err)
	}
	for deadline := time.Now().Add(time.Minute); startOf(outer) == began; time.Sleep(100 * time.Millisecond) {
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", outer)); err == nil && isZombie(string(status)) {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d, which runs it, does not end", outer)
		}
	}
	path, err := stateFile()
	return errors.Join(err, os.Remove(path))
}

type run struct {
	Command []string `arg:"" help:"The command and its arguments."`
}

func (c run) Run() error {
	_, inner, err := running()
	if err != nil || inner == 0 {
		return errors.Join(err, errors.New("it does not run: start it with up"))
	}
	ctx := context.Background()
	programs, err := cluster.FindPrograms(ctx, os.Stderr)
	if err != nil {
		return err
	}
	kube, err := kubernetes.Programs(ctx, os.Stderr)
	if err != nil {
		return err
	}
	environment, err := kubernetes.EnvironmentOf(inner)
	if err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	args := append([]string{"nsenter", "--target=" + strconv.Itoa(inner), "--mount", "--net", "--pid", "--ipc", "--uts", "--wdns=" + workingDirectory(), "--"}, c.Command...)
	environment = append(environment, "PATH="+kube+":"+programs.Dir+":"+os.Getenv("PATH"), "PACHD_ADDRESS="+cluster.KubernetesAddress())
	for _, v := range os.Environ() { // of two, programs take the first
		if name, _, _ := strings.Cut(v, "="); name != "PATH" && name != "KUBECONFIG" && name != "PACHD_ADDRESS" {
			environment = append(environment, v)
		}
	}
	return fmt.Errorf("%s: %w", nsenter, syscall.Exec(nsenter, args, environment))
}

func workingDirectory() string {
	dir, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return dir
}

type build struct{}

func (build) Run() error { return cluster.BuildForKubernetes(context.Background()) }

type check struct{}

func (check) Run() error { return kubernetes.Try() }

func isZombie(status string) bool { return strings.Contains(status, "\nState:\tZ") }
