// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// gitVersion is the version of Kubernetes that clients are told.
const gitVersion = "v1.27.0-kubesim"

// call is a parsed API request. name is empty for a whole collection.
type call struct {
	collection
	name, subresource string
	selected          predicate
	body              object
}

// ServeHTTP answers a request to the Kubernetes API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if serveDiscovery(w, path) {
		return
	}
	c, ok := parsePath(path)
	if !ok {
		writeStatus(w, http.StatusNotFound, "NotFound", "no such path "+r.URL.Path)
		return
	}
	query := r.URL.Query()
	c.selected = parseSelector(query.Get("labelSelector"), query.Get("fieldSelector"))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	changes := r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch
	if changes && len(bytes.TrimSpace(body)) > 0 {
		if err := json.Unmarshal(body, &c.body); err != nil {
			writeStatus(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType", "only JSON objects are taken: "+err.Error())
			return
		}
	}
	if c.body == nil {
		c.body = object{}
	}
	watch := query.Get("watch") == "true" || query.Get("watch") == "1"
	switch {
	case c.subresource == "log" && r.Method == http.MethodGet:
		s.serveLog(w, r, c)
	case watch && r.Method == http.MethodGet && c.name == "":
		s.serveWatch(w, r, c)
	default:
		s.serveObject(w, r.Method, c)
	}
}

// serveDiscovery answers the paths that are no objects.
func serveDiscovery(w http.ResponseWriter, path []string) bool {
	switch {
	case path[0] == "version":
		writeJSON(w, http.StatusOK, object{"major": "1", "minor": "27", "gitVersion": gitVersion})
	case path[0] == "healthz", path[0] == "livez", path[0] == "readyz":
		_, _ = io.WriteString(w, "ok")
	case len(path) == 1 && path[0] == "api":
		writeJSON(w, http.StatusOK, object{"kind": "APIVersions", "versions": []string{"v1"}})
	case len(path) == 1 && path[0] == "apis":
		writeJSON(w, http.StatusOK, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{}})
	case len(path) == 2 && path[0] == "api", len(path) == 3 && path[0] == "apis":
		writeJSON(w, http.StatusOK, object{"kind": "APIResourceList", "apiVersion": "v1",
			"groupVersion": strings.Join(path[1:], "/"), "resources": []any{}})
	default:
		return false
	}
	return true
}

// parsePath parses /api/VERSION/REST and /apis/GROUP/VERSION/REST, where REST is
// [namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]].
func parsePath(path []string) (call, bool) {
	var c call
	switch {
	case path[0] == "api" && len(path) > 2:
		c.version, path = path[1], path[2:]
	case path[0] == "apis" && len(path) > 3:
		c.version, path = path[1]+"/"+path[2], path[3:]
	default:
		return c, false
	}
	if len(path) >= 3 && path[0] == "namespaces" {
		c.namespace, path = path[1], path[2:]
	}
	path = append(path, "", "")
	c.resource, c.name, c.subresource = path[0], path[1], path[2]
	return c, true
}

// serveObject does everything but watches and logs.
func (s *Server) serveObject(w http.ResponseWriter, method string, c call) {
	s.store.Lock()
	defer s.store.Unlock()
	var old object
	if c.name != "" {
		if old = s.store.get(c.collection, c.name); old == nil {
			writeStatus(w, http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", c.resource, c.name))
			return
		}
	}
	replaces := (method == http.MethodPut || method == http.MethodPatch) && old != nil
	switch {
	case method == http.MethodGet && old == nil:
		writeJSON(w, http.StatusOK, object{"kind": kinds[c.resource] + "List", "apiVersion": c.version,
			"metadata": object{"resourceVersion": strconv.FormatInt(s.store.revision, 10)},
			"items":    s.store.list(c.collection, c.selected)})
	case method == http.MethodGet:
		writeJSON(w, http.StatusOK, old)
	case method == http.MethodPost && old == nil:
		s.create(w, c)
	case replaces && c.subresource == "scale":
		s.rescale(w, c, old)
	case replaces:
		s.replace(w, c, old, method == http.MethodPatch)
	case method == http.MethodDelete:
		s.delete(w, c, old)
	default:
		writeStatus(w, http.StatusMethodNotAllowed, "MethodNotAllowed", method+" of "+c.resource)
	}
}

func (s *Server) create(w http.ResponseWriter, c call) {
	if prefix := textAt(c.body, "metadata", "generateName"); nameOf(c.body) == "" && prefix != "" {
		metaOf(c.body)["name"] = prefix + randomHex(5)
	}
	name := nameOf(c.body)
	if name == "" {
		writeStatus(w, http.StatusUnprocessableEntity, "Invalid", "name required")
		return
	}
	if s.store.get(c.collection, name) != nil {
		writeStatus(w, http.StatusConflict, "AlreadyExists", fmt.Sprintf("%s %q already exists", c.resource, name))
		return
	}
	o := s.store.put(c.collection, c.body)
	s.ctl.changed(c.collection, o)
	writeJSON(w, http.StatusCreated, o)
}

// replace replaces or patches an object. The status changes only through the status subresource, and everything else
// only without it.
func (s *Server) replace(w http.ResponseWriter, c call, old object, patch bool) {
	o := c.body
	if patch {
		o = mergePatch(clone(old), o)
	} else if v := textAt(o, "metadata", "resourceVersion"); v != "" && v != textAt(old, "metadata", "resourceVersion") {
		writeStatus(w, http.StatusConflict, "Conflict", "the object has been modified")
		return
	}
	if c.subresource == "status" {
		whole := clone(old)
		whole["status"] = o["status"]
		o = whole
	} else if old["status"] != nil {
		o["status"] = old["status"]
	}
	metaOf(o)["name"] = c.name
	o = s.store.put(c.collection, o)
	s.ctl.changed(c.collection, o)
	writeJSON(w, http.StatusOK, o)
}

func (s *Server) rescale(w http.ResponseWriter, c call, old object) {
	spec := object{"replicas": at(c.body, "spec")["replicas"]}
	o := s.store.put(c.collection, mergePatch(clone(old), object{"spec": spec}))
	s.ctl.changed(c.collection, o)
	writeJSON(w, http.StatusOK, object{"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": o["metadata"], "spec": spec})
}

// delete removes an object, or the selected ones of a collection.
func (s *Server) delete(w http.ResponseWriter, c call, old object) {
	doomed := []object{old}
	if old == nil {
		doomed = s.store.list(c.collection, c.selected)
	}
	for _, o := range doomed {
		col := c.collection
		col.namespace = textAt(o, "metadata", "namespace")
		s.store.remove(col, nameOf(o))
		s.ctl.removed(col, o)
	}
	writeStatus(w, http.StatusOK, "", "")
}

// serveWatch streams changes until the client leaves. Without a resource version it first sends what is there; an older
// version than the present one is taken for the present one.
func (s *Server) serveWatch(w http.ResponseWriter, r *http.Request, c call) {
	var initial []object
	s.store.Lock()
	if version := r.URL.Query().Get("resourceVersion"); version == "" || version == "0" {
		for _, o := range s.store.list(c.collection, c.selected) {
			initial = append(initial, clone(o))
		}
	}
	watch := s.store.watch(c.collection, c.selected)
	s.store.Unlock()
	defer func() {
		s.store.Lock()
		s.store.unwatch(watch)
		s.store.Unlock()
	}()
	w.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(w)
	for _, o := range initial {
		if out.Encode(watchEvent("ADDED", o)) != nil {
			return
		}
	}
	flush := http.NewResponseController(w).Flush
	for flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case event, open := <-watch.events:
			if !open || out.Encode(event) != nil {
				return
			}
		}
	}
}

// logPoll is how often a followed log is looked at: files tell nobody that they grow.
const logPoll = 300 * time.Millisecond

// serveLog sends a container's log, or its last lines; previous and sinceSeconds are not known.
func (s *Server) serveLog(w http.ResponseWriter, r *http.Request, c call) {
	s.store.Lock()
	found := s.store.get(c.collection, c.name) != nil
	s.store.Unlock()
	if !found {
		writeStatus(w, http.StatusNotFound, "NotFound", fmt.Sprintf("pods %q not found", c.name))
		return
	}
	container := r.URL.Query().Get("container")
	if container == "" {
		container = UserContainer
	}
	w.Header().Set("Content-Type", "text/plain")
	f, err := os.Open(s.kubelet.logPath(c.name, container))
	if err != nil {
		return // nothing has been logged
	}
	defer func() { _ = f.Close() }()
	if lines, err := strconv.Atoi(r.URL.Query().Get("tailLines")); err == nil {
		if err := seekLastLines(f, lines); err != nil {
			return
		}
	}
	tick := time.NewTicker(logPoll)
	defer tick.Stop()
	for {
		if _, err := io.Copy(w, f); err != nil || r.URL.Query().Get("follow") != "true" {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// seekLastLines goes to where the last lines of a file begin.
func seekLastLines(f io.ReadSeeker, lines int) error {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for last := true; at > 0; last = false {
		n := min(at, int64(len(block)))
		at -= n
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.ReadFull(f, block[:n]); err != nil {
			return err
		}
		text := block[:n]
		if last && text[n-1] != '\n' { // the last line has not ended
			lines--
		}
		for i := bytes.LastIndexByte(text, '\n'); i >= 0; i = bytes.LastIndexByte(text[:i], '\n') {
			if lines--; lines < 0 {
				_, err := f.Seek(at+int64(i)+1, io.SeekStart)
				return err
			}
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// writeJSON answers with v. A client that has gone needs no answer, so errors are not reported.
func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// writeStatus answers with a Kubernetes Status object.
func writeStatus(w http.ResponseWriter, code int, reason, message string) {
	outcome := "Failure"
	if code < 300 {
		outcome = "Success"
	}
	writeJSON(w, code, object{"kind": "Status", "apiVersion": "v1", "metadata": object{},
		"status": outcome, "reason": reason, "message": message, "code": code})
}
