// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// guidPath begins the path at which a Confluent-compatible registry has schemas
// by their GUIDs.
const guidPath = "/schemas/guids/"

// foreign has a registry of another kind answer as a Confluent-compatible one
// does: about schemas by their GUIDs. Of all else it says that it is not there.
type foreign struct {
	next http.RoundTripper
	// asked is the request for a schema.
	asked func(request *http.Request, guid string) (*http.Request, error)
	// answered returns the schema and its type; ok is false if there is none.
	answered func(answer *http.Response, body []byte) (schema, kind string, ok bool)
}

// newForeign returns the transport for a registry of the settings' kind.
func newForeign(c settings.SchemaRegistry, next http.RoundTripper) http.RoundTripper {
	switch c.Kind() {
	case "azure":
		return foreign{next, azureRequest, azureAnswer}
	case "glue":
		keys := awsKeys{id: c.Username, secret: c.Password, session: c.Token}
		return foreign{next, func(request *http.Request, guid string) (*http.Request, error) {
			return glueRequest(request, guid, keys, time.Now())
		}, glueAnswer}
	}
	return next
}

// RoundTrip implements [http.RoundTripper].
func (f foreign) RoundTrip(request *http.Request) (*http.Response, error) {
	before, guid, ok := strings.Cut(request.URL.Path, guidPath)
	if !ok {
		return answerOf(request, http.StatusNotFound, notThere), nil
	}
	own := request.Clone(request.Context())
	own.URL.Path, own.URL.RawPath = before, ""
	own, err := f.asked(own, guid)
	if err != nil {
		return nil, err
	}
	answer, err := f.next.RoundTrip(own)
	if err != nil {
		return nil, err //nolint:wrapcheck // it is the client's own
	}
	body, err := readAnswer(answer)
	if err != nil {
		return nil, err
	}
	schema, kind, ok := f.answered(answer, body)
	switch {
	case ok:
		text, err := json.Marshal(map[string]string{"schema": schema, "schemaType": kind})
		if err != nil {
			return nil, err //nolint:wrapcheck // strings never fail
		}
		return answerOf(request, http.StatusOK, text), nil
	case answer.StatusCode < http.StatusMultipleChoices:
		return answerOf(request, http.StatusNotFound, notThere), nil
	}
	return answer, nil
}

// notThere is what a Confluent-compatible registry says of a schema that it does
// not have.
var notThere = []byte(`{"error_code":40403,"message":"there is no such schema"}`)

func answerOf(request *http.Request, status int, body []byte) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: request}
}

// azureVersion is that of Azure's API.
const azureVersion = "2022-10"

func azureRequest(request *http.Request, guid string) (*http.Request, error) {
	request.URL.Path += "/$schemaGroups/$schemas/" + strings.ReplaceAll(guid, "-", "")
	request.URL.RawQuery = "api-version=" + azureVersion
	request.Header.Set("Accept", "*/*")
	return request, nil
}

// azureAnswer takes the schema as it is: its type is in the content type, as
// application/json; serialization=Avro.
func azureAnswer(answer *http.Response, body []byte) (schema, kind string, ok bool) {
	if answer.StatusCode == http.StatusNotFound {
		answer.StatusCode = http.StatusOK // but without a schema
		return "", "", false
	}
	if answer.StatusCode != http.StatusOK {
		return "", "", false
	}
	kind = "AVRO"
	if strings.Contains(strings.ToLower(answer.Header.Get("Content-Type")), "serialization=json") {
		kind = "JSON"
	}
	return string(body), kind, true
}

func glueRequest(request *http.Request, guid string, keys awsKeys, now time.Time) (*http.Request, error) {
	body, err := json.Marshal(map[string]string{"SchemaVersionId": guid})
	if err != nil {
		return nil, err //nolint:wrapcheck // strings never fail
	}
	own, err := http.NewRequestWithContext(request.Context(), http.MethodPost, (&url.URL{Scheme: request.URL.Scheme, Host: request.URL.Host, Path: request.URL.Path + "/"}).String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("glue: %w", err)
	}
	own.Header.Set("Content-Type", "application/x-amz-json-1.1")
	own.Header.Set("X-Amz-Target", "AWSGlue.GetSchemaVersion")
	own.Header.Set("User-Agent", request.Header.Get("User-Agent"))
	keys.sign(own, body, glueRegion(request.URL.Hostname()), "glue", now)
	return own, nil
}

// glueRegion is the region in the name of an endpoint, as glue.eu-west-1.amazonaws.com
// or vpce-1-2.glue.eu-west-1.vpce.amazonaws.com.
func glueRegion(host string) string {
	parts := strings.Split(host, ".")
	for i, part := range parts[:max(len(parts)-1, 0)] {
		if strings.HasPrefix(part, "glue") {
			return parts[i+1]
		}
	}
	return "us-east-1"
}

func glueAnswer(answer *http.Response, body []byte) (schema, kind string, ok bool) {
	var d document
	d.maxContainers = maxAnswerParts
	root, err := d.parse(body)
	if err != nil {
		return "", "", false
	}
	if answer.StatusCode == http.StatusBadRequest {
		if what, _ := d.string(d.member(root, "__type")); strings.HasSuffix(what, "EntityNotFoundException") {
			answer.StatusCode = http.StatusOK // but without a schema
		}
		return "", "", false
	}
	schema, ok = d.string(d.member(root, "SchemaDefinition"))
	kind, _ = d.string(d.member(root, "DataFormat"))
	return schema, kind, ok && answer.StatusCode == http.StatusOK && (kind == "AVRO" || kind == "JSON")
}

// withTokens has requests carry tokens of the client credentials flow.
func withTokens(c settings.SchemaRegistry, client *http.Client) http.RoundTripper {
	config := clientcredentials.Config{ClientID: c.Username, ClientSecret: c.Password, TokenURL: c.TokenURL, Scopes: strings.Fields(c.Scope)}
	asking := &http.Client{Timeout: client.Timeout, Transport: client.Transport}
	source := config.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, asking))
	return &oauth2.Transport{Base: client.Transport, Source: tokenSource{source}}
}

// tokenSource says of errors no more than that there is no token: answers of
// others do not get into logs.
type tokenSource struct{ oauth2.TokenSource }

func (t tokenSource) Token() (*oauth2.Token, error) {
	token, err := t.TokenSource.Token()
	if err != nil {
		return nil, errNoToken
	}
	return token, nil
}
