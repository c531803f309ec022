// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestTheGuidesRequest runs the commands by which the guide sends a request, but
// for the port forward to a pod.
func TestTheGuidesRequest(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"curl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("there is no", program)
		}
	}
	guide, err := os.ReadFile("../../../templates/guides/webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(guide), "```sh\nkubectl port-forward")
	_, script, _ = strings.Cut(script, "\n")
	script, _, ok := strings.Cut(script, "```\n")
	if !ok || !strings.Contains(script, "http://localhost:8080/github") {
		t.Fatalf("the guide shows no request: %s", script)
	}
	o := open(t, endpoints(t, `{"github":{"auth":"github","secret_files":["`+secretFile(t, "the secret of the endpoint")+`"]}}`), nil)
	script = strings.ReplaceAll(script, "http://localhost:8080", o.base)
	for _, want := range []string{`{"records":1,"known":0}`, `{"records":0,"known":1}`} {
		if !strings.Contains(string(guide), want) {
			t.Errorf("the guide does not say %s", want)
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput()
		if err != nil || !strings.Contains(string(out), " 200 OK") || !strings.Contains(string(out), want) {
			t.Errorf("%v: %s", err, out)
		}
	}
}
