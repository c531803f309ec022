// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/admin"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/pachyderm/pachyderm/v2/src/transaction"
	"github.com/pachyderm/pachyderm/v2/src/version/versionpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// The versions that the fake imitates.
const (
	Version26  = "2.6.0"
	Version211 = "2.11.6"
)

// maxMessage is pachd's limit of one gRPC message.
const maxMessage = 20 << 20

// Option configures a Server.
type Option func(*Server)

// WithVersion chooses the behaviour of Version26 (the default) or Version211.
func WithVersion(version string) Option { return func(s *Server) { s.version = version } }

// WithAuth turns authentication on; rootToken is the token of pach:root.
func WithAuth(rootToken string) Option { return func(s *Server) { s.auth = newAuthState(rootToken) } }

// WithFinishDelay lets commits stay FINISHING for d. Without it they are
// finished at once, though on another goroutine.
func WithFinishDelay(d time.Duration) Option { return func(s *Server) { s.finishDelay = d } }

// WithClock sets the clock of timestamps, file sets' and tokens' lifetimes.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.clock = now } }

// WithoutNetwork lets the server listen nowhere: it is called by way of
// [Server.Direct] only, as from inside a [testing/synctest] bubble.
func WithoutNetwork() Option { return func(s *Server) { s.offline = true } }

// WithClusterID sets what InspectCluster answers.
func WithClusterID(id, deploymentID string) Option {
	return func(s *Server) { s.clusterID, s.deploymentID = id, deploymentID }
}

// WithEnterprise lifts the limits of the Community edition.
func WithEnterprise() Option { return func(s *Server) { s.enterprise = true } }

// Server is a fake pachd and its sidecars. All methods are safe for concurrent
// use. Fields other than mu are set at the start or belong to mu.
type Server struct {
	version                 string
	v211, enterprise        bool
	clock                   func() time.Time
	finishDelay             time.Duration
	clusterID, deploymentID string
	clusterDefaults         string
	offline                 bool

	network *network
	main    *side
	calls   callLog
	faults  faultPlan
	wg      sync.WaitGroup // goroutines that work on the state

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced at each change
	seq        int64
	closed     bool
	projects   map[string]*project
	repos      map[repoKey]*repo
	pipelines  map[pipelineKey]*pipeline
	secrets    map[string]*secret
	fileSets   map[string]*fileSet
	sidecars   map[pipelineKey]*side
	auth       *authState
	panics     []string
	holds      int      // HoldFinishing calls not yet released
	validation []string // FailNextValidation
	hooks      []func(PipelineEvent)
	events     map[pipelineKey]chan struct{} // closed when the latest event was handled
	silent     bool                          // SilenceRunners
	keepLogs   bool                          // KeepLogs
	broken     map[string]string             // image to reason
}

// side is one pachd process: the main one or a pipeline's sidecar.
type side struct {
	server   *Server
	kind     Side
	pipeline pipelineKey // of a sidecar
	grpc     *grpc.Server
	listener *listener
}

// New starts a server for a test and ends it with the test.
func New(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s, err := Start(opts...)
	if err != nil {
		tb.Fatalf("starting a fake pachd: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Start starts a server on a loopback port. Close ends it.
func Start(opts ...Option) (*Server, error) {
	s := &Server{
		version:      Version26,
		clock:        time.Now,
		clusterID:    newID(),
		deploymentID: newID(),
		network:      newNetwork(),
		changed:      make(chan struct{}),
		projects:     map[string]*project{},
		repos:        map[repoKey]*repo{},
		pipelines:    map[pipelineKey]*pipeline{},
		secrets:      map[string]*secret{},
		fileSets:     map[string]*fileSet{},
		sidecars:     map[pipelineKey]*side{},
		events:       map[pipelineKey]chan struct{}{},
		broken:       map[string]string{},
	}
	for _, opt := range opts {
		opt(s)
	}
	s.v211 = s.version != Version26
	s.projects[pfs.DefaultProjectName] = &project{name: pfs.DefaultProjectName, created: s.now()}
	if s.auth != nil {
		s.auth.bind(projectResource(pfs.DefaultProjectName), auth.AllClusterUsersSubject, auth.ProjectWriterRole)
	}
	var err error
	if !s.offline {
		s.main, err = s.serve(Main, pipelineKey{})
	}
	return s, err
}

// Close ends the server and all its sidecars.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	var sides []*side
	if !s.offline {
		sides = append(sides, s.main)
	}
	for _, sd := range s.sidecars {
		sides = append(sides, sd)
	}
	s.mu.Unlock()
	s.network.resume(AnySide)
	for _, sd := range sides {
		sd.grpc.Stop()
	}
	s.wg.Wait()
}

// Version is the version that the server imitates.
func (s *Server) Version() string { return s.version }

// Address is the main pachd's, as grpc://127.0.0.1:PORT.
func (s *Server) Address() string { return "grpc://" + s.main.listener.Addr().String() }

// Sidecar is the address of the pachd beside a pipeline's worker, in the form
// of Address. The first call starts it; the pipeline need not exist yet.
func (s *Server) Sidecar(project, pipeline string) string {
	key := pipelineKey{orDefault(project), pipeline}
	s.mu.Lock()
	defer s.mu.Unlock()
	sd := s.sidecars[key]
	if sd == nil {
		var err error
		if sd, err = s.serve(Sidecar, key); err != nil {
			panic(err) // no loopback port left: nothing a test could do about it
		}
		s.sidecars[key] = sd
	}
	return "grpc://" + sd.listener.Addr().String()
}

// Panics lists what would have crashed a 2.6 server.
func (s *Server) Panics() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.panics...)
}

func (s *Server) serve(kind Side, pipeline pipelineKey) (*side, error) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	sd := &side{server: s, kind: kind, pipeline: pipeline}
	sd.listener = s.network.listener(tcp, sd)
	ppsServer := &ppsAPI{Server: s, side: sd}
	sd.grpc = grpc.NewServer(
		grpc.UnknownServiceHandler(sd.unknownMethod(ppsServer)),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(sd.unary),
		grpc.StreamInterceptor(sd.stream),
	)
	pfs.RegisterAPIServer(sd.grpc, &pfsAPI{Server: s, side: sd})
	pps.RegisterAPIServer(sd.grpc, ppsServer)
	auth.RegisterAPIServer(sd.grpc, &authAPI{Server: s})
	transaction.RegisterAPIServer(sd.grpc, &transactionAPI{Server: s})
	if kind == Main {
		versionpb.RegisterAPIServer(sd.grpc, &versionAPI{Server: s})
		admin.RegisterAPIServer(sd.grpc, &adminAPI{Server: s})
	}
	h := health.NewServer()
	h.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(sd.grpc, h)
	s.wg.Go(func() { sd.grpc.Serve(sd.listener) }) //nolint:errcheck // ends by Close
	return sd, nil
}
