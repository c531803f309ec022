// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// podPorts are those that Pachyderm's own containers use in a spout's pod.
var podPorts = []int64{1080, 1600, 1650, 1653, 9090, 9091}

// service checks the ports. Pachyderm does not, and the spout would fail once
// Kubernetes sees them.
func (v *spoutValidator) service() {
	if !known(v.m.Service) {
		return
	}
	values := v.m.Service.Attributes()
	internal, _ := values["internal_port"].(types.Int64)
	external, _ := values["external_port"].(types.Int64)
	kind, _ := values["type"].(types.String)
	port := func(name string, p types.Int64) {
		if known(p) && (p.ValueInt64() < 1 || p.ValueInt64() > math.MaxUint16) {
			v.fail("service."+name, "service.%s = %d must be from 1 to 65535.", name, p.ValueInt64())
		}
	}
	port("internal_port", internal)
	port("external_port", external)
	if known(internal) && slices.Contains(podPorts, internal.ValueInt64()) {
		v.fail("service.internal_port", "service.internal_port = %d is used by Pachyderm's own containers in the pod (%v). Let the spout listen on another port.", internal.ValueInt64(), podPorts)
	}
	nodePort := !kind.IsUnknown() && (kind.ValueString() == "" || kind.ValueString() == pachyderm.DefaultServiceType)
	if n := external.ValueInt64(); nodePort && known(external) && (n < 30000 || n > 32767) {
		v.fail("service.external_port", "service.external_port = %d must be from 30000 to 32767, since the service is of the type NodePort. For a free choice set service.type to ClusterIP or LoadBalancer.", n)
	}
}

// resources checks that nothing asks for more than it may use.
func (v *spoutValidator) resources() {
	for _, pair := range []struct {
		requests, limits string
		r, l             types.Object
	}{
		{"resource_requests", "resource_limits", v.m.ResourceRequests, v.m.ResourceLimits},
		{"sidecar_resource_requests", "sidecar_resource_limits", v.m.SidecarResourceRequests, v.m.SidecarResourceLimits},
	} {
		if !known(pair.r) || !known(pair.l) {
			continue
		}
		requests, limits := pair.r.Attributes(), pair.l.Attributes()
		for _, name := range []string{"cpu", "memory", "disk"} {
			v.atMost(pair.requests, pair.limits, name, requests[name], limits[name])
		}
	}
}

func (v *spoutValidator) atMost(requests, limits, name string, r, l attr.Value) {
	asked, okR := r.(textValue)
	most, okL := l.(textValue)
	if !okR || !okL || !known(asked) || !known(most) {
		return
	}
	a, errA := pachyderm.ParseQuantity(asked.ValueString())
	b, errB := pachyderm.ParseQuantity(most.ValueString())
	if errA == nil && errB == nil && a.Cmp(b) > 0 {
		v.fail(requests+"."+name, "%s.%s = %q is more than %s.%s = %q. Kubernetes refuses such a pod: lower the one or raise the other.",
			requests, name, asked.ValueString(), limits, name, most.ValueString())
	}
}

// memoryLimit warns of a limit beyond which the runner has to go.
func (v *spoutValidator) memoryLimit(read runnerSettings) {
	if !known(v.m.ResourceLimits) || read.unknown["SPOUT_MEMORY_BUDGET"] {
		return
	}
	limit, ok := v.m.ResourceLimits.Attributes()["memory"].(textValue)
	if !ok || !known(limit) {
		return
	}
	most, err := pachyderm.ParseQuantity(limit.ValueString())
	need := read.ContainerMemory()
	if err != nil || most.Cmp(new(big.Rat).SetInt64(int64(need))) >= 0 {
		return
	}
	v.diags.AddAttributeWarning(attributePath("resource_limits.memory"), "Memory limit below what the runner may take",
		fmt.Sprintf("resource_limits.memory = %q is less than %s, which the container may need with runner.memory_budget = %s: a quarter more than the budget, and some for the programs. "+
			"Kubernetes kills the runner when it goes over the limit (OOMKilled), and what was read since the last commit is read again. Raise the limit, or lower the budget.",
			limit.ValueString(), need, read.MemoryBudget))
}

// tolerations applies Kubernetes' rules.
func (v *spoutValidator) tolerations() {
	if !known(v.m.Tolerations) {
		return
	}
	for i, element := range v.m.Tolerations.Elements() {
		o, ok := element.(types.Object)
		if !ok || !known(o) {
			continue
		}
		at := path.Root("tolerations").AtListIndex(i)
		values := o.Attributes()
		key, _ := values["key"].(types.String)
		operator, _ := values["operator"].(types.String)
		value, _ := values["value"].(types.String)
		effect, _ := values["effect"].(types.String)
		seconds, _ := values["toleration_seconds"].(types.Int64)
		if problem := pachyderm.LabelNameProblem(key.ValueString()); key.ValueString() != "" && problem != "" {
			v.failAt(at.AtName("key"), "tolerations[%d].key = %q %s.", i, key.ValueString(), problem)
		}
		if problem := pachyderm.LabelValueProblem(value.ValueString()); problem != "" {
			v.failAt(at.AtName("value"), "tolerations[%d].value = %q %s.", i, value.ValueString(), problem)
		}
		if operator.ValueString() == "Exists" && known(value) && value.ValueString() != "" {
			v.failAt(at.AtName("value"), "tolerations[%d].value = %q does not go with the operator Exists, which takes any value. Leave it out, or use Equal.", i, value.ValueString())
		}
		if operator.ValueString() == "Equal" && !key.IsUnknown() && key.ValueString() == "" {
			v.failAt(at.AtName("key"), "tolerations[%d].key must be set for the operator Equal. To tolerate all taints, use Exists.", i)
		}
		if known(seconds) && !effect.IsUnknown() && effect.ValueString() != "NoExecute" {
			v.failAt(at.AtName("toleration_seconds"), "tolerations[%d].toleration_seconds goes with the effect NoExecute only. Leave it out, or set that effect.", i)
		}
	}
}

// metadata applies Kubernetes' rules of labels and annotations.
func (v *spoutValidator) metadata() {
	values := v.m.Metadata.Attributes()
	at := path.Root("metadata")
	v.labels(at.AtName("labels"), values["labels"])
	annotations, _ := values["annotations"].(types.Map)
	all := map[string]string{}
	for name, element := range annotations.Elements() {
		value, _ := element.(types.String)
		all[name] = value.ValueString()
		if problem := pachyderm.LabelNameProblem(strings.ToLower(name)); problem != "" {
			v.failAt(at.AtName("annotations").AtMapKey(name), "metadata.annotations has the name %q, which %s.", name, problem)
		}
	}
	if problem := pachyderm.AnnotationsProblem(all); problem != "" {
		v.failAt(at.AtName("annotations"), "metadata.annotations %s.", problem)
	}
}

// scheduling applies Kubernetes' rules of what chooses a node.
func (v *spoutValidator) scheduling() {
	values := v.m.Scheduling.Attributes()
	at := path.Root("scheduling")
	v.labels(at.AtName("node_selector"), values["node_selector"])
	class, _ := values["priority_class_name"].(types.String)
	if problem := pachyderm.ObjectNameProblem(class.ValueString()); class.ValueString() != "" && problem != "" {
		v.failAt(at.AtName("priority_class_name"), "scheduling.priority_class_name = %q %s.", class.ValueString(), problem)
	}
}

func (v *spoutValidator) labels(at path.Path, of attr.Value) {
	labels, _ := of.(types.Map)
	for name, element := range labels.Elements() {
		value, _ := element.(types.String)
		if problem := pachyderm.LabelNameProblem(name); problem != "" {
			v.failAt(at.AtMapKey(name), "%s has the name %q, which %s.", at, name, problem)
		}
		if problem := pachyderm.LabelValueProblem(value.ValueString()); problem != "" {
			v.failAt(at.AtMapKey(name), "%s[%q] = %q %s.", at, name, value.ValueString(), problem)
		}
	}
}
