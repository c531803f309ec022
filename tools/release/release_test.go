// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"archive/zip"
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
	"golang.org/x/mod/sumdb/dirhash"
)

const (
	testVersion = "1.2.3"
	testDigest  = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

// made is a release for this machine's platform, in a folder with a mirror.
type made struct{ out, mirror string }

var (
	dryRun    made
	dryRunErr error
	dryRunOne sync.Once
)

// released makes the release once for all tests.
func released(t *testing.T) made {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the provider")
	}
	dryRunOne.Do(func() {
		var dir string
		if dir, dryRunErr = os.MkdirTemp("", "release-test-"); dryRunErr != nil {
			return
		}
		dryRun = made{filepath.Join(dir, "release"), filepath.Join(dir, "mirror")}
		var said bytes.Buffer
		if dryRunErr = run(t.Context(), []string{"-module", "../..", "-version", testVersion, "-runner-digest", testDigest, "-throw-away-key",
			"-platforms", mirror.Local().String(), "-out", dryRun.out, "-mirror", dryRun.mirror}, &said, &said); dryRunErr != nil {
			dryRunErr = fmt.Errorf("%w\n%s", dryRunErr, &said)
		}
	})
	if dryRunErr != nil {
		t.Fatal(dryRunErr)
	}
	return dryRun
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dryRun.out != "" {
		_ = os.RemoveAll(filepath.Dir(dryRun.out))
	}
	os.Exit(code)
}

func (m made) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(m.out, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

const sumsName = mirror.Name + "_" + testVersion + "_SHA256SUMS"

func TestTheFilesAreThoseThatRegistriesWant(t *testing.T) {
	m := released(t)
	name := mirror.Local().Zip(testVersion)
	archive, err := zip.OpenReader(filepath.Join(m.out, name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	held := map[string]os.FileMode{}
	for _, f := range archive.File {
		held[f.Name] = f.Mode()
		if f.UncompressedSize64 == 0 {
			t.Errorf("%s is empty", f.Name)
		}
	}
	if want := "map[LICENSE:-rw-r--r-- THIRD_PARTY_LICENSES:-rw-r--r-- terraform-provider-pachyderm_v1.2.3:-rwxr-xr-x]"; fmt.Sprint(held) != want {
		t.Errorf("%s holds %v, not %s", name, held, want)
	}
	if sums := string(m.read(t, sumsName)); strings.Count(sums, "\n") != 2 ||
		!strings.Contains(sums, sum(m.read(t, name), name)) || !strings.Contains(sums, "  terraform-provider-pachyderm_1.2.3_manifest.json\n") {
		t.Errorf("checksums:\n%s", sums)
	}
	if !strings.Contains(string(m.read(t, "terraform-provider-pachyderm_1.2.3_manifest.json")), `"6.0"`) {
		t.Error("the manifest does not name the protocol")
	}
}

// The checksums and the signature, with the tools that people have.
func TestCoreutilsAndGnuPGAgree(t *testing.T) {
	m := released(t)
	run := func(name string, args ...string) {
		t.Helper()
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name + " is not here")
		}
		cmd := exec.Command(name, args...)
		cmd.Dir = m.out
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	run("sha256sum", "--check", "--strict", sumsName)
	keys := filepath.Join(t.TempDir(), "keys")
	run("gpg", "--dearmor", "--output", keys, "throw-away-key.asc")
	run("gpgv", "--keyring", keys, sumsName+".sig", sumsName)
}

func TestASecondBuildGivesTheSameBytes(t *testing.T) {
	m := released(t)
	when, err := sourceTime()
	if err != nil {
		t.Fatal(err)
	}
	r := release{module: "../..", version: testVersion, runnerDigest: testDigest, out: m.out, time: when}
	if err := r.check(t.Context(), []mirror.Platform{mirror.Local()}, t.TempDir(), "", t.Output()); err != nil {
		t.Error(err)
	}
	r.runnerDigest = strings.Replace(testDigest, "00", "ff", 1)
	if err := r.check(t.Context(), []mirror.Platform{mirror.Local()}, t.TempDir(), "", t.Output()); !errors.Is(err, errDiffers) {
		t.Errorf("another provider is not noticed: %v", err)
	}
}

// commandLines are those that are here, by name.
func commandLines(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range []string{os.Getenv("TF_ACC_TERRAFORM_PATH"), "terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			found[filepath.Base(path)] = path
		}
	}
	if len(found) == 0 {
		t.Skip("neither terraform nor tofu is here: make test brings one")
	}
	return found
}

// workspace is a folder with a configuration that needs the provider.
type workspace struct {
	cli, dir string
	env      []string
}

func newWorkspace(t *testing.T, cli, source, rc string, env ...string) workspace {
	t.Helper()
	home, dir := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		filepath.Join(home, "rc"): rc,
		filepath.Join(dir, "main.tf"): fmt.Sprintf("terraform {\n  required_providers {\n    pachyderm = {\n      source = %q\n    }\n  }\n}\n\n"+
			"provider \"pachyderm\" {\n  address = \"grpc://127.0.0.1:1\"\n}\n\nresource \"pachyderm_project\" \"team\" {\n  name = \"team\"\n}\n", source),
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return workspace{cli, dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TF_CLI_CONFIG_FILE=" + filepath.Join(home, "rc"), "CHECKPOINT_DISABLE=1"}, env...)}
}

func (w workspace) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.cli, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w workspace) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.run(t, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (w workspace) lock(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, ".terraform.lock.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestInitFromTheMirror(t *testing.T) {
	m := released(t)
	hash, err := dirhash.HashZip(filepath.Join(m.out, mirror.Local().Zip(testVersion)), dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	for name, cli := range commandLines(t) {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t, cli, "spoutworks/pachyderm", fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", m.mirror))
			w.must(t, "init", "-input=false")
			if lock := w.lock(t); !strings.Contains(lock, `version = "1.2.3"`) || !strings.Contains(lock, hash) {
				t.Errorf("the lock file does not hold version 1.2.3 and %s:\n%s", hash, lock)
			}
			w.must(t, "validate")
			w.must(t, "init", "-input=false", "-lockfile=readonly")
		})
	}
}

// The files behind a registry: the command line checks the signature, and a
// lock file holds the checksums of all platforms.
func TestInitFromARegistry(t *testing.T) {
	m := released(t)
	name := mirror.Local().Zip(testVersion)
	zh := `"zh:` + sum(m.read(t, name), name)[:64] + `"`
	for cliName, cli := range commandLines(t) {
		for situation, c := range map[string]struct {
			tamper func(path string, content []byte) []byte
			fails  string // what the message has, or empty
		}{
			"as released": {func(_ string, content []byte) []byte { return content }, ""},
			"another zip": {func(path string, content []byte) []byte {
				if strings.HasSuffix(path, ".zip") {
					return append(content, 0)
				}
				return content
			}, "checksum"},
			"other checksums": {func(path string, content []byte) []byte {
				if strings.HasSuffix(path, "SHA256SUMS") {
					return append(content, '\n')
				}
				return content
			}, "signature"},
		} {
			t.Run(cliName+"/"+situation, func(t *testing.T) {
				server := serveRegistry(t, m, c.tamper)
				w := newWorkspace(t, cli, server.host+"/spoutworks/pachyderm", "", "SSL_CERT_FILE="+server.certificate)
				out, err := w.run(t, "init", "-input=false", "-no-color")
				if c.fails != "" {
					if err == nil || !strings.Contains(out, c.fails) {
						t.Errorf("init: %v\n%s", err, out)
					}
					return
				}
				if err != nil || !strings.Contains(out, "key ID") {
					t.Fatalf("init: %v\n%s", err, out)
				}
				if lock := w.lock(t); !strings.Contains(lock, zh) {
					t.Errorf("the lock file does not hold %s:\n%s", zh, lock)
				}
				w.must(t, "validate")
			})
		}
	}
}

// What the two ways to get a key refuse, and what they sign.
func TestKeys(t *testing.T) {
	armored := func(config *packet.Config, passphrase string) string {
		t.Helper()
		entity, err := openpgp.NewEntity("Somebody", "", "", config)
		if err != nil {
			t.Fatal(err)
		}
		if passphrase != "" {
			if err := entity.EncryptPrivateKeys([]byte(passphrase), config); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		w, err := armor.Encode(&out, openpgp.PrivateKeyType, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(entity.SerializePrivateWithoutSigning(w, config), w.Close()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	rsa := &packet.Config{DefaultHash: crypto.SHA512, Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048}
	for name, c := range map[string]struct{ key, passphrase, fails string }{
		"none":               {"", "", "there is no key"},
		"not a key":          {"-----BEGIN PGP PRIVATE KEY BLOCK-----", "", "GPG_PRIVATE_KEY"},
		"of RSA":             {armored(rsa, ""), "", ""},
		"with a passphrase":  {armored(rsa, "secret"), "secret", ""},
		"a wrong passphrase": {armored(rsa, "secret"), "wrong", "GPG_PASSPHRASE does not open"},
		"of Ed25519":         {armored(&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}, ""), "", "not of RSA"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GPG_PRIVATE_KEY", c.key)
			t.Setenv("GPG_PASSPHRASE", c.passphrase)
			key, err := signingKey(false)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(t.TempDir(), "sums")
			if err := os.WriteFile(name, []byte("content"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := key.sign(name); err != nil {
				t.Fatal(err)
			}
			signature, err := os.ReadFile(name + ".sig")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := openpgp.CheckDetachedSignature(openpgp.EntityList{key.entity}, strings.NewReader("content"), bytes.NewReader(signature), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWrongFlags(t *testing.T) {
	for _, c := range []struct{ args, fails string }{
		{"-version v1.2.3 -runner-digest " + testDigest, "-version"},
		{"-version 1.2 -runner-digest " + testDigest, "-version"},
		{"-version 0.0.0 -runner-digest " + testDigest, "no version at all"},
		{"-version 1.2.3", "-runner-digest"},
		{"-version 1.2.3 -runner-digest latest", "-runner-digest"},
		{"-version 1.2.3 -runner-digest " + testDigest + " -platforms linux", "linux"},
	} {
		if err := run(t.Context(), strings.Fields(c.args), t.Output(), t.Output()); err == nil || !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}
