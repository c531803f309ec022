// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const clientGo = "k8s.io/client-go"

// omission is files of a folder in a module that are not compiled. In their place are those of the same folder in
// omittedFiles, if there is one.
type omission struct {
	module, dir string
	files       []string // patterns
}

// omitted is what the quick build of Pachyderm lacks: what takes a compiler long, and no spout on a single machine runs.
// These call it, and get an error:
//
//   - debug dumps, profiles and log levels (pachctl debug)
//   - the identity provider in pachd, for logins through a browser
//   - storage elsewhere than in local files, and files imported from or exported to buckets
//   - the driver of Snowflake, for jobs that read or write its tables
//   - profiles that are exported to Google Cloud
//
// Besides, Kubernetes' APIs are reduced to those that Pachyderm calls, and a function for tests starts no containers. All
// that spouts and what they are tried with are made of (repos, commits, files, pipelines, secrets, authentication by
// tokens, transactions) is Pachyderm's own code. Where something is proven, which is in the acceptance tests, Pachyderm is
// built whole.
var omitted = []omission{
	{pachyderm, "src/server/debug/server", []string{"*.go"}},
	{pachyderm, "src/server/identity/server", []string{"*.go"}},
	{pachyderm, "src/server/pfs/server", []string{"storage_bucket.go"}},
	{pachyderm, "src/internal/obj", []string{"amazon_client.go", "google_client.go", "microsoft_client.go", "minio_client.go"}},
	{pachyderm, "src/internal/log", []string{"amazon.go"}},
	{pachyderm, "src/internal/profileutil", []string{"*.go"}},
	{pachyderm, "src/internal/dockertestenv", []string{"*.go"}},
	{clientGo, "kubernetes", []string{"clientset.go"}},
	{clientGo, "kubernetes/scheme", []string{"register.go"}},
	{clientGo, "applyconfigurations/apps/v1", []string{"*.go"}},
	{clientGo, "applyconfigurations/autoscaling/v1", []string{"*.go"}},
	{clientGo, "applyconfigurations/core/v1", []string{"*.go"}},
}

// mentions are changed where what is left uses what is omitted.
var mentions = []change{
	{"src/internal/obj/factory.go", `	"golang.org/x/oauth2/google"` + "\n" + `	"google.golang.org/api/option"` + "\n", ""},
	{"src/internal/obj/factory.go", "func NewGoogleClient(bucket string, opts []option.ClientOption)", "func NewGoogleClient(bucket string, opts []string)"},
	{"src/internal/obj/factory.go", "	var opts []option.ClientOption\n", "	var opts []string\n"},
	{"src/internal/obj/factory.go", "option.WithCredentialsFile(secretFile(fmt.Sprintf(\"/%s\", GoogleCredEnvVar)))", "cred"},
	{"src/internal/obj/factory.go", `option.WithTokenSource(google.ComputeTokenSource(""))`, `""`},
	{"src/internal/obj/factory.go", "[]option.ClientOption{option.WithCredentialsJSON([]byte(creds))}", "[]string{creds}"},
	{"src/internal/pachsql/db.go", `	sf "github.com/snowflakedb/gosnowflake"` + "\n", ""},
	{"src/internal/pachsql/db.go", "	cfg := &sf.Config{", "	_ = struct {\n\t\tAccount, User, Password, Database, Schema, Host string\n\t\tPort int\n\t\tParams map[string]*string\n\t}{"},
	{"src/internal/pachsql/db.go", "	dsn, err := sf.DSN(cfg)\n", "	dsn, err := \"\", errors.New(\"this build of Pachyderm has no driver of Snowflake\")\n"},
}

//go:embed omitted
var omittedFiles embed.FS

// omittedSuffix is that of the files in omittedFiles, which are no part of this module.
const omittedSuffix = ".txt"

// apply leaves the files out of the copy of their module in dir.
func (o omission) apply(dir string) error {
	target := filepath.Join(dir, filepath.FromSlash(o.dir))
	for _, pattern := range o.files {
		files, err := filepath.Glob(filepath.Join(target, pattern))
		if err != nil || len(files) == 0 {
			return errors.Join(err, fmt.Errorf("%s has no file %s/%s: mend the omissions of package cluster for this version", o.module, o.dir, pattern))
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return o.each(func(name string, text []byte) error {
		return os.WriteFile(filepath.Join(target, strings.TrimSuffix(name, omittedSuffix)), text, 0o644)
	})
}

// each yields the files that are there in place of those left out.
func (o omission) each(yield func(name string, text []byte) error) error {
	dir := path.Join("omitted", moduleName(o.module), o.dir)
	entries, err := omittedFiles.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		text, err := omittedFiles.ReadFile(path.Join(dir, entry.Name()))
		if err == nil {
			err = yield(entry.Name(), text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// quickChanges are those of the quick build.
var quickChanges = slices.Concat(onLoopback, mentions)
