// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// testVersion is the provider's version in tests, and so the runner image's tag.
const testVersion = "0.0.1-test"

const testImage = runnerRepository + ":" + testVersion

// TestMain gives Terraform an environment that depends on nothing of the
// machine: no checks for updates, no CLI configuration.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "provider-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	file := filepath.Join(dir, "terraform.rc")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for name, value := range map[string]string{"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": file} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if code == 0 && everythingRan() {
		if left, err := failuresLeftOut(); err != nil || len(left) > 0 {
			fmt.Fprintf(os.Stderr, "calls whose failures are not tested: %v\n  %s\n", err, strings.Join(left, "\n  "))
			code = 1
		}
	}
	os.RemoveAll(dir) //nolint:errcheck // nothing to be done about it
	os.Exit(code)
}

// everythingRan says that no flag has left tests out.
func everythingRan() bool {
	return !slices.ContainsFunc([]string{"test.run", "test.skip", "test.list"}, func(name string) bool { return flag.Lookup(name).Value.String() != "" })
}

// quick makes waits and repetitions take no time.
var (
	quickWait  = pachyderm.Wait{Poll: 2 * time.Millisecond, Stable: 2, Grace: 20 * time.Millisecond, Patience: 20 * time.Millisecond}
	quickRetry = pachyderm.Retry{Timeout: 15 * time.Second, Initial: time.Millisecond, Max: 10 * time.Millisecond}
)

func noEnvironment(string) string { return "" }

// newTestProvider returns factories of the provider as tests want it.
func newTestProvider(options ...Option) map[string]func() (tfprotov6.ProviderServer, error) {
	options = append([]Option{WithTiming(quickWait, quickRetry), WithGetenv(noEnvironment), WithConfiguration(rand.Text())}, options...)
	return map[string]func() (tfprotov6.ProviderServer, error){
		"pachyderm": func() (tfprotov6.ProviderServer, error) { return Server(testVersion, options...)(), nil },
	}
}

// unitTest runs steps against the fake pachd.
func unitTest(t *testing.T, steps ...resource.TestStep) {
	t.Helper()
	resource.Test(t, resource.TestCase{IsUnitTest: true, ProtoV6ProviderFactories: newTestProvider(), Steps: steps})
}

// withProvider is a configuration against a fake pachd. More lines may be put
// into the provider block.
func withProvider(s *pachtest.Server, config string, lines ...string) string {
	return fmt.Sprintf("provider \"pachyderm\" {\n  address = %q\n  %s\n}\n%s", s.Address(), strings.Join(lines, "\n  "), config)
}

// spoutConfig is a spout with the given lines, and what a kafka spout needs
// unless a transform is among them.
func spoutConfig(lines ...string) string {
	body := strings.Join(lines, "\n  ")
	if !strings.Contains(body, "kafka") && !strings.Contains(body, "transform") {
		body += "\n  " + kafkaLines
	}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "name ") }) {
		body = "name = \"orders\"\n  " + body
	}
	return "resource \"pachyderm_spout\" \"test\" {\n  " + body + "\n}\n"
}

const kafkaLines = `kafka = { brokers = ["kafka:9092"], topics = ["orders"] }`

const transformLines = `transform = { image = "myaccount/myimage:0.1", cmd = ["go", "run", "./main.go"] }`

const spoutAddress = "pachyderm_spout.test"

// deadlines end the operations of an instance when a test says that their time
// is over, however slow the machine is until then.
type deadlines struct {
	mu      sync.Mutex
	waiting map[time.Duration][]*deadline
}

type deadline struct {
	context.Context
	over chan struct{}
}

func newDeadlines() *deadlines { return &deadlines{waiting: map[time.Duration][]*deadline{}} }

// within is for [WithDeadlines].
func (d *deadlines) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	bounded := &deadline{ctx, make(chan struct{})}
	d.waiting[limit] = append(d.waiting[limit], bounded)
	return context.WithCancel(bounded)
}

// pass ends the operations whose timeout is limit.
func (d *deadlines) pass(limit time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, bounded := range d.waiting[limit] {
		close(bounded.over)
	}
	delete(d.waiting, limit)
}

// Done is closed once the time is over. Terraform interrupts no operation here.
func (d *deadline) Done() <-chan struct{} { return d.over }

func (d *deadline) Err() error {
	select {
	case <-d.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// eachVersion runs a test against both versions of the fake.
func eachVersion(t *testing.T, test func(t *testing.T, s *pachtest.Server)) {
	t.Helper()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, pachtest.New(t, pachtest.WithVersion(version)))
		})
	}
}
