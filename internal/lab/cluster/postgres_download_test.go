// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// TestChangedArchive: an archive of programs that is not the one that is known is not even unpacked, whatever the server
// says its checksum is.
func TestChangedArchive(t *testing.T) {
	t.Parallel()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		_, _ = w.Write([]byte("something else"))
	}))
	defer server.Close()
	dir := t.TempDir()
	err := fetchPostgres(t.Context(), server.URL, dir)
	if err == nil || !strings.Contains(err.Error(), "its SHA-256 is") && !strings.Contains(err.Error(), "no checksum is known") {
		t.Error(err)
	}
	if len(asked) > 1 {
		t.Errorf("asked for %v", asked)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Error(entries, err)
	}
}
