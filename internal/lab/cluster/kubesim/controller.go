// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"fmt"
	"runtime"
)

// nodeName is the name of the only node.
const nodeName = "localhost"

// nodeLabels are those that a kubelet gives its node.
var nodeLabels = object{"kubernetes.io/os": runtime.GOOS, "kubernetes.io/arch": runtime.GOARCH, "kubernetes.io/hostname": nodeName}

// controller keeps ReplicationControllers and pods in step. Its methods want the store's lock to be held.
type controller struct {
	store   *store
	kubelet *kubelet
}

// changed reacts to a created or updated object.
func (c *controller) changed(col collection, o object) {
	if col.resource != "replicationcontrollers" {
		return
	}
	replicas, _ := at(o, "spec")["replicas"].(float64)
	c.scale(col, o, int(replicas))
	c.countPods(col, nameOf(o))
}

// removed reacts to a deleted object.
func (c *controller) removed(col collection, o object) {
	switch col.resource {
	case "replicationcontrollers":
		c.scale(col, o, 0)
	case "pods":
		c.kubelet.stop(col.namespace, nameOf(o))
		rcs := controllersIn(col.namespace)
		if rc := c.store.get(rcs, ownerOf(o)); rc != nil {
			c.changed(rcs, rc)
		}
	}
}

// podStatusChanged brings the status of a pod's ReplicationController up to date.
func (c *controller) podStatusChanged(pod object) {
	c.countPods(controllersIn(textAt(pod, "metadata", "namespace")), ownerOf(pod))
}

// scale makes or deletes pods until a ReplicationController has as many as wanted.
func (c *controller) scale(col collection, rc object, want int) {
	have := c.podsOf(col.namespace, nameOf(rc))
	for len(have) > want {
		last := nameOf(have[len(have)-1])
		have = have[:len(have)-1]
		c.store.remove(podsIn(col.namespace), last)
		c.kubelet.stop(col.namespace, last)
	}
	for n := len(have); n < want; n++ {
		c.kubelet.start(clone(c.store.put(podsIn(col.namespace), newPod(rc))))
	}
}

// newPod makes a pod of a ReplicationController's template.
func newPod(rc object) object {
	template := clone(at(rc, "spec", "template"))
	spec := at(template, "spec")
	if spec != nil {
		spec["nodeName"] = nodeName
	}
	return object{
		"metadata": object{
			"name":        nameOf(rc) + "-" + randomHex(5),
			"labels":      metaOf(template)["labels"],
			"annotations": metaOf(template)["annotations"],
			"ownerReferences": []any{object{"apiVersion": "v1", "kind": "ReplicationController", "name": nameOf(rc),
				"uid": metaOf(rc)["uid"], "controller": true}},
		},
		"spec":   spec,
		"status": object{"phase": "Pending"},
	}
}

// countPods updates a ReplicationController's status.
func (c *controller) countPods(col collection, name string) {
	rc := c.store.get(col, name)
	if rc == nil {
		return
	}
	replicas, ready := 0, 0
	for _, pod := range c.podsOf(col.namespace, name) {
		replicas++
		if isReady(pod) {
			ready++
		}
	}
	status := object{"replicas": replicas, "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": 1}
	if fmt.Sprint(status) != fmt.Sprint(rc["status"]) {
		rc = clone(rc)
		rc["status"] = status
		c.store.put(col, rc)
	}
}

func (c *controller) podsOf(namespace, rc string) []object {
	return c.store.list(podsIn(namespace), func(pod object) bool { return ownerOf(pod) == rc })
}

// ownerOf returns the name of the ReplicationController that made a pod, or "".
func ownerOf(pod object) string {
	for _, ref := range listAt(pod, "metadata", "ownerReferences") {
		return textAt(ref, "name")
	}
	return ""
}

// isReady says whether a pod's Ready condition is true.
func isReady(pod object) bool {
	for _, condition := range listAt(pod, "status", "conditions") {
		if textAt(condition, "type") == "Ready" {
			return textAt(condition, "status") == "True"
		}
	}
	return false
}

func podsIn(namespace string) collection    { return collection{"v1", "pods", namespace} }
func secretsIn(namespace string) collection { return collection{"v1", "secrets", namespace} }
func controllersIn(namespace string) collection {
	return collection{"v1", "replicationcontrollers", namespace}
}
