// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestSignature is AWS's own example of its signatures.
func TestSignature(t *testing.T) {
	t.Parallel()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.amazonaws.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := awsKeys{id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	keys.sign(request, nil, "us-east-1", "service", time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC))
	want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	if got := request.Header.Get("Authorization"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestGlueRegion(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{"glue.eu-west-1.amazonaws.com": "eu-west-1", "glue-fips.us-gov-west-1.amazonaws.com": "us-gov-west-1",
		"vpce-1-2.glue.eu-central-1.vpce.amazonaws.com": "eu-central-1", "localhost": "us-east-1", "glue": "us-east-1"} {
		if got := glueRegion(host); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
}

const pointAvro = `{"type":"record","name":"P","fields":[{"name":"x","type":"int"}]}`

// TestGlue: values of Glue's serializers, compressed or not, and what Glue says.
func TestGlue(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body) //nolint:errcheck // then it is another
		authorization := request.Header.Get("Authorization")
		if request.Method != http.MethodPost || request.Header.Get("X-Amz-Target") != "AWSGlue.GetSchemaVersion" || request.Header.Get("X-Amz-Security-Token") != "session" ||
			!strings.Contains(authorization, "Credential=key/") || !strings.Contains(authorization, "/us-east-1/glue/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, ") {
			http.Error(w, `{"__type":"AccessDeniedException"}`, http.StatusBadRequest)
			return
		}
		switch {
		case string(body) == `{"SchemaVersionId":"`+guidText+`"}`:
			fmt.Fprintf(w, `{"SchemaVersionId":%q,"SchemaDefinition":%q,"DataFormat":"AVRO","Status":"AVAILABLE"}`, guidText, pointAvro)
		case strings.Contains(string(body), "00000000"):
			fmt.Fprintf(w, `{"SchemaDefinition":%q,"DataFormat":"JSON"}`, `{"type":"object","additionalProperties":false,"properties":{"y":{"type":"integer"}}}`)
		default:
			http.Error(w, `{"__type":"EntityNotFoundException","Message":"Schema version is not found."}`, http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	s := settings.Default()
	s.SchemaRegistry.URL, s.SchemaRegistry.API, s.File.Format = server.URL, "glue", "parquet"
	s.SchemaRegistry.Username, s.SchemaRegistry.Password, s.SchemaRegistry.Token = "key", "secret", "session"
	r := newRegistryOf(t, s, io.Discard)
	var compressed bytes.Buffer
	z := zlib.NewWriter(&compressed)
	_, _ = z.Write([]byte("\x06"))
	_ = z.Close()
	var bomb bytes.Buffer
	z = zlib.NewWriter(&bomb)
	for range 100 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	_ = z.Close()
	for _, test := range []struct{ name, value, want, refused string }{
		{"plain", "\x03\x00" + guidBytes + "\x06", `{"x":3}`, ""},
		{"compressed", "\x03\x05" + guidBytes + compressed.String(), `{"x":3}`, ""},
		{"JSON", "\x03\x00" + strings.Repeat("\x00", 16) + `{"y":1}`, `{"y":1}`, ""},
		{"unknown", "\x03\x00\x01" + guidBytes[1:] + "\x06", "", "does not know the schema 01791762-2336-4186-9674-299b90a802e2"},
		{"damaged", "\x03\x05" + guidBytes + "x", "", "not compressed as Glue's"},
		{"a bomb", "\x03\x05" + guidBytes + bomb.String(), "", "not compressed as Glue's"},
		{"another compression", "\x03\x07" + guidBytes + "x", "", "does not begin with"},
	} {
		id, payload, err := r.Split(&source.Record{Value: []byte(test.value)}, false)
		var v *Values
		if err == nil {
			v, err = r.Lookup(t.Context(), id)
		}
		if test.refused != "" {
			if err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(test.name, err)
		}
		if got, err := asJSON(t, v, payload); got != test.want || err != nil {
			t.Errorf("%s: %s, %v", test.name, got, err)
		}
	}
	if r.Newest(t.Context(), "t") != nil {
		t.Error("Glue has a newest schema")
	}
}

// TestAzure: values of Azure's serializers, and tokens of the client credentials
// flow.
func TestAzure(t *testing.T) {
	t.Parallel()
	given := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/token" {
			given++
			if err := request.ParseForm(); err != nil || request.Form.Get("scope") != "https://eventhubs.azure.net/.default" || request.Form.Get("grant_type") != "client_credentials" {
				http.Error(w, "secret of another", http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"t1","token_type":"Bearer","expires_in":3600}`)
			return
		}
		if request.Header.Get("Authorization") != "Bearer t1" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		if request.URL.String() != "/$schemaGroups/$schemas/"+strings.ReplaceAll(guidText, "-", "")+"?api-version=2022-10" {
			http.Error(w, `{"error":{"code":"ItemNotFound"}}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json; serialization=Avro")
		_, _ = io.WriteString(w, pointAvro)
	}))
	t.Cleanup(server.Close)
	s := settings.Default()
	s.SchemaRegistry.URL, s.SchemaRegistry.API, s.File.Format = server.URL, "azure", "avro"
	s.SchemaRegistry.TokenURL, s.SchemaRegistry.Scope = server.URL+"/token", "https://eventhubs.azure.net/.default"
	s.SchemaRegistry.Username, s.SchemaRegistry.Password = "client", "secret"
	r := newRegistryOf(t, s, io.Discard)
	for _, kind := range []string{"", "-"} {
		named := strings.ReplaceAll(guidText, "-", kind)
		id, payload, err := r.Split(&source.Record{Value: []byte("\x06"), Headers: headersOf("content-type", "avro/binary+"+named)}, false)
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.Lookup(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := asJSON(t, v, payload); got != `{"x":3}` || err != nil {
			t.Error(got, err)
		}
	}
	id, _, err := r.Split(&source.Record{Value: []byte("\x06"), Headers: headersOf("content-type", "avro/binary+"+strings.Repeat("0", 32))}, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lookup(t.Context(), id); err == nil || !strings.Contains(err.Error(), "does not know the schema") {
		t.Error(err)
	}
	if given != 1 {
		t.Errorf("%d tokens", given)
	}
}

// TestRegistryKinds: which API a registry has, by its host.
func TestRegistryKinds(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{"https://glue.eu-west-1.amazonaws.com": "glue", "https://vpce-1.glue.eu-west-1.vpce.amazonaws.com": "glue", "https://ns.servicebus.windows.net": "azure",
		"https://registry.example.com": "confluent", "https://glue.example.com": "confluent", "https://psrc-1.eu-west-1.aws.confluent.cloud": "confluent"} {
		if got := (settings.SchemaRegistry{URL: url}).Kind(); got != want {
			t.Errorf("%s: %s", url, got)
		}
	}
}
