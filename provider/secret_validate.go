// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// opaque is the type of a secret without one.
const opaque = "Opaque"

// maxSecret is how much Kubernetes takes.
const maxSecret = 1 << 20

var (
	secretNameForm = stringvalidator.RegexMatches(regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`),
		"must have lower-case letters, digits, '-' and '.' only, and each part between dots must begin and end with a letter or digit")
	secretKeyForm = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
)

// neededKeys are what Kubernetes wants in secrets of its own types: all of
// them, or one for basic-auth.
var neededKeys = map[string][]string{
	"kubernetes.io/tls":              {"tls.crt", "tls.key"},
	"kubernetes.io/dockerconfigjson": {".dockerconfigjson"},
	"kubernetes.io/dockercfg":        {".dockercfg"},
	"kubernetes.io/basic-auth":       {"username", "password"},
	"kubernetes.io/ssh-auth":         {"ssh-privatekey"},
}

// takenLabels are labels that mean something to Pachyderm.
var takenLabels = map[string]string{
	"suite":           "Pachyderm sets it itself",
	"secret-source":   "Pachyderm sets it itself",
	"pipelineName":    "Pachyderm deletes the secrets that have it with the pipeline of that name",
	"pipelineProject": "Pachyderm deletes the secrets that have it with pipelines of that project",
}

// validate checks what Pachyderm and Kubernetes would refuse: a secret that is
// refused when it is replaced would be gone. No message quotes a value.
func (m *secretModel) validate(_ context.Context, diags *diag.Diagnostics) {
	m.validateLabels(diags)
	if m.Type.ValueString() == "kubernetes.io/service-account-token" {
		diags.AddAttributeError(path.Root("type"), "Invalid type", "type = \"kubernetes.io/service-account-token\" is filled in by Kubernetes and cannot be made through Pachyderm.")
	}
	if m.DataWO.IsNull() || m.DataWO.IsUnknown() {
		return
	}
	if m.DataWOVersion.IsNull() {
		diags.AddAttributeError(path.Root("data_wo_version"), "Missing data_wo_version", "data_wo is set without data_wo_version. Terraform keeps nothing of data_wo and cannot see that it has changed: "+
			"set data_wo_version = 1, and another number with each change of data_wo.")
	}
	data, size := m.DataWO.Elements(), 0
	at := path.Root("data_wo")
	for _, key := range slices.Sorted(maps.Keys(data)) {
		value, ok := data[key].(types.String)
		size += len(value.ValueString())
		switch {
		case !secretKeyForm.MatchString(key) || key == "." || strings.HasPrefix(key, ".."):
			diags.AddAttributeError(at, "Invalid data_wo", fmt.Sprintf("data_wo has the key %q; keys have letters, digits, '-', '_' and '.', and do not begin with \"..\".", key))
		case !ok || value.IsNull():
			diags.AddAttributeError(at, "Invalid data_wo", fmt.Sprintf("data_wo has nothing for the key %q. Leave the key out, or set it to \"\".", key))
		}
	}
	if size > maxSecret {
		diags.AddAttributeError(at, "Invalid data_wo", fmt.Sprintf("data_wo holds %d bytes; Kubernetes takes %d at most.", size, maxSecret))
	}
	if !m.Type.IsUnknown() {
		m.validateKeys(data, diags)
	}
}

func (m *secretModel) validateKeys(data map[string]attr.Value, diags *diag.Diagnostics) {
	kind := m.Type.ValueString()
	needed := neededKeys[kind]
	var missing []string
	for _, key := range needed {
		if _, ok := data[key]; !ok {
			missing = append(missing, fmt.Sprintf("%q", key))
		}
	}
	if len(missing) > 0 && (kind != "kubernetes.io/basic-auth" || len(missing) == len(needed)) {
		diags.AddAttributeError(path.Root("data_wo"), "Invalid data_wo", fmt.Sprintf("A secret of the type %s must have the key %s.", kind, strings.Join(missing, " and ")))
	}
	for _, key := range []string{".dockerconfigjson", ".dockercfg"} {
		value, ok := data[key].(types.String)
		if ok && slices.Contains(needed, key) && known(value) && !json.Valid([]byte(value.ValueString())) {
			diags.AddAttributeError(path.Root("data_wo"), "Invalid data_wo", fmt.Sprintf("What data_wo has for %q is not JSON. Write it with jsonencode({ auths = { … } }).", key))
		}
	}
}

func (m *secretModel) validateLabels(diags *diag.Diagnostics) {
	labels := m.Labels.Elements()
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		at := path.Root("labels").AtMapKey(key)
		value, _ := labels[key].(types.String)
		if why, taken := takenLabels[key]; taken {
			diags.AddAttributeError(at, "Invalid labels", fmt.Sprintf("labels has %q: %s. Use another name.", key, why))
		} else if problem := pachyderm.LabelNameProblem(key); problem != "" {
			diags.AddAttributeError(at, "Invalid labels", fmt.Sprintf("labels has the name %q, which %s.", key, problem))
		}
		if problem := pachyderm.LabelValueProblem(value.ValueString()); problem != "" {
			diags.AddAttributeError(at, "Invalid labels", fmt.Sprintf("labels[%q] = %q %s.", key, value.ValueString(), problem))
		}
	}
}
