// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command pachcluster runs a real Pachyderm on this machine; see package cluster.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
)

type commands struct {
	Up      up      `cmd:"" help:"Start the cluster in the background, building Pachyderm if need be, and print the settings as env does."`
	Down    down    `cmd:"" help:"End the cluster and everything it runs. The data stays."`
	Reset   reset   `cmd:"" help:"End the cluster and delete its data and logs."`
	Status  status  `cmd:"" help:"Show what runs, and the pods of pipelines."`
	Env     env     `cmd:"" help:"Print settings for the shell: eval \"$(pachcluster env)\"."`
	Pachctl pachctl `cmd:"" passthrough:"" help:"Run pachctl against the cluster."`
	Logs    logs    `cmd:"" help:"Print the log of a pod's container, or of pachd, postgres, etcd or kubernetes."`
	Build   build   `cmd:"" help:"Build Pachyderm's programs, and print the folder they are in."`
	Serve   serve   `cmd:"" hidden:"" help:"Run the cluster in this process."`
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	dir, err := cluster.DefaultDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pachcluster:", err)
		os.Exit(1)
	}
	cli := kong.Parse(&commands{}, kong.Name("pachcluster"), kong.UsageOnError(),
		kong.Description("A real Pachyderm on this machine, for tests and demos: "+cluster.Version+", or the programs in the folder $PACHYDERM_PROGRAMS. Nothing in it asks for a password, "+
			"and its pods run as you, with this machine's files. So it listens on the loopback address only: other machines cannot "+
			"reach it, but other users of this machine can. Its data and logs are in "+
			dir+"; $PACHCLUSTER_HOME names another folder. There is one cluster at a time."),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(folder(dir)))
	cli.FatalIfErrorf(cli.Run())
}

// folder is where the cluster's data and logs are.
type folder string

// settings are those of a cluster, for up and, hidden, for serve.
type settings struct {
	Image map[string]string `placeholder:"NAME=DIR" help:"Take a folder for an image, whose name is or begins with NAME: its entries appear in the container's root folder, over this machine's files. / is an image of this machine's files alone. Other images cannot be pulled. May be repeated. Without it, the images of the last start are taken."`
	Fast  bool              `help:"Have PostgreSQL not wait for the disk."`
}

type up struct{ settings }

func (c *up) Run(ctx context.Context, dir folder) error {
	info, err := cluster.Running()
	if err != nil {
		return err
	}
	if info != nil && !info.Detached {
		return fmt.Errorf("a test (pid %d) runs a cluster; there can only be one", info.PID)
	}
	if info != nil {
		fmt.Fprintf(os.Stderr, "pachcluster: the cluster runs already (pid %d, %s)\n", info.PID, info.Dir)
		if len(c.Image) > 0 || c.Fast {
			return errors.New("its settings cannot be changed now: end it with down first")
		}
		return printEnv(ctx, folder(info.Dir))
	}
	if err := cluster.Claim(string(dir)); err != nil {
		return err
	}
	if err := c.settleImages(string(dir)); err != nil {
		return err
	}
	if err := c.startServe(ctx, dir); err != nil {
		return err
	}
	return printEnv(ctx, dir)
}

// settleImages notes the images down for the next start or, if none are given, takes those of the last one.
func (c *up) settleImages(dir string) error {
	if len(c.Image) > 0 {
		for name, path := range c.Image {
			abs, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			c.Image[name] = abs
		}
		return cluster.RememberImages(dir, c.Image)
	}
	var err error
	c.Image, err = cluster.RememberedImages(dir)
	for name, path := range c.Image {
		fmt.Fprintf(os.Stderr, "pachcluster: --image %s=%s, as at the last start\n", name, path)
	}
	return err
}

// readyLine is what serve writes to the pipe from up when pachd answers.
const readyLine = "ready"

// startServe starts this program again, out of reach of the terminal, and waits until the cluster is ready.
func (c *up) startServe(ctx context.Context, dir folder) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"serve", "--dir=" + string(dir)}
	for name, path := range c.Image {
		args = append(args, "--image="+name+"="+path)
	}
	if c.Fast {
		args = append(args, "--fast")
	}
	logPath := filepath.Join(string(dir), "pachcluster.log")
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	progress, childEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = progress.Close() }()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = logFile, logFile, []*os.File{childEnd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, childEnd.Close())
	}
	if err := childEnd.Close(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		if lines.Text() == readyLine {
			return nil
		}
		fmt.Fprintln(os.Stderr, lines.Text())
	}
	return fmt.Errorf("the cluster has not started (%w); see %s", cmd.Wait(), logPath)
}

// serve is what up starts.
type serve struct {
	settings
	Dir string `required:""`
}

func (c serve) Run() error {
	const pipeFD = 3
	pipe := os.NewFile(pipeFD, "progress")
	err := cluster.Serve(cluster.Options{Dir: c.Dir, Images: c.Image, Fast: c.Fast, Log: io.MultiWriter(os.Stderr, lenient{pipe})},
		func(*cluster.Cluster) {
			_, _ = fmt.Fprintln(pipe, readyLine)
			_ = pipe.Close()
		})
	if err != nil {
		_, _ = fmt.Fprintln(pipe, "cluster:", err)
	}
	return err
}

// lenient is a writer that may have nobody at its other end.
type lenient struct{ io.Writer }

func (w lenient) Write(p []byte) (int, error) {
	_, _ = w.Writer.Write(p)
	return len(p), nil
}

type down struct {
	Reset bool `help:"Delete the data and logs, too."`
}

func (c down) Run(ctx context.Context, dir folder) error {
	const timeout = time.Minute
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := cluster.Down(ctx); err != nil {
		return err
	}
	if c.Reset {
		return cluster.Reset(string(dir))
	}
	return nil
}

type reset struct{}

func (reset) Run(ctx context.Context, dir folder) error { return down{Reset: true}.Run(ctx, dir) }

type status struct{}

func (status) Run(ctx context.Context) error {
	info, err := cluster.Running()
	if err != nil {
		return err
	}
	if info == nil {
		return errors.New("no cluster runs")
	}
	fmt.Printf("Pachyderm %s runs (pid %d)\n\n", info.Version, info.PID)
	return cluster.WriteStatus(ctx, os.Stdout)
}

type env struct{}

func (env) Run(ctx context.Context, dir folder) error { return printEnv(ctx, dir) }

func printEnv(ctx context.Context, dir folder) error {
	programs, err := cluster.FindPrograms(ctx, os.Stderr)
	if err != nil {
		return err
	}
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	fmt.Printf("export PACHD_ADDRESS=%s\n", quote((*cluster.Cluster)(nil).Address()))
	fmt.Printf("export PACH_CONFIG=%s\n", quote(cluster.ConfigPathIn(string(dir))))
	fmt.Printf("export PACHCTL=%s\n", quote(filepath.Join(programs.Dir, "pachctl")))
	return nil
}

type pachctl struct {
	Args []string `arg:"" optional:"" help:"What pachctl is told."`
}

func (c pachctl) Run(ctx context.Context, dir folder) error {
	programs, err := cluster.FindPrograms(ctx, os.Stderr)
	if err != nil {
		return err
	}
	config := cluster.ConfigPathIn(string(dir))
	if _, err := os.Stat(config); err != nil {
		return errors.New("there is no cluster yet: start one with up")
	}
	var environment []string
	for _, v := range os.Environ() { // pachctl prefers PACHD_ADDRESS to its configuration, and warns
		if !strings.HasPrefix(v, "PACHD_ADDRESS=") && !strings.HasPrefix(v, "PACH_CONFIG=") {
			environment = append(environment, v)
		}
	}
	path := filepath.Join(programs.Dir, "pachctl")
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, append([]string{path}, c.Args...), append(environment, "PACH_CONFIG="+config)))
}

type logs struct {
	Name      string `arg:"" help:"A pod, or pachd, postgres, etcd or kubernetes."`
	Container string `short:"c" default:"user" help:"Of a pod: user (worker and command) or storage (sidecar pachd)."`
}

func (c logs) Run(dir folder) error {
	path, err := cluster.LogPathIn(string(dir), c.Name, c.Container)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(os.Stdout, f)
	return err
}

type build struct{}

func (build) Run(ctx context.Context) error {
	programs, err := cluster.FindPrograms(ctx, os.Stderr)
	if err == nil {
		fmt.Println(programs.Dir)
	}
	return err
}
