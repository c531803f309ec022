// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// collection is one resource of one API version in one namespace, such as v1 pods in default. An empty namespace stands
// for all of them in list and watch.
type collection struct {
	version, resource, namespace string
}

func (c collection) contains(other collection) bool {
	return c.version == other.version && c.resource == other.resource &&
		(c.namespace == "" || c.namespace == other.namespace)
}

// kinds names the kinds of the resources that clients decode into types of their own.
var kinds = map[string]string{
	"configmaps": "ConfigMap", "deployments": "Deployment", "events": "Event", "namespaces": "Namespace",
	"nodes": "Node", "persistentvolumeclaims": "PersistentVolumeClaim", "pods": "Pod", "replicasets": "ReplicaSet",
	"replicationcontrollers": "ReplicationController", "secrets": "Secret", "serviceaccounts": "ServiceAccount",
	"services": "Service", "statefulsets": "StatefulSet",
}

// store holds every object, and tells watchers of changes. All of its methods want the lock to be held, and the objects
// they return belong to the store: clone them before changing them or letting go of the lock.
type store struct {
	sync.Mutex
	revision int64
	objects  map[key]object
	watchers map[*watcher]bool
}

type key struct {
	collection
	name string
}

func newStore() *store {
	return &store{objects: map[key]object{}, watchers: map[*watcher]bool{}}
}

func (s *store) get(c collection, name string) object { return s.objects[key{c, name}] }

// put creates or replaces an object, filling in what an API server fills in, and returns the stored one.
func (s *store) put(c collection, o object) object {
	o = clone(o)
	k := key{c, nameOf(o)}
	old, event := s.objects[k], "ADDED"
	meta := metaOf(o)
	if old != nil {
		event = "MODIFIED"
		meta["uid"], meta["creationTimestamp"] = metaOf(old)["uid"], metaOf(old)["creationTimestamp"]
	} else {
		meta["uid"], meta["creationTimestamp"] = newUID(), timestamp(time.Now())
	}
	if c.namespace != "" {
		meta["namespace"] = c.namespace
	}
	o["apiVersion"] = c.version
	if kind := kinds[c.resource]; kind != "" {
		o["kind"] = kind
	}
	switch c.resource {
	case "secrets":
		completeSecret(o)
	case "services":
		if spec := at(o, "spec"); spec != nil && spec["clusterIP"] == nil {
			spec["clusterIP"] = loopback
		}
	}
	s.stamp(o)
	s.objects[k] = o
	s.notify(event, c, o)
	return o
}

// remove deletes an object, and returns it or nil.
func (s *store) remove(c collection, name string) object {
	k := key{c, name}
	o := s.objects[k]
	if o != nil {
		delete(s.objects, k)
		s.stamp(o)
		s.notify("DELETED", c, o)
	}
	return o
}

func (s *store) stamp(o object) {
	s.revision++
	metaOf(o)["resourceVersion"] = strconv.FormatInt(s.revision, 10)
}

// list returns the selected objects of a collection by namespace and name. It is never nil: an empty list is [] in JSON.
func (s *store) list(c collection, selected predicate) []object {
	var keys []key
	for k, o := range s.objects {
		if c.contains(k.collection) && selected(o) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return strings.Compare(a.namespace+"/"+a.name, b.namespace+"/"+b.name)
	})
	out := make([]object, 0, len(keys))
	for _, k := range keys {
		out = append(out, s.objects[k])
	}
	return out
}

// watcher is one open watch. Its channel is closed if it falls too far behind.
type watcher struct {
	collection
	selected predicate
	events   chan object
}

func (s *store) watch(c collection, selected predicate) *watcher {
	w := &watcher{c, selected, make(chan object, 1000)}
	s.watchers[w] = true
	return w
}

func (s *store) unwatch(w *watcher) { delete(s.watchers, w) }

func (s *store) notify(event string, c collection, o object) {
	for w := range s.watchers {
		if !w.contains(c) || !w.selected(o) {
			continue
		}
		select {
		case w.events <- watchEvent(event, clone(o)):
		default: // too slow; the client will list and watch again
			delete(s.watchers, w)
			close(w.events)
		}
	}
}

func watchEvent(kind string, o object) object { return object{"type": kind, "object": o} }

// completeSecret moves stringData to data and sets the default type.
func completeSecret(o object) {
	if text := at(o, "stringData"); text != nil {
		data := at(o, "data")
		if data == nil {
			data = object{}
		}
		for key := range text {
			data[key] = base64.StdEncoding.EncodeToString([]byte(textAt(text, key)))
		}
		o["data"] = data
		delete(o, "stringData")
	}
	if o["type"] == nil {
		o["type"] = "Opaque"
	}
}
