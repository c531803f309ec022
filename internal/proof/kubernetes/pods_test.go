// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
)

// spout is a spout of webhooks that everybody may send to, with more
// attributes.
func spout(name, create, more string) string {
	return fmt.Sprintf(`
resource "pachyderm_spout" "this" {
  name          = %q
  image         = %q
  force_destroy = true
  timeouts      = { create = "%s", update = "4m", delete = "4m" }
  webhook = {
    endpoints = { in = { auth = "none", allow_unauthenticated = true, body = "ndjson" } }
  }
  batch = { max_age = "300ms" }
  %s
}
`, name, image, create, more)
}

// apply applies a configuration and returns what is said, in one line, without
// the plan.
func apply(t *testing.T, w *terraformcli.Workspace) (said string, err error) {
	t.Helper()
	out, err := w.Command(t.Context(), "apply", "-auto-approve", "-no-color").CombinedOutput()
	said = strings.Join(strings.Fields(strings.NewReplacer("│", " ", "╷", " ", "╵", " ").Replace(string(out))), " ")
	for _, begin := range []string{"Warning: ", "Error: "} {
		if _, after, found := strings.Cut(said, begin); found {
			return begin + after, err
		}
	}
	return said, err
}

// TestRefused: what Kubernetes does not take is refused by the plan, or the
// apply says why in Kubernetes' own words; nothing is left of the spout.
func TestRefused(t *testing.T) {
	c, l, _ := start(t)
	for name, test := range map[string]struct {
		more, said string
	}{
		"image":          {``, `(ErrImagePull|not found)`},
		"memory":         {`resource_requests = { cpu = 0, memory = "1Ti" }`, `0/1 nodes are available.*Insufficient memory`},
		"cpu":            {`resource_requests = { cpu = 64 }`, `0/1 nodes are available.*Insufficient cpu`},
		"sidecar":        {`sidecar_resource_requests = { memory = "1Ti" }`, `0/1 nodes are available.*Insufficient memory`},
		"label":          {`metadata = { labels = { team = "not a label" } }`, `label`},
		"label-name":     {`metadata = { labels = { "no/label/name" = "x" } }`, `label`},
		"annotation":     {`metadata = { annotations = { "no annotation" = "x" } }`, `annotation`},
		"priority":       {`scheduling = { priority_class_name = "no-such-class" }`, `kubectl describe replicationcontrollers,pods`},
		"selector":       {`scheduling = { node_selector = { disk = "ssd" } }`, `(node selector|node affinity)`},
		"selector-value": {`scheduling = { node_selector = { disk = "not a value" } }`, `(node_selector|nodeSelector|label)`},
		"pod-spec":       {`pod_spec = jsonencode({ restartPolicy = "Sometimes" })`, `restartPolicy`},
		"pod-spec-type":  {`pod_spec = jsonencode({ hostNetwork = "yes" })`, `(hostNetwork|cannot unmarshal)`},
		"pod-patch":      {`pod_patch = jsonencode([{ op = "add", path = "/containers/0/securityContext", value = { runAsUser = -5 } }])`, `runAsUser`},
		"pod-patch-path": {`pod_patch = jsonencode([{ op = "replace", path = "/containers/7/image", value = "x" }])`, `(containers/7|Unable to access|missing)`},
		"limit": {`resource_requests = { cpu = 0, memory = "64Mi" }
  resource_limits = { memory = "32Mi" }`, `(limit|less than or equal)`},
		"quantity": {`resource_limits = { memory = "lots" }`, `quantit|memory`},
		"mount":    {`secret_mounts = { "/secrets" = "Not.A.Secret" }`, `(secret|Secret)`},
		"user":     {`pod_patch = jsonencode([{ op = "add", path = "/containers/0/securityContext", value = { runAsNonRoot = true, runAsUser = 0 } }])`, `(runAsNonRoot|CreateContainerConfigError|non-root)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := spout("refused-"+name, "40s", test.more)
			if name == "image" {
				text = strings.Replace(text, image, repository+":missing", 1)
			}
			w := written(t, c, text)
			began := time.Now()
			said, err := apply(t, w)
			took := time.Since(began).Round(100 * time.Millisecond)
			if err == nil {
				t.Fatalf("it was taken: %s", said)
			}
			_, problem, _ := strings.Cut(said, "Error: ")
			t.Logf("after %s: %.900s", took, problem)
			if !matches(test.said, problem) {
				t.Errorf("it does not say %s", test.said)
			}
			if state, err := w.Show(t.Context()); err != nil || state.Values != nil && state.Values.RootModule != nil && len(state.Values.RootModule.Resources) > 0 {
				t.Errorf("something is in the state, %v", err)
			}
			eventually(t, "nothing is left of it", func(ctx context.Context) error {
				left, err := l.Kubectl(ctx, "get", "replicationcontrollers,pods", "--selector=pipelineName=refused-"+name, "--output=name")
				if err == nil && left != "" {
					err = errors.New(left)
				}
				return err
			})
		})
	}
}

// podOf returns the pod of a spout once both containers run.
func podOf(t *testing.T, l *kubernetes.Lab, name string) kubernetes.Pod {
	t.Helper()
	var found kubernetes.Pod
	eventually(t, "the pod of "+name+" runs", func(ctx context.Context) error {
		pods, err := l.Pods(ctx, "default", "pipelineName="+name)
		if err != nil {
			return err
		}
		for _, p := range pods {
			if p.Status.Phase == "Running" && p.Metadata.DeletionTimestamp == nil {
				found = p
				return nil
			}
		}
		return fmt.Errorf("pods: %+v", pods)
	})
	return found
}

// post sends lines to a spout's pod until they are taken.
func post(t *testing.T, l *kubernetes.Lab, name, lines string) {
	t.Helper()
	eventually(t, "a record is taken", func(ctx context.Context) error {
		pods, err := l.Pods(ctx, "default", "pipelineName="+name)
		if err != nil || len(pods) == 0 {
			return errors.Join(err, errors.New("no pod"))
		}
		resp, err := client.Post("http://"+pods[0].Status.PodIP+":8080/in", "application/x-ndjson", strings.NewReader(lines))
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// TestRestrictedPod: as a user without a name, with a read-only root, no
// capabilities and the default seccomp profile, the runner does all it does.
func TestRestrictedPod(t *testing.T) {
	c, l, _ := start(t)
	w := written(t, c, spout("restricted", "4m", `pod_patch = jsonencode([
    { op = "add", path = "/securityContext", value = { runAsNonRoot = true, seccompProfile = { type = "RuntimeDefault" } } },
    { op = "add", path = "/containers/0/securityContext", value = {
      runAsUser = 12345, runAsGroup = 12345, readOnlyRootFilesystem = true, allowPrivilegeEscalation = false, capabilities = { drop = ["ALL"] }
    } },
  ])`))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	post(t, l, "restricted", "{\"n\":1}\n")
	pid, err := c.AwaitUserCode(t.Context(), "default", "restricted")
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Uid": "12345", "Gid": "12345", "CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"} {
		_, after, _ := strings.Cut(string(status), "\n"+name+":\t")
		if got, _, _ := strings.Cut(strings.ReplaceAll(after, "\t", "\n"), "\n"); got != want {
			t.Errorf("%s of the runner is %q, not %s", name, got, want)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", pid))
	if err != nil || !matches(`(?m)^overlay / overlay ro,`, string(mounts)) {
		t.Errorf("the root can be written, %v", err)
	}
	// As the guide on problems says.
	pod := podOf(t, l, "restricted")
	t.Log(kubectl(t, l, "exec", "-n", "default", "-c", "user", "pod/"+pod.Metadata.Name, "--", "/spout-runner", "check"))
}

// TestNotAdmitted: where Kubernetes takes a controller and none of its pods, of
// which Pachyderm says nothing, the command that the provider names tells why.
func TestNotAdmitted(t *testing.T) {
	c, l, _ := start(t)
	w := written(t, c, spout("not-admitted", "4m", `scheduling = { priority_class_name = "no-such-class" }
  wait_for = "created"`))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	eventually(t, "the controller's events name the class", func(ctx context.Context) error {
		said, err := l.Kubectl(ctx, "describe", "replicationcontrollers,pods", "-n", "default", "-l", "pipelineProject=default,pipelineName=not-admitted")
		if err == nil && !strings.Contains(said, "no PriorityClass with name no-such-class was found") {
			err = errors.New(said)
		}
		return err
	})
}
