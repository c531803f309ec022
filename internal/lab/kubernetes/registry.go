// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubernetes

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// registryPort is where the registry listens that the node asks for every image.
const registryPort = 5000

// RegistryName is the name under which the registry asks for passwords: the node sends them to no other in its place.
const RegistryName = NodeIP + ":5000"

// registry stands for all registries: it has the images that it was given, under their full names.
type registry struct {
	mu     sync.Mutex
	images map[string]func() (*Image, error) // by name with registry and tag, or the beginning of one
	login  map[string]string                 // registry's name: user:password that it asks for
	pulls  map[string]int                    // how often a manifest was asked for, by name
	server http.Server
}

func newRegistry() *registry {
	r := &registry{images: map[string]func() (*Image, error){}, login: map[string]string{}, pulls: map[string]int{}}
	r.server.Handler = r
	return r
}

func (r *registry) listen() error {
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", NodeIP, registryPort))
	if err != nil {
		return err
	}
	go func() { _ = r.server.Serve(listener) }() // ends by Close
	return nil
}

// fullName gives a name the registry that is meant where it names none.
func fullName(name string) string {
	first, _, several := strings.Cut(name, "/")
	switch {
	case !several:
		return "docker.io/library/" + name
	case strings.ContainsAny(first, ".:") || first == "localhost":
		return name
	default:
		return "docker.io/" + name
	}
}

// set gives the registry an image. name has a tag, or is the beginning of names that all stand for it. make is called
// for each pull.
func (r *registry) set(name string, make func() (*Image, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[fullName(name)] = make
}

func (r *registry) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.images, fullName(name))
}

// find returns the image of a name with a tag, or that with a digest whatever its tag.
func (r *registry) find(name, reference string) (*Image, error) {
	r.mu.Lock()
	longest, found := "", (func() (*Image, error))(nil)
	wanted := name + ":" + reference
	if strings.HasPrefix(reference, "sha256:") {
		wanted = name
	}
	var candidates []func() (*Image, error)
	for n, image := range r.images {
		if strings.HasPrefix(wanted, n) && len(n) >= len(longest) {
			longest, found = n, image
		}
		if strings.HasPrefix(n, name+":") || strings.HasPrefix(name, n) {
			candidates = append(candidates, image)
		}
	}
	r.mu.Unlock()
	if !strings.HasPrefix(reference, "sha256:") {
		if found == nil {
			return nil, nil
		}
		return found()
	}
	for _, candidate := range candidates {
		image, err := candidate()
		if err == nil && hasBlob(image, reference) {
			return image, nil
		}
	}
	return nil, nil
}

func hasBlob(image *Image, digest string) bool { _, ok := image.blobs[digest]; return ok }

// ServeHTTP is the part of the distribution API that pulls take. The node says in ns which registry is meant.
func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	host := cmp.Or(req.URL.Query().Get("ns"), req.Host)
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	r.mu.Lock()
	login := r.login[host]
	r.mu.Unlock()
	if user, password, _ := req.BasicAuth(); login != "" && user+":"+password != login {
		w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	}
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	if name, reference, ok := strings.Cut(path, "/manifests/"); ok {
		r.manifest(w, req, host+"/"+name, reference)
		return
	}
	if name, digest, ok := strings.Cut(path, "/blobs/"); ok {
		image, err := r.find(host+"/"+name, digest)
		if err != nil || image == nil {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", fmt.Sprintf("blob unknown to registry (%v)", err))
			return
		}
		image.blobs[digest].serve(w, req, "application/octet-stream", digest)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (r *registry) manifest(w http.ResponseWriter, req *http.Request, name, reference string) {
	r.mu.Lock()
	if req.Method == http.MethodGet {
		r.pulls[name]++
	}
	r.mu.Unlock()
	image, err := r.find(name, reference)
	if err != nil || image == nil {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", fmt.Sprintf("manifest unknown (%v)", err))
		return
	}
	digest, mediaType := image.digest, image.mediaType
	if strings.HasPrefix(reference, "sha256:") && reference != digest {
		digest, mediaType = reference, ociManifest // of one platform
	}
	image.blobs[digest].serve(w, req, mediaType, digest)
}

func (b blob) serve(w http.ResponseWriter, req *http.Request, mediaType, digest string) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", fmt.Sprint(b.size))
	if req.Method == http.MethodHead {
		return
	}
	if b.path == "" {
		_, _ = w.Write(b.content)
		return
	}
	http.ServeFile(w, req, b.path)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

// writeHosts has containerd ask this registry in place of every other.
func writeHosts(dir string) error {
	folder := filepath.Join(dir, "_default")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("server = \"http://%s:%d\"\n\n[host.\"http://%[1]s:%[2]d\"]\n  capabilities = [\"pull\", \"resolve\"]\n", NodeIP, registryPort)
	return os.WriteFile(filepath.Join(folder, "hosts.toml"), []byte(text), 0o644)
}
