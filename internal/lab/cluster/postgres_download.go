// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

const (
	postgresDownload = embeddedpostgres.V15
	mavenCentral     = "https://repo1.maven.org/maven2"
)

// postgresSums are the SHA-256 of the archives of that version, which run as this user: what the server says of their
// checksums would be the word of whoever has changed them.
var postgresSums = map[string]string{
	"amd64":        "cc0177d8a22b85ed266f6204c0642fd5c24ab583d1ef221d4b60bce29d4fa4ef",
	"amd64-alpine": "73c825eba923c8faa8059a5f9af7d20c9800b7feba901110fdc3487400905a80",
}

// downloadPostgres fetches PostgreSQL's programs from Maven Central into the user's cache.
func downloadPostgres(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "postgres-"+string(postgresDownload))
	bin := filepath.Join(dir, "bin")
	if hasPostgres(bin) {
		say(progress, "PostgreSQL %s downloaded earlier, in %s", postgresDownload, bin)
		return bin, nil
	}
	say(progress, "this machine has no PostgreSQL: downloading %s from Maven Central into %s", postgresDownload, dir)
	scratch, err := os.MkdirTemp(cache, "postgres-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	err = fetchPostgres(ctx, mavenCentral, scratch)
	if err == nil {
		// The library unpacks the programs as the first step of starting a server. That server isn't wanted: it can be told
		// neither to die with this process nor not to run as root. So its data folder is one that it fails to make.
		err = embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().Version(postgresDownload).Port(portPostgres).
			CachePath(scratch).BinariesPath(dir).RuntimePath(filepath.Join(scratch, "run")).DataPath("/dev/null/none").Logger(io.Discard)).Start()
	}
	if !hasPostgres(bin) {
		return "", fmt.Errorf("no PostgreSQL on PATH or under /usr/lib/postgresql (Debian: apt-get install postgresql), "+
			"and it cannot be downloaded: %w", err)
	}
	return bin, nil
}

// fetchPostgres puts the archive where the library looks for one before it downloads any.
func fetchPostgres(ctx context.Context, repository, dir string) error {
	name := runtime.GOARCH
	if _, err := os.Stat("/etc/alpine-release"); err == nil {
		name += "-alpine"
	}
	sum, known := postgresSums[name]
	if !known {
		return fmt.Errorf("no checksum is known of the archive for linux-%s", name)
	}
	artifact := "embedded-postgres-binaries-linux-" + name
	url := fmt.Sprintf("%s/io/zonky/test/postgres/%s/%s/%[2]s-%[3]s.jar", repository, artifact, postgresDownload)
	jar, err := fetch(ctx, url, sum)
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	for _, entry := range archive.File {
		if strings.HasSuffix(entry.Name, ".txz") {
			return unzip(entry, filepath.Join(dir, fmt.Sprintf("%s-%s.txz", artifact, postgresDownload)))
		}
	}
	return fmt.Errorf("%s holds no programs", url)
}

// fetch returns what is at url if it has the checksum.
func fetch(ctx context.Context, url, sum string) ([]byte, error) {
	const most = 100 << 20
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	content, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if got := sha256.Sum256(content); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("%s is not what it was when this version of the repository was made: its SHA-256 is %x, not %s", url, got, sum)
	}
	return content, nil
}

func unzip(entry *zip.File, path string) error {
	in, err := entry.Open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	content, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}
