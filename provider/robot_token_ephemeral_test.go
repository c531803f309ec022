// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-log/tflogtest"
	"github.com/hashicorp/terraform-plugin-testing/echoprovider"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const robotToken = "pachyderm_robot_token"

// open opens an ephemeral resource and returns what it says, and what Close is given.
func (i *instance) open(config object) (values object, private []byte, diagnostics []*tfprotov6.Diagnostic) {
	i.t.Helper()
	kind := i.schemas.EphemeralResourceSchemas[robotToken].ValueType()
	encoded := i.dynamic(kind, valueOf(i.t, kind, config))
	validated, err := i.server.ValidateEphemeralResourceConfig(i.ctx, &tfprotov6.ValidateEphemeralResourceConfigRequest{TypeName: robotToken, Config: encoded})
	if err != nil {
		i.t.Fatal(err)
	}
	if errorsIn(validated.Diagnostics) != "" {
		return nil, nil, validated.Diagnostics
	}
	opened, err := i.server.OpenEphemeralResource(i.ctx, &tfprotov6.OpenEphemeralResourceRequest{TypeName: robotToken, Config: encoded})
	if err != nil {
		i.t.Fatal(err)
	}
	if errorsIn(opened.Diagnostics) == "" {
		v, err := opened.Result.Unmarshal(kind)
		if err != nil {
			i.t.Fatal(err)
		}
		values, _ = plain(i.t, v).(object)
	}
	return values, opened.Private, opened.Diagnostics
}

func (i *instance) close(private []byte) []*tfprotov6.Diagnostic {
	i.t.Helper()
	closed, err := i.server.CloseEphemeralResource(i.ctx, &tfprotov6.CloseEphemeralResourceRequest{TypeName: robotToken, Private: private})
	if err != nil {
		i.t.Fatal(err)
	}
	return closed.Diagnostics
}

// works says whether the fake takes a token.
func works(t *testing.T, s *pachtest.Server, token string) bool {
	t.Helper()
	i := newInstanceOf(t, object{"address": s.Address(), "auth_token": token}).as("pachyderm_project")
	return !strings.Contains(errorsIn(i.importID("default", nil)), "not valid")
}

func TestRobotToken(t *testing.T) {
	t.Parallel()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		s := pachtest.New(t, pachtest.WithVersion(version), pachtest.WithAuth("root"))
		i := newInstanceOf(t, object{"address": s.Address(), "auth_token": "root"})
		for _, c := range []struct {
			config object
			ttl    time.Duration
			closed bool // revoked by close
		}{
			{object{"robot": "ci"}, time.Hour, true},
			{object{"robot": "ci", "ttl": "90s", "revoke_on_close": true}, 90 * time.Second, true},
			{object{"robot": "ci", "ttl": "24h", "revoke_on_close": false}, 24 * time.Hour, false},
		} {
			values, private, diagnostics := i.open(c.config)
			i.must(diagnostics)
			token, _ := values["token"].(string)
			if values["principal"] != "robot:ci" || !works(t, s, token) {
				t.Errorf("%s: %v", version, values)
			}
			expires, err := time.Parse(time.RFC3339, values["expires_at"].(string))
			if left := time.Until(expires); err != nil || left > c.ttl || left < c.ttl-time.Minute {
				t.Errorf("%s: it expires in %s, not %s", version, left, c.ttl)
			}
			calls := s.Calls("GetRobotToken")
			if request := calls[len(calls)-1].Request.(*auth.GetRobotTokenRequest); request.TTL != int64(c.ttl.Seconds()) || request.Robot != "ci" {
				t.Errorf("%s: asked for %v", version, request)
			}
			if strings.Contains(string(private), revokeKey) != c.closed {
				t.Errorf("%s: the private data are %q", version, private)
			}
			i.must(i.close(private))
			if works(t, s, token) == c.closed {
				t.Errorf("%s: closed, revoked: %v", version, c.closed)
			}
			i.must(i.close(private)) // once more is no error
		}
	}
}

func TestRobotTokenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithAuth("root"))
	i := newInstanceOf(t, object{"address": s.Address(), "auth_token": "root"}, onlyOnce)
	for _, c := range []struct {
		config object
		want   string
	}{
		{object{}, "robot"}, {object{"robot": "robot:ci"}, "without \"robot:\""}, {object{"robot": ""}, "name alone"},
		{object{"robot": "ci", "ttl": "soon"}, "length of time"}, {object{"robot": "ci", "ttl": "0s"}, "at least"}, {object{"robot": "ci", "ttl": "-1h"}, "at least"},
	} {
		_, _, diagnostics := i.open(c.config)
		if err := contains(errorsIn(diagnostics), c.want); err != nil {
			t.Error(err)
		}
	}
	_, private, diagnostics := i.open(object{"robot": "ci"})
	i.must(diagnostics)
	for _, f := range failures {
		want := strings.Replace(f.want, "auth_token", "make another one", 1)
		fault := f.inject(s, "GetRobotToken")
		_, _, diagnostics := i.open(object{"robot": "ci"})
		fault.Remove()
		if err := contains(errorsIn(diagnostics), want, "robot ci"); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		fault = f.inject(s, "RevokeAuthToken")
		diagnostics = i.close(private)
		fault.Remove()
		if err := contains(warningsIn(diagnostics), want, "not revoked", "until it expires"); err != nil || errorsIn(diagnostics) != "" {
			t.Errorf("%s: %v %s", f.name, err, errorsIn(diagnostics))
		}
	}
	s.Inject(pachtest.Fault{Method: "GetRobotToken", LoseReply: true})
	if _, _, diagnostics = i.open(object{"robot": "ci"}); contains(errorsIn(diagnostics), "nobody knows it", "expires after 1h") != nil {
		t.Error(errorsIn(diagnostics))
	}
	if got := count(s, "GetRobotToken"); got != 1+len(failures)+1 {
		t.Errorf("%d calls of GetRobotToken: it was repeated", got)
	}
	off := newInstanceOf(t, object{"address": pachtest.New(t).Address()})
	if _, _, diagnostics = off.open(object{"robot": "ci"}); contains(errorsIn(diagnostics), "not activated", "pachctl auth activate") != nil {
		t.Error(errorsIn(diagnostics))
	}
}

// Neither logs nor messages have the token.
func TestRobotTokenIsNowhere(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithAuth("root"))
	var log bytes.Buffer
	i := newInstanceOf(t, object{"address": s.Address(), "auth_token": "root"})
	i.ctx = tflogtest.RootLogger(context.Background(), &log)
	values, private, diagnostics := i.open(object{"robot": "ci"})
	i.must(diagnostics)
	s.Inject(pachtest.Fault{Method: "RevokeAuthToken", Before: status.Error(codes.Internal, "something broke")})
	text := warningsIn(i.close(private)) + log.String()
	if token, _ := values["token"].(string); token == "" || log.Len() == 0 || strings.Contains(text, token) {
		t.Errorf("the token %q is in a log or message: %s", token, text)
	}
}

// Terraform opens it in plan and apply, closes it, and keeps it out of the state.
func TestRobotTokenInTerraform(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithAuth("root"))
	factories := newTestProvider()
	factories["echo"] = echoprovider.NewProviderServer()
	config := withProvider(s, `
ephemeral "pachyderm_robot_token" "ci" {
  robot = "ci"
}
provider "echo" { data = ephemeral.pachyderm_robot_token.ci }
resource "echo" "test" {}
resource "pachyderm_secret" "ci" {
  name            = "ci"
  data_wo         = { token = ephemeral.pachyderm_robot_token.ci.token }
  data_wo_version = 1
}`, `auth_token = "root"`)
	resource.Test(t, resource.TestCase{IsUnitTest: true, ProtoV6ProviderFactories: factories, Steps: []resource.TestStep{
		{Config: config, ConfigStateChecks: []statecheck.StateCheck{
			statecheck.ExpectKnownValue("echo.test", tfjsonpath.New("data").AtMapKey("principal"), knownvalue.StringExact("robot:ci")),
			statecheck.ExpectKnownValue("echo.test", tfjsonpath.New("data").AtMapKey("token"), knownvalue.StringRegexp(regexp.MustCompile(`.{16,}`))),
		}},
	}})
	opened, revoked := count(s, "GetRobotToken"), count(s, "RevokeAuthToken")
	if opened == 0 || opened != revoked {
		t.Errorf("%d tokens were made, %d revoked", opened, revoked)
	}
	if token := s.SecretData("ci"); token != nil {
		t.Error("the secret is still there")
	}
}
