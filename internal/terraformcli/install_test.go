// SPDX-License-Identifier: Apache-2.0

package terraformcli

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/hashicorp/hc-install/releases"
)

// A release server of our own, laid out as HashiCorp's.
func releaseServer(t *testing.T) *httptest.Server {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, content := range map[string]string{"terraform": script("Terraform v" + FetchedTerraform), "LICENSE.txt": "licence"} {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("terraform_%s_%s_%s.zip", FetchedTerraform, runtime.GOOS, runtime.GOARCH)
	base := "/terraform/" + FetchedTerraform + "/"
	mux := http.NewServeMux()
	mux.HandleFunc(base+"index.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"name": "terraform", "version": FetchedTerraform,
			"builds": []map[string]string{{"os": runtime.GOOS, "arch": runtime.GOARCH, "filename": name,
				"url": "http://" + r.Host + base + name}},
		})
	})
	mux.HandleFunc(base+name, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/zip")
		_, _ = w.Write(archive.Bytes())
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestTerraformIsFetchedFromAReleaseServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "terraform")
	release := &releases.ExactVersion{ApiBaseURL: releaseServer(t).URL, SkipChecksumVerification: true}
	if err := fetchTerraformFrom(context.Background(), release, path); err != nil {
		t.Fatal(err)
	}
	cli, err := inspect(context.Background(), path, Fetched)
	if err != nil || cli.Version != FetchedTerraform {
		t.Errorf("got %s, %v", cli, err)
	}
}

func TestAReleaseWithoutASignatureIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "terraform")
	release := &releases.ExactVersion{ApiBaseURL: releaseServer(t).URL}
	if err := fetchTerraformFrom(context.Background(), release, path); err == nil {
		t.Error("fetched without a signature")
	}
}
