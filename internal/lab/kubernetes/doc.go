// SPDX-License-Identifier: Apache-2.0

// Package kubernetes runs a real Kubernetes of one node on this machine, without Docker and without a virtual machine:
// etcd, kube-apiserver with RBAC, kube-controller-manager, kube-scheduler, kube-proxy and a kubelet, whose pods containerd
// and runc run.
//
// It is for tests that the single-machine cluster of package cluster cannot make: what names, labels, quantities and pod
// specifications Kubernetes takes, how images are pulled, and what limits, security contexts, Services and deleted pods do.
//
// The programs of Kubernetes are built once from the nested module in folder binaries and kept in the user's cache folder,
// which takes about five minutes on two processors. containerd, runc, the network plugins, iptables and iproute2 are
// Debian's; CheckPackages says what is missing. It takes root.
//
// All of it runs in namespaces of its own, for processes, mounts and the network: Isolate runs the calling program again
// inside. So a lab sees no other lab and none of the machine's network, its addresses are the same everywhere, labs run
// side by side, and the kernel ends everything with it: processes, mounts, network devices and firewall rules. What the
// kernel would leave behind, control groups and a folder with all temporary files, is removed by the process outside or, if
// that was killed, by the next lab.
//
// Inside, the program reaches pods and Services at their own addresses. A pod reaches what listens on the loopback addresses
// of the program, so that the servers for trials need not know where they are used: connections of a pod to a port of
// 127.0.0.0/8 from HostPorts on go to the program's.
//
// A lab is ready after 10 seconds, and Pachyderm in it after 20, on two processors; that its folder and control groups are
// gone takes 3 more. Command cmd starts one to look at. Package cluster runs Pachyderm in one, for tests with LAB=kubernetes.
// To them it differs from the single-machine cluster in this:
//
//   - A container has the files of its image and no others. The images of a folder have what is in it, and those of the
//     machine's own files a shell and small programs. What was pulled stays: an image that changes takes another tag.
//   - A pod has its own address, loopback address and ports. The webhook of a spout is at the pod's address, or at that of
//     a Service, and not at the program's 127.0.0.1.
//   - The lock of a worker that was killed lasts for 15 seconds, in which the next one waits. A container that ends again and
//     again is started again after 10 seconds and more, or after one second where cluster.Options ask for less than that.
//   - Whatever does not suit Kubernetes is refused by it, in its own words; the imitation takes all.
//   - A pod waits for a node that suits it in every way; the imitation's waits for one that has the labels that it selects.
//   - pachd is at port 30650 of the program's 127.0.0.1, and not at 1650.
//   - The node has this machine's processors: pachd is told to ask for little where a spout says nothing.
//
// What is not there: a second node, DNS, load balancers, storage classes, the network outside. Control groups are those of
// version 1 or 2, as the machine has them; the limits of version 2 have not been tried.
package kubernetes
