// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"maps"
	stdpath "path"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// webhook checks that the spout's service leads to where the runner listens, and
// that the secrets of endpoints are mounted.
func (v *spoutValidator) webhook(read runnerSettings) {
	port, _ := v.m.Service.Attributes()["internal_port"].(types.Int64)
	if listens := int64(read.Webhook.Port); known(v.m.Service) && known(port) && !read.unknown["SPOUT_WEBHOOK_PORT"] && port.ValueInt64() != listens {
		v.fail("service.internal_port", "service.internal_port = %d leads to nobody: the runner takes requests at webhook.port = %d. Set both to the same port.", port.ValueInt64(), listens)
	}
	// Patches and files of images may bring others.
	if read.unknown["SPOUT_WEBHOOK_ENDPOINTS"] || v.m.SecretMounts.IsUnknown() || !v.m.PodPatch.IsNull() || !v.m.PodSpec.IsNull() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(read.Webhook.Endpoints)) {
		e := read.Webhook.Endpoints[name]
		for list, files := range map[string][]string{"secret_files": e.SecretFiles, "verify_token_files": e.TokenFiles} {
			for _, file := range files {
				if strings.HasPrefix(file, "/") && !v.mounted(file) {
					v.failAt(path.Root("webhook").AtName("endpoints").AtMapKey(name).AtName(list),
						"webhook.endpoints[%q].%s has %q, which is in no folder of secret_mounts. Mount the Kubernetes secret that has it, for example secret_mounts = { %q = \"<secret>\" }.", name, list, file, stdpath.Dir(file))
				}
			}
		}
	}
}

// mounted says whether a file is one of a secret that is mounted.
func (v *spoutValidator) mounted(file string) bool {
	for folder := range v.m.SecretMounts.Elements() {
		if strings.HasPrefix(file, strings.TrimRight(folder, "/")+"/") {
			return true
		}
	}
	return false
}
