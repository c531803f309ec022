// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
)

// warnOfShard warns of what the runner stops at. It is no error: the plan may be
// what sets the shard back, and the branch may be empty still.
func warnOfShard(was, is *spoutModel, diags *diag.Diagnostics) {
	before, after := nestedText(was.Kafka, "shard"), nestedText(is.Kafka, "shard")
	if after.IsUnknown() || before.ValueString() == after.ValueString() || !is.OutputBranch.Equal(was.OutputBranch) || nestedText(is.Kafka, "on_shard_changed").ValueString() == "continue" {
		return
	}
	diags.AddAttributeWarning(path.Root("kafka").AtName("shard"), "Partitions move between spouts", fmt.Sprintf("kafka.shard changes from %q to %q, but what was read of the partitions stays where it is: "+
		"if the output branch holds data, the runner stops. Give the new shards to new spouts, which begin at kafka.start_offsets; or read about kafka.on_shard_changed.", before.ValueString(), after.ValueString()))
}
