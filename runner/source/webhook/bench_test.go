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
	for _, c := range []struct{ name, line string }{
		{"object", `{"id":12345,"name":"` + strings.Repeat("abcdefghij", 8) + `","values":[1,2,3.5e7,true,null]}`},
		{"text", `"` + strings.Repeat("abcdefghij", 10)[:98] + `"`},
	} {
		for _, id := range []string{"none", "header:Id"} {
			b.Run(c.name+"/id="+id, func(b *testing.B) { benchmarkLines(b, c.line, id) })
		}
	}
}

func benchmarkLines(b *testing.B, line, id string) {
	body := []byte(strings.Repeat(line+"\n", 4000))
	e := newEndpoint("e", settings.WebhookEndpoint{Auth: "none", Open: true, Body: "ndjson", ID: id}, nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r := &received{endpoint: e, header: http.Header{"Id": {"0123456789"}}, request: &http.Request{}, body: body, at: time.Now(), room: func(int) bool { return true }, most: 1 << 30}
		if _, err := r.events(); err != nil {
			b.Fatal(err)
		}
	}
}
