// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// ppsAPI answers pps_v2 calls on one side.
type ppsAPI struct {
	pps.UnimplementedAPIServer
	*Server
	side *side
}

// secret is a Kubernetes secret.
type secret struct {
	name    string
	kind    string
	created *types.Timestamp
	labels  map[string]string
	data    map[string][]byte
	listed  bool // made through Pachyderm
}

// kubeSecret is the part of a Kubernetes Secret that matters here.
type kubeSecret struct {
	Kind     string `json:"kind"`
	Type     string `json:"type"`
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Data       map[string][]byte `json:"data"`
	StringData map[string]string `json:"stringData"`
}

func (k *kubeSecret) contents() map[string][]byte {
	data := maps.Clone(k.Data)
	if data == nil {
		data = map[string][]byte{}
	}
	for name, value := range k.StringData {
		data[name] = []byte(value)
	}
	return data
}

// AddKubernetesSecret puts a secret into the cluster that was not made through
// Pachyderm: pipelines can use it, ListSecret does not show it.
func (s *Server) AddKubernetesSecret(name string, data map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := kubeSecret{StringData: data}
	s.secrets[name] = &secret{name: name, kind: "Opaque", created: s.now(), data: k.contents()}
}

// SecretData is what a secret holds, or nil if it does not exist.
func (s *Server) SecretData(name string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec := s.secrets[name]
	if sec == nil {
		return nil
	}
	data := map[string]string{}
	for key, value := range sec.data {
		data[key] = string(value)
	}
	return data
}

// SecretLabels are a secret's labels, those that Pachyderm adds included. nil
// if it does not exist.
func (s *Server) SecretLabels(name string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sec := s.secrets[name]; sec != nil {
		return maps.Clone(sec.labels)
	}
	return nil
}

func (s *secret) info() *pps.SecretInfo {
	return &pps.SecretInfo{Secret: &pps.Secret{Name: s.name}, Type: s.kind, CreationTimestamp: s.created}
}

var secretKey = regexp.MustCompile(`^[-._a-zA-Z0-9]+$`)

func (a *ppsAPI) CreateSecret(_ context.Context, req *pps.CreateSecretRequest) (*types.Empty, error) {
	var k kubeSecret
	if err := json.Unmarshal(req.File, &k); err != nil {
		return nil, unknown("failed to unmarshal secret: %v", err)
	}
	if suite := k.Metadata.Labels["suite"]; suite != "" && suite != "pachyderm" {
		return nil, unknown("invalid suite label set on secret: suite=%s", suite)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	name := k.Metadata.Name
	for key := range k.contents() {
		if !secretKey.MatchString(key) {
			return nil, unknown("failed to create secret: Secret %q is invalid: data[%s]: Invalid value: %q", name, key, key)
		}
	}
	switch {
	case !validKubernetesName(name):
		return nil, unknown("failed to create secret: Secret %q is invalid: metadata.name: Invalid value: %q", name, name)
	case a.secrets[name] != nil:
		return nil, unknown("failed to create secret: secrets %q already exists", name)
	}
	kind := k.Type
	if kind == "" {
		kind = "Opaque"
	}
	created := a.now()
	created.Nanos = 0 // Kubernetes keeps seconds
	labels := maps.Clone(k.Metadata.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["suite"], labels["secret-source"] = "pachyderm", "pachyderm-user"
	a.secrets[name] = &secret{name: name, kind: kind, created: created, labels: labels, data: k.contents(), listed: true}
	return &types.Empty{}, nil
}

func (a *ppsAPI) DeleteSecret(_ context.Context, req *pps.DeleteSecretRequest) (*types.Empty, error) {
	if err := a.checkSecret("DeleteSecretRequest", req.Secret); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.secrets[req.Secret.Name] == nil {
		return nil, unknown("failed to delete secret: secrets %q not found", req.Secret.Name)
	}
	delete(a.secrets, req.Secret.Name)
	return &types.Empty{}, nil
}

func (a *ppsAPI) InspectSecret(_ context.Context, req *pps.InspectSecretRequest) (*pps.SecretInfo, error) {
	if err := a.checkSecret("InspectSecretRequest", req.Secret); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	sec := a.secrets[req.Secret.Name]
	if sec == nil {
		return nil, unknown("failed to get secret: secrets %q not found", req.Secret.Name)
	}
	return sec.info(), nil
}

// checkSecret refuses a request without a secret, as both versions do in their
// own way.
func (a *ppsAPI) checkSecret(message string, sec *pps.Secret) error {
	switch {
	case sec != nil:
		return nil
	case a.v211:
		return invalid(message, "Secret", "value is required")
	}
	return a.side.crash(message + " without a secret")
}

func (a *ppsAPI) ListSecret(context.Context, *types.Empty) (*pps.SecretInfos, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	infos := &pps.SecretInfos{}
	for _, sec := range a.secrets {
		if sec.listed {
			infos.SecretInfo = append(infos.SecretInfo, sec.info())
		}
	}
	slices.SortFunc(infos.SecretInfo, func(x, y *pps.SecretInfo) int { return strings.Compare(x.Secret.Name, y.Secret.Name) })
	return infos, nil
}
