// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// problem is an error that keeps a container from being started; reason goes into its status.
type problem struct {
	error
	reason string
}

const errImagePull = "ErrImagePull"

// prepare makes the command that runs a container.
func (k *kubelet) prepare(p *pod, c *container) (*exec.Cmd, *problem) {
	box := sandbox{Dir: p.sandboxDir(c)}
	switch c.name {
	case StorageContainer: // its image has pachd in the root folder
		box.Binds = append(box.Binds, bind{filepath.Join(k.cfg.Programs, "pachd"), "/pachd"})
	default:
		image := textAt(c.spec, "image")
		folder, err := k.images.lookup(image)
		if err != nil {
			return nil, &problem{fmt.Errorf("failed to pull image %q: %w", image, err), errImagePull}
		}
		box.Image = folder
	}
	volumes, err := k.volumesOf(p)
	if err != nil {
		return nil, &problem{err, "ContainerCreating"}
	}
	env, err := k.environment(p, c)
	if err != nil {
		return nil, &problem{err, "CreateContainerConfigError"}
	}
	for _, m := range listAt(c.spec, "volumeMounts") {
		source, target := volumes[textAt(m, "name")], textAt(m, "mountPath")
		switch {
		case target == "/tmp":
			env["TMPDIR"] = source // /tmp stays the host's: this cluster may live in it
		case source != "" && source != target: // a host path is where it is anyway
			box.Binds = append(box.Binds, bind{source, target})
		}
	}
	for name, value := range env {
		box.Env = append(box.Env, name+"="+value)
	}
	slices.Sort(box.Env)
	for _, name := range []string{"command", "args"} {
		words, _ := c.spec[name].([]any)
		for _, word := range words {
			box.Args = append(box.Args, fmt.Sprint(word))
		}
	}
	cmd, err := k.cfg.command(box)
	if err != nil {
		return nil, &problem{err, "CreateContainerError"}
	}
	return cmd, nil
}

const volumesDir = "volumes"

// dumbInit stands for the init program of the worker's image: dumb-init -- COMMAND. As the container's process 1 the shell
// takes on what a killed command leaves behind; otherwise the worker would, and it waits only for what it has started.
const dumbInit = "#!/bin/sh\nshift\n\"$@\"\nexit $?\n"

// volumesOf returns the folders of a pod's volumes by name. The first container that gets so far makes them for all.
func (k *kubelet) volumesOf(p *pod) (map[string]string, error) {
	p.volumesMu.Lock()
	defer p.volumesMu.Unlock()
	if p.volumes == nil {
		volumes, err := k.makeVolumes(p)
		if err != nil {
			return nil, err
		}
		p.volumes = volumes
	}
	return p.volumes, nil
}

// makeVolumes can be called again if it has failed halfway.
func (k *kubelet) makeVolumes(p *pod) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range listAt(p.object, "spec", "volumes") {
		name := textAt(v, "name")
		if host := at(v, "hostPath"); host != nil {
			out[name] = textAt(host, "path")
			continue
		}
		dir := filepath.Join(p.dir, volumesDir, name)
		out[name] = dir
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if secret := at(v, "secret"); secret != nil {
			if err := k.fillSecret(p, textAt(secret, "secretName"), dir); err != nil {
				return nil, fmt.Errorf("volume %s: %w", name, err)
			}
		}
		if name == "pach-bin" { // a real pod has an init container that fills it
			if err := k.fillPachBin(dir); err != nil {
				return nil, fmt.Errorf("volume %s: %w", name, err)
			}
		}
	}
	return out, nil
}

// fillSecret writes a secret's values to files, which are the user's alone. pachd gives pods a configuration for pachctl that names the sidecar's
// port; here each pod has another.
func (k *kubelet) fillSecret(p *pod, name, dir string) error {
	data, err := k.secret(p.namespace, name)
	if err != nil {
		return err
	}
	for file, value := range data {
		if strings.HasPrefix(name, "spout-pachctl-secret-") {
			value = strings.ReplaceAll(value, "localhost:1653", fmt.Sprintf("localhost:%d", p.sidecarPort()))
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (k *kubelet) fillPachBin(dir string) error {
	for _, program := range []string{"worker", "pachctl"} { // the latter may not have been built
		link := filepath.Join(dir, program)
		if _, err := os.Lstat(link); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join(k.cfg.Programs, program), link); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "dumb-init"), []byte(dumbInit), 0o755)
}

// secret returns a secret's decoded values.
func (k *kubelet) secret(namespace, name string) (map[string]string, error) {
	k.store.Lock()
	defer k.store.Unlock()
	o := k.store.get(secretsIn(namespace), name)
	if o == nil {
		return nil, fmt.Errorf("secret %q not found", name)
	}
	out := map[string]string{}
	for name, value := range at(o, "data") {
		decoded, err := base64.StdEncoding.DecodeString(fmt.Sprint(value))
		if err != nil {
			return nil, fmt.Errorf("secret %q: %s: %w", nameOf(o), name, err)
		}
		out[name] = string(decoded)
	}
	return out, nil
}

// environment makes a container's variables as a kubelet does, from services, envFrom and env, and replaces the ports
// that pods would share here.
func (k *kubelet) environment(p *pod, c *container) (map[string]string, error) {
	env := k.serviceLinks(p.namespace)
	for _, from := range listAt(c.spec, "envFrom") {
		if ref := at(from, "secretRef"); ref != nil {
			data, err := k.secret(p.namespace, textAt(ref, "name"))
			if err != nil {
				return nil, err
			}
			maps.Copy(env, data)
		}
	}
	for _, v := range listAt(c.spec, "env") {
		value, err := k.valueOf(p, v)
		if err != nil {
			return nil, err
		}
		env[textAt(v, "name")] = value
	}
	if env["PATH"] == "" {
		env["PATH"] = os.Getenv("PATH")
	}
	if env["HOME"] == "" {
		env["HOME"] = p.dir
	}
	// So that two runners can have the same port, as in pods with addresses of their own, and other machines reach none.
	for name, listens := range map[string]bool{"SPOUT_HTTP_ADDRESS": true, "SPOUT_WEBHOOK_ADDRESS": env["SPOUT_SOURCE"] == "webhook"} {
		if listens && env[name] == "" {
			env[name] = p.ip
		}
	}
	env["HOSTNAME"] = p.name
	env["PEER_PORT"] = strconv.Itoa(p.sidecarPort())
	if c.name == StorageContainer {
		env["PORT"] = strconv.Itoa(p.sidecarPublicPort())
		env["PROMETHEUS_PORT"] = strconv.Itoa(p.sidecarMetricsPort())
		env["S3GATEWAY_PORT"] = strconv.Itoa(p.sidecarS3GatewayPort())
	} else {
		env["PPS_WORKER_GRPC_PORT"] = strconv.Itoa(p.workerPort())
		env["PROMETHEUS_PORT"] = strconv.Itoa(p.workerMetricsPort())
	}
	return env, nil
}

// valueOf returns the value of one entry of a container's env.
func (k *kubelet) valueOf(p *pod, v object) (string, error) {
	if ref := at(v, "valueFrom", "secretKeyRef"); ref != nil {
		data, err := k.secret(p.namespace, textAt(ref, "name"))
		value, ok := data[textAt(ref, "key")]
		if optional, _ := ref["optional"].(bool); !ok && !optional {
			if err == nil {
				err = fmt.Errorf("couldn't find key %s in secret %q", textAt(ref, "key"), textAt(ref, "name"))
			}
			return "", err
		}
		return value, nil
	}
	switch textAt(v, "valueFrom", "fieldRef", "fieldPath") {
	case "metadata.name":
		return p.name, nil
	case "metadata.namespace":
		return p.namespace, nil
	case "status.podIP":
		return p.ip, nil
	}
	return textAt(v, "value"), nil
}

// serviceLinks makes the variables that point at the services, and at the API server. KUBERNETES_SERVICE_HOST is left
// out: pachd then joins these two with a colon, and so can be told of a plain HTTP address.
func (k *kubelet) serviceLinks(namespace string) map[string]string {
	env := map[string]string{}
	if host, port, err := net.SplitHostPort(k.cfg.Addr); err == nil {
		env["KUBERNETES_PORT_443_TCP_ADDR"], env["KUBERNETES_PORT"] = "http://"+host, port
	}
	upper := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
	k.store.Lock()
	defer k.store.Unlock()
	for _, service := range k.store.list(collection{"v1", "services", namespace}, everything) {
		ip := textAt(service, "spec", "clusterIP")
		if ip == "" || ip == "None" {
			continue
		}
		prefix := upper(nameOf(service))
		env[prefix+"_SERVICE_HOST"] = ip
		for i, port := range listAt(service, "spec", "ports") {
			number := fmt.Sprint(port["port"])
			if i == 0 {
				env[prefix+"_SERVICE_PORT"] = number
			}
			if name := textAt(port, "name"); name != "" {
				env[prefix+"_SERVICE_PORT_"+upper(name)] = number
			}
		}
	}
	return env
}
