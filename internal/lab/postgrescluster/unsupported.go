// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package postgrescluster

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/jackc/pgx/v5"
)

var errLinuxOnly = errors.New("package postgrescluster needs Linux")

// Names that every server has.
const (
	Superuser = "admin"
	Database  = "app"
)

// The rest has the shape that it has on Linux, so that programs which use it can be built and checked anywhere.
type (
	Options struct {
		Programs string
		Address  string
		Config   map[string]string
		Files    map[string]string
		Access   []string
		Fast     bool
		Progress io.Writer
	}
	Server struct {
		Host string
		Port int
	}
)

func Start(context.Context, Options) (*Server, error)              { return nil, errLinuxOnly }
func (*Server) Path(string) string                                 { return "" }
func (*Server) Launch(context.Context) error                       { return errLinuxOnly }
func (*Server) URL(string) string                                  { return "" }
func (*Server) Connect(context.Context, string) (*pgx.Conn, error) { return nil, errLinuxOnly }
func (*Server) Exec(context.Context, ...string) error              { return errLinuxOnly }
func (*Server) Kill()                                              {}
func (*Server) Shutdown()                                          {}
func (*Server) Log() string                                        { return "" }
func (*Server) Signal(syscall.Signal) error                        { return errLinuxOnly }
func (*Server) Stop()                                              {}
