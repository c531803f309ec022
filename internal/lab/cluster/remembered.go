// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// RememberImages keeps, in a folder that was claimed, what a cluster was started with; see Options.Images.
func RememberImages(dir string, images map[string]string) error {
	text, err := json.Marshal(images)
	if err != nil {
		return err
	}
	return os.WriteFile(layout(dir).images(), text, 0o600)
}

// RememberedImages returns what RememberImages was last told, until the folder is reset.
func RememberedImages(dir string) (images map[string]string, err error) {
	path := layout(dir).images()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &images)
	}
	if err != nil {
		return nil, fmt.Errorf("images that the last cluster had (%s): %w", path, err)
	}
	return images, nil
}
