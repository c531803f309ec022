// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

var errNoToken = errors.New("SPOUT_SCHEMA_REGISTRY_TOKEN_URL gives no token")

// awsKeys are what requests to AWS are signed with.
type awsKeys struct{ id, secret, session string }

// sign signs a request by AWS Signature Version 4, with its host, content type
// and all headers of AWS.
func (k awsKeys) sign(request *http.Request, body []byte, region, service string, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	request.Header.Set("X-Amz-Date", stamp)
	if k.session != "" {
		request.Header.Set("X-Amz-Security-Token", k.session)
	}
	headers := []string{"host:" + request.URL.Host}
	for name, values := range request.Header {
		if name = strings.ToLower(name); name == "content-type" || strings.HasPrefix(name, "x-amz-") {
			headers = append(headers, name+":"+strings.TrimSpace(values[0]))
		}
	}
	slices.Sort(headers)
	names := make([]string, len(headers))
	for i, header := range headers {
		names[i], _, _ = strings.Cut(header, ":")
	}
	signed := strings.Join(names, ";")
	path := request.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	canonical := strings.Join([]string{request.Method, path, request.URL.Query().Encode(), strings.Join(headers, "\n") + "\n", signed, hexSHA256(body)}, "\n")
	scope := strings.Join([]string{stamp[:8], region, service, "aws4_request"}, "/")
	key := []byte("AWS4" + k.secret)
	for _, part := range []string{stamp[:8], region, service, "aws4_request", strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hexSHA256([]byte(canonical))}, "\n")} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+k.id+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(key))
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
