// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/pachyderm/pachyderm/v2/src/version/versionpb"
	"google.golang.org/grpc/codes"
)

var clusterCases = []conformanceCase{
	{"version", func(_ *testing.T, s *suite) {
		v, err := versionpb.NewAPIClient(s.conn).GetVersion(s.ctx, &types.Empty{})
		s.ok(err)
		s.equal(fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro), s.Version)
	}},
	{"a sidecar has no version", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		_, err := versionpb.NewAPIClient(dialTarget(s.t, s.Sidecar(s.project, "s"))).GetVersion(s.ctx, &types.Empty{})
		s.fails(err, codes.Unimplemented, "unknown service")
	}},
	{"without authentication", func(t *testing.T, s *suite) {
		if s.Token != "" {
			t.Skip("authentication is on")
		}
		_, err := s.auth.WhoAmI(s.ctx, &auth.WhoAmIRequest{})
		s.fails(err, codes.Unimplemented, "the auth service is not activated")
	}},
	{"secrets", func(_ *testing.T, s *suite) {
		name := strings.ReplaceAll(s.project, "_", "-") + "-secret"
		ref := &pps.Secret{Name: name}
		_, err := s.pps.InspectSecret(s.ctx, &pps.InspectSecretRequest{Secret: ref})
		s.fails(err, codes.Unknown, fmt.Sprintf("failed to get secret: secrets %q not found", name))
		file := fmt.Appendf(nil, `{"kind":"Secret","apiVersion":"v1","metadata":{"name":%q},"type":"Opaque","data":{"key":"dmFsdWU="}}`, name)
		_, err = s.pps.CreateSecret(s.ctx, &pps.CreateSecretRequest{File: file})
		s.ok(err)
		_, err = s.pps.CreateSecret(s.ctx, &pps.CreateSecretRequest{File: file})
		s.fails(err, codes.Unknown, fmt.Sprintf("failed to create secret: secrets %q already exists", name))
		info, err := s.pps.InspectSecret(s.ctx, &pps.InspectSecretRequest{Secret: ref})
		s.ok(err)
		s.equal(info.Type, "Opaque")
		list, err := s.pps.ListSecret(s.ctx, &types.Empty{})
		s.ok(err)
		names := map[string]bool{}
		for _, i := range list.SecretInfo {
			names[i.Secret.Name] = true
		}
		s.equal(names[name], true)
		_, err = s.pps.DeleteSecret(s.ctx, &pps.DeleteSecretRequest{Secret: ref})
		s.ok(err)
		_, err = s.pps.DeleteSecret(s.ctx, &pps.DeleteSecretRequest{Secret: ref})
		s.fails(err, codes.Unknown, fmt.Sprintf("secrets %q not found", name))
	}},
	{"requests are validated since 2.8", func(t *testing.T, s *suite) {
		if !s.is28() {
			t.Skip("this request crashes older servers")
		}
		_, err := s.pps.InspectPipeline(s.ctx, &pps.InspectPipelineRequest{})
		s.fails(err, codes.InvalidArgument, "validate request: ")
	}},
}
