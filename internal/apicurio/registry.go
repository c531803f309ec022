// SPDX-License-Identifier: Apache-2.0

//go:build linux

package apicurio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/cluster/child"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/java"
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

	cmd *exec.Cmd
	dir string
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
	r.cmd = exec.Command(command, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir="+r.dir,
		"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port=0", "-jar", "apicurio-registry-app-"+Version+"-runner.jar")
	r.cmd.Dir = r.dir
	return r, r.launch(ctx)
}

// listening is what Quarkus writes when it serves.
var listening = regexp.MustCompile(`Listening on: (http://\S+)`)

// launch starts the process and waits until it serves.
func (r *Registry) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	out, log, err := os.Pipe()
	if err != nil {
		return err
	}
	r.cmd.Stdout, r.cmd.Stderr = log, log
	err = child.Start(r.cmd)
	if err := errors.Join(err, log.Close()); err != nil {
		r.cmd = nil
		return fmt.Errorf("start Apicurio Registry: %w", err)
	}
	address := make(chan string, 1)
	var said strings.Builder // until the address is sent
	go func() {
		defer out.Close() //nolint:errcheck // it is only read
		sent := false
		for lines := bufio.NewScanner(out); lines.Scan(); { // to the end: it must not stand still
			if match := listening.FindStringSubmatch(lines.Text()); match != nil && !sent {
				address <- match[1]
				sent = true
			} else if !sent {
				said.WriteString(lines.Text() + "\n")
			}
		}
		close(address)
	}()
	select {
	case base, ok := <-address:
		if !ok {
			return fmt.Errorf("the Apicurio Registry has ended:\n%s", &said)
		}
		r.URL = base + "/apis/ccompat/v7"
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the Apicurio Registry does not serve: %w", ctx.Err())
	}
}

// Stop ends the registry and deletes what it has stored.
func (r *Registry) Stop() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill() // an error means that it has ended
		_ = r.cmd.Wait()         // it was killed
		r.cmd = nil
	}
	_ = os.RemoveAll(r.dir) // what is left is in the folder for temporary files
}
