// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// images says which local folder stands for an image: its entries appear in the container's root folder.
type images struct {
	mu      sync.Mutex
	folders map[string]string // by image name, or the beginning of one
}

func newImages(folders map[string]string) (*images, error) {
	m := &images{folders: map[string]string{}}
	for name, folder := range folders {
		if err := m.set(name, folder); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *images) set(name, folder string) error {
	if name == "" {
		return fmt.Errorf("an image needs a name")
	}
	if folder != "" {
		abs, err := filepath.Abs(folder)
		if err != nil {
			return fmt.Errorf("folder of image %s: %w", name, err)
		}
		folder = abs
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.folders[name] = folder
	return nil
}

func (m *images) remove(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.folders, name)
}

// HostFiles stands for an image that holds nothing of its own: containers of it see this machine's files only.
const HostFiles = "/"

// lookup returns the folder of an image: that of the longest name it begins with. An error means that the image cannot
// be pulled.
func (m *images) lookup(image string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	longest, folder := -1, ""
	for name, f := range m.folders {
		if strings.HasPrefix(image, name) && len(name) > longest {
			longest, folder = len(name), f
		}
	}
	switch {
	case folder == "":
		return "", fmt.Errorf("no folder is set for it, and nothing is pulled from registries here: start the cluster with "+
			"--image %s=FOLDER, or with --image %[1]s=/ for this machine's own programs", image)
	case folder == HostFiles:
		return "", nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is not a folder", folder)
	}
	return folder, nil
}
