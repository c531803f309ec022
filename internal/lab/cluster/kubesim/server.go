// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"time"
)

const loopback = "127.0.0.1"

// Names of the containers of a worker pod. Pachyderm lets a spout's output branch be written only through a pachd that
// has the pipeline in its environment; that is the storage container's.
const (
	UserContainer    = "user"
	StorageContainer = "storage"
)

// Config says what a Server serves and how it runs pods.
type Config struct {
	Addr             string            // to serve on, such as 127.0.0.1:18080
	Namespace        string            // of all objects made at the start
	PachdPod         string            // name of the pod object that stands for pachd itself
	PostgresPassword string            // kept in the secret that pachd passes on to its workers
	Services         []Service         // that pods find in their environment
	Programs         string            // folder with the programs pachd, worker and pachctl
	PodDir           string            // for the pods' logs and volumes
	PortBase         int               // first of the pods' ports, ten to a pod
	Images           map[string]string // see Server.SetImage
	BackOff          time.Duration     // first delay of CrashLoopBackOff; doubles up to 30 times this
	Log              *log.Logger       // what happens to pods

	// WorkerStarts and WorkerEnded, if set, are called before the process of a user container starts and after it has
	// ended. The next one doesn't start before WorkerEnded has returned.
	WorkerStarts, WorkerEnded func(Worker)

	command func(sandbox) (*exec.Cmd, error) // in place of sandbox.command, in tests
}

// Service is a service on the loopback address.
type Service struct {
	Name  string
	Ports []Port
}

// Port is a named port of a Service.
type Port struct {
	Name   string
	Number int
}

// Worker names one run of a user container.
type Worker struct {
	Pod, Project, Pipeline string
	EtcdPrefix             string // of the keys it writes
}

// Server is a running Kubernetes stand-in.
type Server struct {
	store    *store
	ctl      *controller
	kubelet  *kubelet
	images   *images
	http     *http.Server
	listener net.Listener
	log      *log.Logger
}

// Start begins to serve. Stop ends it.
func Start(cfg Config) (*Server, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	if s.listener, err = net.Listen("tcp", cfg.Addr); err != nil {
		return nil, fmt.Errorf("kubernetes stand-in: %w", err)
	}
	s.http = &http.Server{Handler: withoutBrowsers(s), ErrorLog: cfg.Log, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Printf("API server: %v", err)
		}
	}()
	return s, nil
}

// withoutBrowsers refuses what pages of others, open in a browser of this machine, may send: pods are made here, and
// nobody is asked for a password.
func withoutBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil || net.ParseIP(host) == nil || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			http.Error(w, "not for browsers", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func newServer(cfg Config) (*Server, error) {
	images, err := newImages(cfg.Images)
	if err != nil {
		return nil, err
	}
	st := newStore()
	kl := newKubelet(cfg, st, images)
	ctl := &controller{store: st, kubelet: kl}
	kl.statusChanged = ctl.podStatusChanged
	seed(st, cfg)
	return &Server{store: st, ctl: ctl, kubelet: kl, images: images, log: cfg.Log}, nil
}

// Stop ends the API server and every pod. It returns once their processes are gone.
func (s *Server) Stop() error {
	err := s.http.Close()
	s.kubelet.stopAll()
	return err
}

// SetImage says which folder stands for an image: its entries appear in the root folder of containers, over the host's
// own. name may also be the beginning of image names; the longest one counts. Without a folder, or while it is missing,
// the image cannot be pulled. HostFiles is one that has nothing of its own.
func (s *Server) SetImage(name, folder string) error { return s.images.set(name, folder) }

// RemoveImage forgets what SetImage said: the image cannot be pulled any more.
func (s *Server) RemoveImage(name string) { s.images.remove(name) }

// Pods returns the worker pods, by name.
func (s *Server) Pods() []Pod { return s.kubelet.list() }

// Await waits for a worker pod that satisfies the condition, and returns it.
func (s *Server) Await(ctx context.Context, condition func(Pod) bool) (Pod, error) {
	return s.kubelet.await(ctx, condition)
}

// DeletePod deletes a pod as kubectl does; its controller makes another.
func (s *Server) DeletePod(name string) error {
	s.store.Lock()
	defer s.store.Unlock()
	pods := podsIn(s.kubelet.cfg.Namespace)
	pod := s.store.remove(pods, name)
	if pod == nil {
		return fmt.Errorf("no pod %s", name)
	}
	s.ctl.removed(pods, pod)
	return nil
}

// Signal sends a signal to a container's program, not to what that has put into process groups of their own. SIGKILL ends
// everything in the container; Signal then returns once it has ended.
func (s *Server) Signal(pod, container string, sig syscall.Signal) error {
	return s.kubelet.signal(pod, container, sig)
}

// LogPath returns where the log of a container is, or would be.
func (s *Server) LogPath(pod, container string) string { return s.kubelet.logPath(pod, container) }

// seed makes the objects that an installation of Pachyderm would have made.
func seed(s *store, cfg Config) {
	s.Lock()
	defer s.Unlock()
	labels := object{"app": "pachd", "suite": "pachyderm"}
	s.put(collection{"v1", "namespaces", ""}, object{"metadata": object{"name": cfg.Namespace}})
	s.put(collection{"v1", "nodes", ""}, object{"metadata": object{"name": nodeName, "labels": nodeLabels},
		"status": object{"nodeInfo": object{"kubeletVersion": gitVersion}}})
	const secret, passwordKey = "postgres", "postgresql-password"
	s.put(secretsIn(cfg.Namespace), object{"metadata": object{"name": secret},
		"stringData": object{passwordKey: cfg.PostgresPassword}})
	s.put(secretsIn(cfg.Namespace), object{"metadata": object{"name": "pachyderm-storage-secret", "labels": labels},
		"data": object{}})
	// pachd reads its own pod to learn which secret has the password of PostgreSQL.
	s.put(podsIn(cfg.Namespace), object{
		"metadata": object{"name": cfg.PachdPod, "labels": labels},
		"spec": object{"nodeName": nodeName, "containers": []any{object{"name": "pachd", "image": "pachyderm/pachd",
			"env": []any{object{"name": "POSTGRES_PASSWORD", "valueFrom": object{
				"secretKeyRef": object{"name": secret, "key": passwordKey}}}}}}},
		"status": object{"phase": "Running", "podIP": loopback, "hostIP": loopback},
	})
	for name, replicas := range map[string]int{"pachd": 1, "pachw": 0} {
		s.put(collection{"apps/v1", "deployments", cfg.Namespace}, object{
			"metadata": object{"name": name, "labels": object{"app": name, "suite": "pachyderm"}},
			"spec":     object{"replicas": replicas}})
	}
	for _, service := range cfg.Services {
		var ports []any
		for _, port := range service.Ports {
			ports = append(ports, object{"name": port.Name, "port": port.Number, "protocol": "TCP"})
		}
		s.put(collection{"v1", "services", cfg.Namespace}, object{
			"metadata": object{"name": service.Name, "labels": object{"app": service.Name, "suite": "pachyderm"}},
			"spec":     object{"clusterIP": loopback, "ports": ports}})
	}
}
