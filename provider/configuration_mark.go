// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// interruptedFor is how long an apply that was interrupted can be taken up by
// the next one.
const interruptedFor = 72 * time.Hour

// configurationMark tells pipelines that this configuration has created from
// those of others, where the state knows nothing of them: an apply was
// interrupted between the request and the state.
//
// The mark is the pipeline's salt. Pachyderm wants one that differs from
// pipeline to pipeline, takes the request's for it, and keeps it: so the first
// half is random, and the second one proves who has made the first.
type configurationMark struct {
	key []byte // nil if nothing tells this configuration from others

	mu    sync.Mutex
	own   map[pachyderm.PipelineID]bool // those that this run has made, taken over or deleted
	taken map[pachyderm.PipelineID]bool // those that it has taken over
}

func newConfigurationMark(configuration string) *configurationMark {
	m := &configurationMark{own: map[pachyderm.PipelineID]bool{}, taken: map[pachyderm.PipelineID]bool{}}
	if configuration != "" {
		key := sha256.Sum256([]byte(configuration))
		m.key = key[:]
	}
	return m
}

const halfMark = 16 // bytes of hexadecimal digits

// salt is a new mark for a pipeline, "" to leave it to Pachyderm.
func (m *configurationMark) salt(id pachyderm.PipelineID) string {
	if m.key == nil {
		return ""
	}
	random := make([]byte, halfMark/2)
	rand.Read(random) //nolint:errcheck // never fails
	nonce := hex.EncodeToString(random)
	return nonce + m.proof(id, nonce)
}

func (m *configurationMark) proof(id pachyderm.PipelineID, nonce string) string {
	mac := hmac.New(sha256.New, m.key)
	mac.Write([]byte(id.String() + "\n" + nonce))
	return hex.EncodeToString(mac.Sum(nil))[:halfMark]
}

// made says whether a pipeline has this configuration's mark.
func (m *configurationMark) made(id pachyderm.PipelineID, salt string) bool {
	return m.key != nil && len(salt) == 2*halfMark && hmac.Equal([]byte(salt[halfMark:]), []byte(m.proof(id, salt[:halfMark])))
}

// owns notes that a resource of this run makes or deletes the pipeline.
func (m *configurationMark) owns(id pachyderm.PipelineID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own[id] = true
}

// take takes the pipeline over, unless another resource of this run has it.
func (m *configurationMark) take(id pachyderm.PipelineID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.own[id] {
		return false
	}
	m.own[id], m.taken[id] = true, true
	return true
}

// tookOver says whether this run has taken the pipeline over.
func (m *configurationMark) tookOver(id pachyderm.PipelineID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taken[id]
}

// thisConfiguration is what tells this configuration from others, as far as a
// provider can know: its folder, its workspace, and the backend that its state
// is in, as init has left them.
func thisConfiguration(getenv func(string) string) string {
	folder, err := os.Getwd()
	if err != nil {
		return ""
	}
	parts := []string{folder, getenv("TF_WORKSPACE")}
	data := cmp.Or(getenv("TF_DATA_DIR"), ".terraform")
	for _, name := range []string{"environment", "terraform.tfstate"} {
		text, err := os.ReadFile(filepath.Join(data, name)) //nolint:gosec // Terraform's own folder
		if err != nil && !os.IsNotExist(err) {
			return ""
		}
		parts = append(parts, string(text))
	}
	return strings.Join(parts, "\x00")
}
