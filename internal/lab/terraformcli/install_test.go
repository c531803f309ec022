// SPDX-License-Identifier: Apache-2.0

package terraformcli

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
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

func TestBackendsWithModulesOfTheirOwnAreLeftOut(t *testing.T) {
	src := t.TempDir()
	files := map[string][2]string{
		"go.mod": {
			"module github.com/hashicorp/terraform\nrequire (\n\tgithub.com/hashicorp/terraform/internal/backend/remote-state/s3 v0.0.0\n\tgithub.com/hashicorp/terraform-svchost v0.1.1\n)\nreplace github.com/hashicorp/terraform/internal/legacy => ./internal/legacy\n",
			"module github.com/hashicorp/terraform\nrequire (\n\tgithub.com/hashicorp/terraform-svchost v0.1.1\n)\n"},
		"internal/backend/init/init.go": {
			"\tbackendS3 \"github.com/hashicorp/terraform/internal/backend/remote-state/s3\"\n\tbackendHTTP \"github.com/hashicorp/terraform/internal/backend/remote-state/http\"\n\t\"s3\": func() backend.Backend { return backendS3.New() },\n\t\"http\": func() backend.Backend { return backendHTTP.New() },\n",
			"\tbackendHTTP \"github.com/hashicorp/terraform/internal/backend/remote-state/http\"\n\t\"http\": func() backend.Backend { return backendHTTP.New() },\n"},
	}
	for name, texts := range files {
		name = filepath.Join(src, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(texts[0]), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := leaveOutBackends(src); err != nil {
		t.Fatal(err)
	}
	for name, texts := range files {
		if text, err := os.ReadFile(filepath.Join(src, name)); err != nil || string(text) != texts[1] {
			t.Errorf("%s is now %q, %v", name, text, err)
		}
	}
}
