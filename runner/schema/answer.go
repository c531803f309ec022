// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxAnswerParts bounds the objects and lists of an answer of the registry.
const maxAnswerParts = 50_000

var errAnswer = errors.New("the registry's answer about its schema has more parts than any should")

// answered are the members of a registry's answer that are made use of. The
// client would take apart all others too, which can be many times their length.
var answered = []string{"schema", "schemaType", "references", "id", "version", "subject", "error_code", "message"}

// needed has a client's answers hold nothing but what is made use of.
func needed(client *http.Client) *http.Client {
	client.Transport = neededParts{client.Transport}
	return client
}

type neededParts struct{ next http.RoundTripper }

func (n neededParts) RoundTrip(request *http.Request) (*http.Response, error) {
	ofApicurio := isApicurio(request.URL)
	if ofApicurio {
		request = asApicurio(request)
	}
	answer, err := n.next.RoundTrip(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // it is the client's own
	}
	text, err := readAnswer(answer)
	if err != nil {
		return nil, err
	}
	if ofApicurio && !strings.HasSuffix(request.URL.Path, "/references") && answer.StatusCode < http.StatusMultipleChoices {
		text, err = asAnswer(answer, text)
	} else {
		text, err = neededOf(text)
	}
	if err != nil {
		return nil, err
	}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return answer, nil
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (n neededParts) CloseIdleConnections() {
	if closer, ok := n.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// neededOf is an answer without what is not made use of. What is no object is
// left to the client.
func neededOf(text []byte) ([]byte, error) {
	d := document{maxContainers: maxAnswerParts}
	root, err := d.parse(text)
	if errors.Is(err, errParts) || errors.Is(err, errDeep) {
		return nil, errAnswer
	}
	if err == nil && d.kind(root) == '[' && d.length(root) > maxSources { // references of Apicurio's
		return nil, errAnswer
	}
	if err != nil || d.kind(root) != '{' {
		return text, nil
	}
	out := []byte{'{'}
	for it := d.items(root); it.advance(); {
		if !slices.ContainsFunc(answered, func(name string) bool { return is(it.name, name) }) {
			continue
		}
		if is(it.name, "references") && d.length(it.value) > maxSources {
			return nil, errAnswer
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, it.name...), ':'), d.raw(it.value)...)
	}
	return append(out, '}'), nil
}

// length is the number of elements of a list, or members of an object.
func (d *document) length(n node) (count int) {
	for it := d.items(n); it.advance(); {
		count++
	}
	return count
}
