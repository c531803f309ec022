// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/auth"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// authState is who may do what. It belongs to Server.mu.
type authState struct {
	tokens   map[string]tokenInfo
	idTokens map[string]tokenInfo             // of the OIDC provider
	bindings map[resource]map[string][]string // principal to roles
}

type tokenInfo struct {
	principal string
	expires   time.Time // zero: never
}

type resource struct {
	kind auth.ResourceType
	name string
}

func clusterResource() resource            { return resource{kind: auth.ResourceType_CLUSTER} }
func projectResource(name string) resource { return resource{auth.ResourceType_PROJECT, name} }
func repoResource(key repoKey) resource {
	return resource{auth.ResourceType_REPO, key.project + "/" + key.name}
}

func newAuthState(rootToken string) *authState {
	a := &authState{tokens: map[string]tokenInfo{}, idTokens: map[string]tokenInfo{}, bindings: map[resource]map[string][]string{}}
	a.tokens[rootToken] = tokenInfo{principal: auth.RootUser}
	a.bind(clusterResource(), auth.RootUser, auth.ClusterAdminRole)
	return a
}

func (a *authState) bind(r resource, principal string, roles ...string) {
	if a.bindings[r] == nil {
		a.bindings[r] = map[string][]string{}
	}
	if principal == "" {
		return
	}
	if len(roles) == 0 {
		delete(a.bindings[r], principal)
		return
	}
	a.bindings[r][principal] = roles
}

// roles are those of a principal on a resource, with what it inherits from the
// project and the cluster.
func (a *authState) roles(principal string, r resource) []string {
	levels := []resource{r, clusterResource()}
	if project, _, ok := strings.Cut(r.name, "/"); ok && r.kind == auth.ResourceType_REPO {
		levels = append(levels, projectResource(project))
	}
	var roles []string
	for _, level := range levels {
		roles = append(roles, a.bindings[level][principal]...)
		roles = append(roles, a.bindings[level][auth.AllClusterUsersSubject]...)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

func (a *authState) mint(principal string, expires time.Time) string {
	token := newID()
	a.tokens[token] = tokenInfo{principal: principal, expires: expires}
	return token
}

// AddToken makes token valid for a principal such as robot:ci or
// user:a@example.com, which gets the roles on the cluster.
func (s *Server) AddToken(token, principal string, roles ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth.tokens[token] = tokenInfo{principal: principal}
	if len(roles) > 0 {
		s.auth.bind(clusterResource(), principal, roles...)
	}
}

// AddIDToken makes an id token valid for the user of an email address.
func (s *Server) AddIDToken(idToken, email string, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth.idTokens[idToken] = tokenInfo{principal: auth.UserPrefix + email, expires: expires}
}

// Grant gives a principal roles on a repo, or on a project if repo is empty.
func (s *Server) Grant(principal, project, repo string, roles ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := projectResource(project)
	if repo != "" {
		r = resource{auth.ResourceType_REPO, project + "/" + repo}
	}
	s.auth.bind(r, principal, roles...)
}

// PipelineToken is the token that a pipeline's pod has, or "" without
// authentication. Each update of the pipeline makes a new one.
func (s *Server) PipelineToken(project, pipeline string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pipelines[pipelineKey{project, pipeline}]; p != nil {
		return p.token
	}
	return ""
}

type callerKey struct{}

// caller is the principal of a call, or "" without authentication.
func caller(ctx context.Context) string {
	principal, _ := ctx.Value(callerKey{}).(string)
	return principal
}

var openServices = []string{"/versionpb_v2.API/", "/grpc.health.v1.Health/", "/admin_v2.API/", "/auth_v2.API/Authenticate"}

// authenticate finds out who calls, and checks the permissions that a method
// needs whatever its request.
func (s *Server) authenticate(ctx context.Context, call *Call) (context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.auth == nil && strings.HasPrefix(call.Method, "/auth_v2.API/") {
		return nil, auth.ErrNotActivated
	}
	if s.auth == nil || slices.ContainsFunc(openServices, func(p string) bool { return strings.HasPrefix(call.Method, p) }) {
		return ctx, nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	tokens := md.Get(auth.ContextTokenKey)
	if len(tokens) == 0 {
		return nil, auth.ErrNotSignedIn
	}
	info, ok := s.auth.tokens[tokens[0]]
	switch {
	case !ok:
		return nil, auth.ErrBadToken
	case !info.expires.IsZero() && s.clock().After(info.expires):
		return nil, auth.ErrExpiredToken
	}
	s.calls.update(func() { call.Principal = info.principal })
	ctx = context.WithValue(ctx, callerKey{}, info.principal)
	if needed, ok := methodPermissions[call.Method]; ok {
		return ctx, s.allow(ctx, clusterResource(), needed)
	}
	return ctx, nil
}

var methodPermissions = map[string]auth.Permission{
	"/pfs_v2.API/CreateProject":  auth.Permission_PROJECT_CREATE,
	"/pps_v2.API/CreateSecret":   auth.Permission_CLUSTER_CREATE_SECRET,
	"/pps_v2.API/ListSecret":     auth.Permission_CLUSTER_LIST_SECRETS,
	"/pps_v2.API/DeleteSecret":   auth.Permission_SECRET_DELETE,
	"/pps_v2.API/InspectSecret":  auth.Permission_SECRET_INSPECT,
	"/auth_v2.API/GetRobotToken": auth.Permission_CLUSTER_AUTH_GET_ROBOT_TOKEN,
}

// allow checks permissions. Callers hold s.mu.
func (s *Server) allow(ctx context.Context, r resource, needed ...auth.Permission) error {
	if s.auth == nil {
		return nil
	}
	roles := s.auth.roles(caller(ctx), r)
	for _, p := range needed {
		if slices.ContainsFunc(roles, func(role string) bool { return roleGrants(role, p) }) {
			continue
		}
		e := &auth.ErrNotAuthorized{Subject: caller(ctx), Resource: auth.Resource{Type: r.kind, Name: r.name}, Required: needed}
		if s.v211 {
			return status.Error(codes.PermissionDenied, e.Error())
		}
		return unknown("%s", e.Error())
	}
	return nil
}

func (s *Server) allowRepo(ctx context.Context, key repoKey, needed ...auth.Permission) error {
	return s.allow(ctx, repoResource(key), needed...)
}

// authAPI answers auth_v2 calls.
type authAPI struct {
	auth.UnimplementedAPIServer
	*Server
}

// active locks the state if authentication is on.
func (a *authAPI) active() (unlock func(), err error) {
	a.mu.Lock()
	if a.auth == nil {
		a.mu.Unlock()
		return nil, auth.ErrNotActivated
	}
	return a.mu.Unlock, nil
}

func (a *authAPI) WhoAmI(ctx context.Context, _ *auth.WhoAmIRequest) (*auth.WhoAmIResponse, error) {
	unlock, err := a.active()
	if err != nil {
		return nil, err
	}
	defer unlock()
	reply := &auth.WhoAmIResponse{Username: caller(ctx)}
	md, _ := metadata.FromIncomingContext(ctx)
	if info := a.auth.tokens[md.Get(auth.ContextTokenKey)[0]]; !info.expires.IsZero() {
		reply.Expiration = &info.expires
	}
	return reply, nil
}

// Authenticate takes an id token whose session ends with it.
func (a *authAPI) Authenticate(_ context.Context, req *auth.AuthenticateRequest) (*auth.AuthenticateResponse, error) {
	unlock, err := a.active()
	if err != nil {
		return nil, err
	}
	defer unlock()
	info, ok := a.auth.idTokens[req.IdToken]
	switch {
	case req.IdToken == "":
		return nil, unknown("unrecognized authentication mechanism (old pachd?)")
	case !ok:
		return nil, unknown("could not verify token: failed to verify signature: failed to verify id token signature")
	case a.clock().After(info.expires):
		return nil, unknown("could not verify token: oidc: token is expired (Token Expiry: %s)", info.expires)
	}
	return &auth.AuthenticateResponse{PachToken: a.auth.mint(info.principal, info.expires)}, nil
}

func (a *authAPI) GetRobotToken(_ context.Context, req *auth.GetRobotTokenRequest) (*auth.GetRobotTokenResponse, error) {
	unlock, err := a.active()
	if err != nil {
		return nil, err
	}
	defer unlock()
	robot := strings.TrimPrefix(req.Robot, auth.RobotPrefix)
	if strings.Contains(robot, ":") {
		return nil, unknown("robot names cannot contain colons (':')")
	}
	var expires time.Time
	if req.TTL > 0 {
		expires = a.clock().Add(time.Duration(req.TTL) * time.Second)
	}
	return &auth.GetRobotTokenResponse{Token: a.auth.mint(auth.RobotPrefix+robot, expires)}, nil
}

func (a *authAPI) RevokeAuthToken(_ context.Context, req *auth.RevokeAuthTokenRequest) (*auth.RevokeAuthTokenResponse, error) {
	unlock, err := a.active()
	if err != nil {
		return nil, err
	}
	defer unlock()
	reply := &auth.RevokeAuthTokenResponse{}
	if _, ok := a.auth.tokens[req.Token]; ok {
		delete(a.auth.tokens, req.Token)
		reply.Number = 1
	}
	return reply, nil
}

func (a *authAPI) GetRoleBinding(_ context.Context, req *auth.GetRoleBindingRequest) (*auth.GetRoleBindingResponse, error) {
	unlock, err := a.active()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if req.Resource == nil {
		return nil, invalid("GetRoleBindingRequest", "Resource", "value is required")
	}
	binding := &auth.RoleBinding{Entries: map[string]*auth.Roles{}}
	for principal, roles := range a.auth.bindings[resource{req.Resource.Type, req.Resource.Name}] {
		entry := &auth.Roles{Roles: map[string]bool{}}
		for _, role := range roles {
			entry.Roles[role] = true
		}
		binding.Entries[principal] = entry
	}
	return &auth.GetRoleBindingResponse{Binding: binding}, nil
}

// ModifyRoleBinding replaces all of a principal's roles on a resource.
func (a *authAPI) ModifyRoleBinding(ctx context.Context, req *auth.ModifyRoleBindingRequest) (*auth.ModifyRoleBindingResponse, error) {
	unlock, err := a.active()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if req.Resource == nil {
		return nil, invalid("ModifyRoleBindingRequest", "Resource", "value is required")
	}
	if err := checkPrincipal(req.Principal); err != nil {
		return nil, err
	}
	r := resource{req.Resource.Type, req.Resource.Name}
	var needed auth.Permission
	switch r.kind {
	case auth.ResourceType_CLUSTER:
		if strings.HasPrefix(req.Principal, auth.PachPrefix) {
			return nil, unknown("cannot modify cluster role bindings for pach: users")
		}
		needed = auth.Permission_CLUSTER_MODIFY_BINDINGS
	case auth.ResourceType_PROJECT:
		needed = auth.Permission_PROJECT_MODIFY_BINDINGS
	case auth.ResourceType_REPO:
		needed = auth.Permission_REPO_MODIFY_BINDINGS
	default:
		return nil, unknown("unknown resource type %v", r.kind)
	}
	if err := a.allow(ctx, r, needed); err != nil {
		return nil, err
	}
	for _, role := range req.Roles {
		if _, ok := rolePermissions[role]; !ok {
			return nil, unknown("unknown role %q", role)
		}
	}
	if a.auth.bindings[r] == nil {
		return nil, unknown("%s", (&auth.ErrNoRoleBinding{Resource: *req.Resource}).Error())
	}
	a.auth.bind(r, req.Principal, slices.Clone(req.Roles)...)
	return &auth.ModifyRoleBindingResponse{}, nil
}

func (a *authAPI) GetPermissions(ctx context.Context, req *auth.GetPermissionsRequest) (*auth.GetPermissionsResponse, error) {
	unlock, err := a.active()
	if err != nil {
		return nil, err
	}
	defer unlock()
	roles := a.auth.roles(caller(ctx), resource{req.GetResource().GetType(), req.GetResource().GetName()})
	return &auth.GetPermissionsResponse{Permissions: allPermissions(roles), Roles: roles}, nil
}

func (a *authAPI) Activate(context.Context, *auth.ActivateRequest) (*auth.ActivateResponse, error) {
	unlock, err := a.active()
	if err != nil {
		return nil, err
	}
	unlock()
	return nil, auth.ErrAlreadyActivated
}

func checkPrincipal(principal string) error {
	if principal == auth.AllClusterUsersSubject {
		return nil
	}
	prefix, _, ok := strings.Cut(principal, ":")
	if !ok {
		return unknown("subject has no prefix, must be of the form <type>:<name>")
	}
	known := []string{auth.PipelinePrefix, auth.InternalPrefix, auth.RobotPrefix, auth.PachPrefix, auth.UserPrefix, auth.GroupPrefix}
	if !slices.Contains(known, prefix+":") {
		return unknown("subject has unrecognized prefix: %s", prefix+":")
	}
	return nil
}

// Bindings is a copy of a resource's role bindings, principal to roles.
func (s *Server) Bindings(kind auth.ResourceType, name string) map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.auth.bindings[resource{kind, name}])
}
