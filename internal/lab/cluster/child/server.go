// SPDX-License-Identifier: Apache-2.0

//go:build linux

package child

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Server is a child that writes its log to a file and is waited for.
type Server struct {
	LogPath string
	cmd     *exec.Cmd
	ended   chan struct{} // closed when it has ended
}

// StartServer starts cmd as Start does, with a log that what is there already is kept in.
func StartServer(cmd *exec.Cmd, logPath string) (*Server, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	cmd.Stdout, cmd.Stderr = log, log
	if err := Start(cmd); err != nil {
		return nil, err
	}
	s := &Server{LogPath: logPath, cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState tells it too
		close(s.ended)
	}()
	return s, nil
}

// PID is its process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Ended is closed once the process is gone.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Err says how the process has ended. It is for after Ended.
func (s *Server) Err() error { return errors.New(s.cmd.ProcessState.String()) }

// End ends the process with a signal, and with SIGKILL if that was not enough after some grace. It returns once the
// process is gone.
func (s *Server) End(signal syscall.Signal, grace time.Duration) {
	_ = s.cmd.Process.Signal(signal) // an error means that it has ended
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// LogTail returns the last lines of the log, indented.
func (s *Server) LogTail(lines int) string {
	const width = 400
	text, err := os.ReadFile(s.LogPath)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = "\t" + line[:min(len(line), width)]
	}
	return strings.Join(all, "\n")
}
