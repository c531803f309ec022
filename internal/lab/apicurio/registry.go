// SPDX-License-Identifier: Apache-2.0

//go:build linux

package apicurio

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/java"
)

// program is the registry as its publisher packs it, with all that it needs.
var program = java.Program{Name: "apicurio-registry", Version: Version, Size: "142 MB", Lock: `
io.apicurio:apicurio-registry-app:` + Version + `:tar.gz:all 3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba
`}

// startTimeout is how long the registry may take to serve. On a machine with
// nothing else to do it takes 5 seconds.
const startTimeout = 2 * time.Minute

// Registry is a running registry.
type Registry struct {
	// URL is that of the API of Confluent's Schema Registry, version 7.
	URL string

	server *child.Server // nil before the start
	dir    string
}

// Start starts a registry without schemas and waits until it serves. Progress
// gets lines about what is fetched.
func Start(ctx context.Context, progress io.Writer) (_ *Registry, err error) {
	command, err := java.Find(ctx)
	if err != nil {
		return nil, err
	}
	files, err := java.Fetch(ctx, program, progress)
	if err != nil {
		return nil, err
	}
	r := &Registry{}
	if r.dir, err = os.MkdirTemp("", "apicurio-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Stop()
		}
	}()
	all, err := program.Artifacts()
	if err != nil {
		return nil, err
	}
	if err := unpack(filepath.Join(files, all[0].File()), r.dir); err != nil {
		return nil, fmt.Errorf("unpack Apicurio Registry: %w", err)
	}
	// Quarkus chooses the port, and says which.
	cmd := exec.Command(command, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir="+r.dir,
		"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port=0", "-jar", "apicurio-registry-app-"+Version+"-runner.jar")
	cmd.Dir = r.dir
	if r.server, err = child.StartServer(cmd, filepath.Join(r.dir, "registry.log")); err != nil {
		return nil, fmt.Errorf("start Apicurio Registry: %w", err)
	}
	return r, r.awaitServing(ctx)
}

// listening is what Quarkus writes when it serves.
var listening = regexp.MustCompile(`Listening on: (http://\S+)`)

// awaitServing returns once the registry has said that it serves.
func (r *Registry) awaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		log, err := os.ReadFile(r.server.LogPath)
		if err != nil {
			return err
		}
		if match := listening.FindSubmatch(log); match != nil {
			r.URL = string(match[1]) + "/apis/ccompat/v7"
			return nil
		}
		select {
		case <-r.server.Ended():
			return fmt.Errorf("the Apicurio Registry has ended: %w\n%s", r.server.Err(), r.server.LogTail(20))
		case <-ctx.Done():
			return fmt.Errorf("the Apicurio Registry does not serve: %w\n%s", ctx.Err(), r.server.LogTail(20))
		case <-tick.C:
		}
	}
}

// Stop ends the registry and deletes what it has stored.
func (r *Registry) Stop() {
	if r.server != nil {
		r.server.End(syscall.SIGKILL, time.Second)
	}
	_ = os.RemoveAll(r.dir) // what is left is in the folder for temporary files
}
