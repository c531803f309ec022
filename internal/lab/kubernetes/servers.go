// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const containerdSocket = "/run/containerd/containerd.sock"

// writeFiles writes the certificates and configurations of all servers.
func (l *Lab) writeFiles() error {
	ca, err := newAuthority(l.path("pki"))
	if err != nil {
		return err
	}
	errs := []error{
		ca.signingKey(),
		ca.issue("apiserver", "kube-apiserver", "", "127.0.0.1", NodeIP, apiServiceIP, "localhost", NodeName, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
		ca.issue("apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters"),
	}
	for name, who := range map[string][2]string{
		"admin":                   {"lab-admin", "system:masters"},
		"kubelet":                 {"system:node:" + NodeName, "system:nodes"},
		"kube-controller-manager": {"system:kube-controller-manager", ""},
		"kube-scheduler":          {"system:kube-scheduler", ""},
		"kube-proxy":              {"system:kube-proxy", ""},
	} {
		_, err := ca.kubeconfig(name, who[0], who[1])
		errs = append(errs, err)
	}
	l.kubeconfig = ca.file("admin.kubeconfig")
	return errors.Join(append(errs,
		writeHosts(l.path("registries")),
		writeNetwork(l.path("network"), l.path("plugins")),
		os.WriteFile(l.path("resolv.conf"), nil, 0o644),
		os.WriteFile(l.path("containerd.toml"), []byte(l.containerdConfig()), 0o644),
		l.writeKubeletConfig(false),
	)...)
}

// containerdConfig is containerd's. A machine whose root may not lower a process's oom_score_adj takes
// restrict_oom_score_adj.
func (l *Lab) containerdConfig() string {
	return fmt.Sprintf(`version = 2
root = %q
state = "/run/containerd"
oom_score = 0

[grpc]
  address = %q

[plugins."io.containerd.internal.v1.opt"]
  path = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`, l.path("containerd"), containerdSocket, l.path("opt"), pauseImage, l.path("plugins"), l.path("network"), l.path("registries"))
}

// writeKubeletConfig writes the kubelet's configuration. JSON is YAML. If memory is to lack, it is below a soft threshold:
// what is below a hard one is no pod's, and a kubelet that finds too little left for its pods refuses them.
func (l *Lab) writeKubeletConfig(lacksMemory bool) error {
	config := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address":                     NodeIP,
		"authentication":              map[string]any{"anonymous": map[string]bool{"enabled": false}, "webhook": map[string]bool{"enabled": true}, "x509": map[string]string{"clientCAFile": l.path("pki", "ca.crt")}},
		"authorization":               map[string]string{"mode": "Webhook"},
		"cgroupDriver":                "cgroupfs",
		"cgroupRoot":                  "/" + filepath.Base(l.dir),
		"containerRuntimeEndpoint":    "unix://" + containerdSocket,
		"failSwapOn":                  false,
		"failCgroupV1":                false,
		"evictionHard":                map[string]string{"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		"imageGCHighThresholdPercent": 100,
		"maxPods":                     200,
		"oomScoreAdj":                 0,
		"podLogsDir":                  l.path("pod-logs"),
		"readOnlyPort":                0,
		"registryPullQPS":             0,
		"resolvConf":                  l.path("resolv.conf"),
		"serializeImagePulls":         false,
		"volumePluginDir":             l.path("volume-plugins"),
		"enableDebuggingHandlers":     true,
		"nodeStatusUpdateFrequency":   "5s",
	}
	if lacksMemory {
		config["evictionSoft"] = map[string]string{"memory.available": "99%"}
		config["evictionSoftGracePeriod"] = map[string]string{"memory.available": "1s"}
	}
	if l.opts.BackOff > 0 {
		config["featureGates"] = map[string]bool{"KubeletCrashLoopBackOffMax": true}
		config["crashLoopBackOff"] = map[string]string{"maxContainerRestartPeriod": max(l.opts.BackOff, time.Second).String()}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(l.path("kubelet.json"), text, 0o644)
}

func (l *Lab) program(name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(l.opts.Programs, name), args...)
}

func (l *Lab) etcd() *exec.Cmd {
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", etcdPort), fmt.Sprintf("http://127.0.0.1:%d", etcdPeerPort)
	return exec.Command(l.opts.Etcd, "--name=lab", "--data-dir="+l.path("etcd"), "--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=lab="+peer, "--log-level=warn", "--unsafe-no-fsync")
}

func (l *Lab) apiServer() *exec.Cmd {
	return l.program("kube-apiserver",
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdPort),
		"--advertise-address="+NodeIP, fmt.Sprintf("--secure-port=%d", apiPort), "--allow-privileged=true",
		"--tls-cert-file="+l.path("pki", "apiserver.crt"), "--tls-private-key-file="+l.path("pki", "apiserver.key"), "--client-ca-file="+l.path("pki", "ca.crt"),
		"--kubelet-client-certificate="+l.path("pki", "apiserver-kubelet.crt"), "--kubelet-client-key="+l.path("pki", "apiserver-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+l.path("pki", "service-accounts.pub"),
		"--service-account-signing-key-file="+l.path("pki", "service-accounts.key"),
		"--service-cluster-ip-range="+serviceRange, "--cert-dir="+l.path("certs"))
}

func (l *Lab) controllerManager() *exec.Cmd {
	config := l.path("pki", "kube-controller-manager.kubeconfig")
	return l.program("kube-controller-manager", "--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true", "--root-ca-file="+l.path("pki", "ca.crt"),
		"--service-account-private-key-file="+l.path("pki", "service-accounts.key"), "--cert-dir="+l.path("certs"))
}

func (l *Lab) scheduler() *exec.Cmd {
	config := l.path("pki", "kube-scheduler.kubeconfig")
	return l.program("kube-scheduler", "--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--cert-dir="+l.path("certs"))
}

func (l *Lab) proxy() *exec.Cmd {
	return l.program("kube-proxy", "--kubeconfig="+l.path("pki", "kube-proxy.kubeconfig"), "--proxy-mode=iptables", "--cluster-cidr="+podNetwork,
		"--hostname-override="+NodeName, "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
		"--oom-score-adj=0", "--bind-address="+NodeIP, "--healthz-bind-address=127.0.0.1:10256", "--metrics-bind-address=127.0.0.1:10249",
		"--iptables-min-sync-period=100ms")
}

func (l *Lab) kubelet() *exec.Cmd {
	cmd := l.program("kubelet", "--config="+l.path("kubelet.json"), "--kubeconfig="+l.path("pki", "kubelet.kubeconfig"), "--hostname-override="+NodeName,
		"--node-ip="+NodeIP, "--root-dir="+l.path("kubelet"), "--cert-dir="+l.path("certs"))
	cmd.Env = []string{"PATH=" + strings.Join([]string{os.Getenv("PATH"), "/usr/sbin", "/sbin"}, ":"), "HOME=" + l.dir}
	return cmd
}
