// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

func BenchmarkLines(b *testing.B) {
	line := `{"id":12345,"name":"` + strings.Repeat("abcdefghij", 8) + `","values":[1,2,3.5e7,true,null]}` + "\n"
	body := []byte(strings.Repeat(line, 4000))
	e := newEndpoint("e", settings.WebhookEndpoint{Auth: "none", Open: true, Body: "ndjson"}, nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r := &received{endpoint: e, header: http.Header{}, request: &http.Request{}, body: body, at: time.Now(), room: func(int) bool { return true }, most: 1 << 30}
		if _, err := r.events(); err != nil {
			b.Fatal(err)
		}
	}
}
