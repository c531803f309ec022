// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// secret is what a file holds.
type secret struct {
	key    []byte            // of an HMAC, or the token itself
	hash   [sha256.Size]byte // of the token, for comparisons that tell nothing of its length
	public ed25519.PublicKey // of asymmetric signatures; nil for none
}

// matches compares a token in constant time.
func (s *secret) matches(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], s.hash[:]) == 1
}

// secrets are those of an endpoint, which may change while it is open: the files
// of a Kubernetes secret change with it.
type secrets struct {
	files []string
	auth  string
	log   hclog.Logger

	mu     sync.Mutex
	looked time.Time
	stamps []stamp
	list   []secret
	failed *source.Trouble
}

// stamp says whether a file has changed.
type stamp struct {
	changed time.Time
	size    int64
}

const (
	lookAgain  = time.Second // how often files are looked at while requests come
	maxSecret  = 64 << 10
	leastHMAC  = 16 // bytes of a key of Standard Webhooks, which asks for 24
	prefixHMAC = "whsec_"
	prefixEdDS = "whpk_"
)

func newSecrets(files []string, auth string, log hclog.Logger) *secrets {
	return &secrets{files: files, auth: auth, log: log}
}

// load reads all files.
func (s *secrets) load() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read()
}

// current are the secrets that are good now. If files cannot be read for the
// moment, these are the last ones that could.
func (s *secrets) current() []secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.looked) >= lookAgain {
		s.looked = now
		if s.changed() {
			if err := s.read(); err != nil {
				if s.failed == nil {
					s.failed = &source.Trouble{Since: now}
					s.log.Warn("the changed secrets cannot be used; the former ones stay in use", "reason", err)
				}
				s.failed.Text = err.Error()
			} else {
				s.failed = nil
				s.log.Info("secrets were read again", "files", len(s.files))
			}
		}
	}
	return s.list
}

func (s *secrets) trouble() *source.Trouble {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *secrets) changed() bool {
	if s.failed != nil {
		return true
	}
	for i, file := range s.files {
		info, err := os.Stat(file)
		if err != nil || i >= len(s.stamps) || (stamp{info.ModTime(), info.Size()}) != s.stamps[i] {
			return true
		}
	}
	return false
}

func (s *secrets) read() error {
	var list []secret
	var stamps []stamp
	for _, file := range s.files {
		one, at, err := readSecret(file, s.auth)
		if err != nil {
			return fmt.Errorf("the secret in %s %w", file, err)
		}
		list, stamps = append(list, one), append(stamps, at)
	}
	s.list, s.stamps = list, stamps
	return nil
}

func readSecret(file, auth string) (one secret, at stamp, err error) {
	f, err := os.Open(file)
	if err != nil {
		return one, at, fmt.Errorf("cannot be read: %w. Mount the Kubernetes secret that has it", err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return one, at, fmt.Errorf("cannot be read: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return one, at, fmt.Errorf("cannot be read: %w", err)
	}
	text = bytes.TrimRight(text, "\r\n")
	switch {
	case len(text) == 0:
		return one, at, errors.New("is empty, so anybody could sign with it; write the sender's secret into it")
	case len(text) > maxSecret:
		return one, at, errors.New("has more than 64 KiB; it must hold one secret and nothing else")
	case auth == "basic" && bytes.IndexByte(text, ':') < 1:
		return one, at, errors.New("must be user:password")
	}
	at = stamp{info.ModTime(), info.Size()}
	one = secret{key: text, hash: sha256.Sum256(text)}
	if auth != "standard" {
		return one, at, nil
	}
	if rest, ok := strings.CutPrefix(string(text), prefixEdDS); ok {
		key, err := base64.StdEncoding.DecodeString(rest)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return one, at, errors.New("begins with whpk_, but no public key in base64 follows")
		}
		one.public = key
		return one, at, nil
	}
	// Some senders show it with the version of its signatures in front.
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimPrefix(string(text), "v1,"), prefixHMAC))
	if err != nil || len(key) < leastHMAC {
		return one, at, fmt.Errorf("must be whsec_ and at least %d bytes in base64, as the sender shows it", leastHMAC)
	}
	one.key = key
	return one, at, nil
}
