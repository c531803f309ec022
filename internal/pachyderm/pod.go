// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// PodConfigPath is where Pachyderm mounts pachctl's configuration in a spout's
// pod. Its token is that of the pipeline; its address and project are no use
// (src/server/pps/server/worker_rc.go).
const PodConfigPath = "/pachctl/config.json"

// PodToken reads the pipeline's token from a pachctl configuration file. It is
// "" where authentication is off, or where there is no such file.
func PodToken(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the pipeline's token: %w", err)
	}
	var config struct {
		V2 struct {
			ActiveContext string `json:"active_context"`
			Contexts      map[string]struct {
				SessionToken string `json:"session_token"`
			} `json:"contexts"`
		} `json:"v2"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return "", fmt.Errorf("%s is not a pachctl configuration: %w", path, err)
	}
	return tidyToken("the token in "+path, config.V2.Contexts[config.V2.ActiveContext].SessionToken)
}
