// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"fmt"
	"io"
	"net"
)

// forward lets pachd call a pod's worker, and returns what ends that. pachd dials the same port at each pod's own
// address; here all workers share an address, so the pod's passes connections on to the port its worker has.
func (k *kubelet) forward(p *pod) (end func()) {
	ln, err := net.Listen("tcp", net.JoinHostPort(p.ip, p.declaredWorkerPort()))
	if err != nil {
		k.cfg.Log.Printf("pod %s: pachd will not reach the worker: %v", p.name, err)
		return func() {}
	}
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go relay(in, fmt.Sprintf("%s:%d", loopback, p.workerPort()))
		}
	}()
	return func() { _ = ln.Close() }
}

// declaredWorkerPort is the port that pachd told the worker to listen on.
func (p *pod) declaredWorkerPort() string {
	for _, c := range p.containers {
		for _, v := range listAt(c.spec, "env") {
			if textAt(v, "name") == "PPS_WORKER_GRPC_PORT" {
				return textAt(v, "value")
			}
		}
	}
	return "1080"
}

// relay passes bytes both ways until either side ends.
func relay(in net.Conn, to string) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}
