// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// NodeName is the name of the only node.
const NodeName = "lab-node"

// Addresses inside a lab. Each has its own network, so they are the same in all.
const (
	NodeIP       = "10.240.0.1"
	nodeNetwork  = NodeIP + "/24"
	podNetwork   = "10.244.0.0/16"
	serviceRange = "10.96.0.0/16"
	apiServiceIP = "10.96.0.1"
)

// HostPorts is the first port of loopback addresses that, in a pod, is the lab's own; those below are the pod's.
const HostPorts = 20000

// Loopback addresses, and those in their place on the way from a pod to the node.
const (
	loopbackNetwork = "127.0.0.0/8"
	onTheWay        = "11.0.0.0/8"
)

// prepareNetwork sets up the node's network.
func prepareNetwork() error {
	for file, value := range map[string]string{"ipv4/ip_forward": "1", "ipv4/conf/all/route_localnet": "1"} {
		if err := os.WriteFile("/proc/sys/net/"+file, []byte(value), 0o644); err != nil {
			return err
		}
	}
	if f := "/proc/sys/net/bridge/bridge-nf-call-iptables"; fileExists(f) { // or Services fail from pods of the same node
		if err := os.WriteFile(f, []byte("1"), 0o644); err != nil {
			return err
		}
	}
	const end, other = "lab-uplink", "lab-outside"
	for _, args := range []string{
		"link set lo up",
		"link add " + end + " type veth peer name " + other, // a device with a carrier, that leads nowhere
		"link set " + end + " up",
		"link set " + other + " up",
		"addr add " + nodeNetwork + " dev " + end,
		"route add default dev " + end,
	} {
		if err := run("ip", strings.Fields(args)...); err != nil {
			return err
		}
	}
	return run("iptables", strings.Fields(fmt.Sprintf("-w -t nat -A PREROUTING -s %s -d %s -p tcp --dport %d:65535 -j NETMAP --to %s", podNetwork, onTheWay, HostPorts, loopbackNetwork))...)
}

func run(program string, args ...string) error {
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// pluginName is the network plugin by which pods reach the lab's loopback addresses.
const pluginName = "lab-loopback"

// writeNetwork writes what containerd needs to give pods a network.
func writeNetwork(configDir, programDir string) error {
	for _, dir := range []string{configDir, programDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"bridge", "host-local", "loopback", "portmap"} {
		if err := os.Symlink(filepath.Join(pluginDir, name), filepath.Join(programDir, name)); err != nil {
			return err
		}
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\n%s=%s exec '%s'\n", stageVariable, stagePlugin, program)
	if err := os.WriteFile(filepath.Join(programDir, pluginName), []byte(script), 0o755); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{"cniVersion": "1.0.0", "name": "lab", "plugins": []any{
		map[string]any{"type": "bridge", "bridge": "lab-pods", "isGateway": true, "hairpinMode": true,
			"ipam": map[string]any{"type": "host-local", "ranges": []any{[]any{map[string]string{"subnet": podNetwork}}},
				"routes": []any{map[string]string{"dst": "0.0.0.0/0"}}}},
		map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		map[string]any{"type": pluginName},
	}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(configDir, "10-lab.conflist"), config, 0o644)
}

// plugin is this program as a network plugin, as the Container Network Interface has them: told by its environment what to
// do, and on standard input what those before it did, which it prints.
func plugin() int {
	var config struct {
		PrevResult json.RawMessage `json:"prevResult"`
	}
	switch os.Getenv("CNI_COMMAND") {
	case "VERSION":
		fmt.Println(`{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}`)
		return 0
	case "ADD":
	default:
		return 0 // what it has done is gone with the pod's network
	}
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err == nil {
		err = leadOut(os.Getenv("CNI_NETNS"), os.Getenv("CNI_IFNAME"))
	}
	if err != nil {
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"cniVersion": "1.0.0", "code": 999, "msg": err.Error()})
		return 1
	}
	_, _ = os.Stdout.Write(config.PrevResult)
	return 0
}

// leadOut leads a pod's connections to the lab's ports of loopback addresses out of the pod.
func leadOut(namespace, device string) error {
	inside := []string{"--net=" + namespace}
	for _, command := range []string{
		"sh -c",
		fmt.Sprintf("iptables -w -t nat -A OUTPUT -d %s -p tcp --dport %d:65535 -j NETMAP --to %s", loopbackNetwork, HostPorts, onTheWay),
		fmt.Sprintf("iptables -w -t nat -A POSTROUTING -s %s -o %s -j MASQUERADE", loopbackNetwork, device),
	} {
		args := append(append([]string{}, inside...), strings.Fields(command)...)
		if command == "sh -c" {
			args = append(args, "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet")
		}
		if err := run("nsenter", args...); err != nil {
			return err
		}
	}
	return nil
}
