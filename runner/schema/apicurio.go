// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
)

// schema asks for a schema by what records call it.
func (r *Registry) schema(ctx context.Context, client *sr.Client, id int) (sr.Schema, error) {
	if id >= 0 {
		return client.SchemaByID(ctx, id) //nolint:wrapcheck // the caller looks at it
	}
	switch w := r.wires[id]; w.kind {
	case byGlobal:
		return r.fromApicurio(ctx, client, "globalIds", w)
	case byContent:
		return r.fromApicurio(ctx, client, "contentIds", w)
	default:
		s, err := client.SchemaByGUID(ctx, w.String())
		return s.Schema, err //nolint:wrapcheck // the caller looks at it
	}
}

// apicurioAPI is an API of Apicurio's own, which knows ids that the one that is
// compatible with Confluent's need not.
type apicurioAPI struct {
	client, prober *sr.Client
	version        string
}

const (
	apicurioPath       = "/apis/"
	apicurioCompatible = "/apis/ccompat/"
)

// newApicurio returns the registry's own APIs, the newest first, if its URL is
// one of Apicurio's.
func newApicurio(registry string, options []sr.ClientOpt, prober sr.ClientOpt) (list []apicurioAPI, err error) {
	at := strings.Index(registry, apicurioCompatible)
	if at < 0 {
		return nil, nil
	}
	for _, version := range []string{"v3", "v2"} {
		own := append(options[:len(options):len(options)], sr.URLs(registry[:at]+apicurioPath+"registry/"+version))
		api := apicurioAPI{version: version}
		if api.client, err = sr.NewClient(own...); err == nil {
			api.prober, err = sr.NewClient(append(own, prober)...)
		}
		if err != nil {
			return nil, fmt.Errorf("schema registry: %w", err)
		}
		list = append(list, api)
	}
	return list, nil
}

// fromApicurio asks for a schema by an id of Apicurio's own. A registry that is
// not at a path of Apicurio's is asked for the same number.
func (r *Registry) fromApicurio(ctx context.Context, client *sr.Client, ids string, w wireID) (s sr.Schema, err error) {
	if len(r.apicurio) == 0 {
		return client.SchemaByID(ctx, int(w.number())) //nolint:wrapcheck // the caller looks at it
	}
	var unknown error
	for _, api := range r.apicurio {
		own := api.client
		if client == r.prober {
			own = api.prober
		}
		if err = own.Do(ctx, http.MethodGet, fmt.Sprintf("/ids/%s/%d", ids, w.number()), nil, &s); err == nil {
			if w.kind == byContent && api.version == "v2" {
				s.References, err = apicurioReferences(ctx, own, w)
			}
			return s, err
		}
		var response *sr.ResponseError
		if !errors.As(err, &response) || response.StatusCode != http.StatusNotFound {
			return s, err //nolint:wrapcheck // the caller looks at it
		}
		if d := (&document{maxContainers: maxAnswerParts}); d.isObject(response.Raw) { // not a proxy's page
			unknown = &unknownError{&Refused{"the registry does not know the schema " + w.String()}}
		}
	}
	if unknown != nil {
		err = unknown
	}
	return s, err
}

// apicurioReferences asks for what a schema refers to that is called by its
// content: version 2 leaves it out of such a schema, whatever is asked for.
func apicurioReferences(ctx context.Context, own *sr.Client, w wireID) (list []sr.SchemaReference, err error) {
	var answer []struct{ GroupID, ArtifactID, Version, Name string }
	if err := own.Do(ctx, http.MethodGet, fmt.Sprintf("/ids/contentIds/%d/references", w.number()), nil, &answer); err != nil {
		return nil, err //nolint:wrapcheck // the caller looks at it
	}
	for _, r := range answer {
		version, err := strconv.Atoi(r.Version)
		if err != nil || r.GroupID != "" && r.GroupID != "default" { // others the compatible API does not know
			return nil, refusef("its schema %s refers to version %.100s of %.100s in the group %.100s, which cannot be read by content; have producers write global ids", w, r.Version, r.ArtifactID, r.GroupID)
		}
		list = append(list, sr.SchemaReference{Name: r.Name, Subject: r.ArtifactID, Version: version})
	}
	return list, nil
}

func (d *document) isObject(text []byte) bool {
	root, err := d.parse(text)
	return err == nil && d.kind(root) == '{'
}

// isApicurio says whether a request is one of Apicurio's own API: for a schema,
// or for what one refers to.
func isApicurio(u *url.URL) bool {
	return strings.Contains(u.Path, "/ids/globalIds/") || strings.Contains(u.Path, "/ids/contentIds/")
}

// asApicurio is a request for a schema whose references are part of it.
func asApicurio(request *http.Request) *http.Request {
	request = request.Clone(request.Context())
	request.Header.Set("Accept", "*/*")
	query := request.URL.Query()
	query.Set("references", "DEREFERENCE") // of version 3
	query.Set("dereference", "true")       // of version 2
	request.URL.RawQuery = query.Encode()
	return request
}

// asAnswer has a schema's text be an answer as a Confluent-compatible registry
// gives it.
func asAnswer(answer *http.Response, text []byte) ([]byte, error) {
	kind := answer.Header.Get("X-Registry-ArtifactType")
	if kind == "" {
		kind = kindOf(text)
	}
	return json.Marshal(map[string]string{"schema": string(text), "schemaType": kind}) //nolint:wrapcheck // strings never fail
}

// kindOf tells what a schema is by its text.
func kindOf(text []byte) string {
	d := document{maxContainers: maxAnswerParts}
	root, err := d.parse(text)
	switch {
	case err != nil && !json.Valid(text):
		return sr.TypeProtobuf.String()
	case err == nil && d.kind(root) == '{':
		for _, word := range []string{"$schema", "$id", "$ref", "properties", "additionalProperties", "$defs", "definitions"} {
			if d.member(root, word).exists() {
				return sr.TypeJSON.String()
			}
		}
	}
	return sr.TypeAvro.String()
}

// readAnswer reads an answer's body, and gives it back.
func readAnswer(answer *http.Response) ([]byte, error) {
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return text, nil
}
